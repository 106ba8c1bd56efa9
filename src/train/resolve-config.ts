import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { isObject } from '../formats/json.js';
import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { type TrainConfig, trainConfigSchema } from './config.js';
import { DEFAULTS, RECIPES } from './recipes.js';

type Json = Readonly<Record<string, unknown>>;

/** The nearest of some names, if one is near enough to have been meant. */
function nearest(name: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const best = closest(name, names);
  return distance(name.toLowerCase(), best.toLowerCase()) <= Math.max(2, best.length / 3) ? best : undefined;
}

/**
 * Settings laid over others: objects within are merged, everything else is replaced. An object of another `kind` replaces the whole, since
 * its settings are others.
 */
export function mergeSettings(base: Json, over: Json): Json {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = Object.hasOwn(base, key) ? base[key] : undefined;
    const same =
      isObject(below) &&
      isObject(value) &&
      (value.kind === undefined || below.kind === undefined || value.kind === below.kind);
    Object.defineProperty(merged, key, {
      ...{ value: same ? mergeSettings(below, value) : value, enumerable: true, writable: true, configurable: true },
    });
  }
  return merged;
}

/**
 * Settings given as `optimizer.lr=0.1`: the value is JSON, or else text.
 *
 * @throws GhostkitError for one without `=`.
 */
export function parseSettings(settings: readonly string[]): Json {
  let result: Json = {};
  for (const setting of settings) {
    const [, path, text] = /^([\w.-]+)=(.*)$/s.exec(setting) ?? [];
    if (path === undefined)
      throw new GhostkitError(`${printable(setting)}: a setting is NAME=VALUE, as optimizer.lr=0.1`);
    let value: unknown = text;
    try {
      value = JSON.parse(text);
    } catch {
      // Text without quotes.
    }
    const nested = path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Json;
    result = mergeSettings(result, nested);
  }
  return result;
}

/** The recipe with a name. Throws a {@link GhostkitError} that suggests the nearest. */
export function findRecipe(name: string): Json {
  if (Object.hasOwn(RECIPES, name)) return RECIPES[name].config;
  const names = Object.keys(RECIPES);
  const near = nearest(name, names);
  throw new GhostkitError(
    `there is no recipe ${printable(name)}; ${near ? `did you mean ${near}?` : `there are ${names.join(', ')}`}`,
  );
}

/** The settings that an object of the schema takes at a path of the value; none where it is no object. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[], value: unknown): string[] {
  if (schema instanceof z.ZodNullable || schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return keysAt(schema.unwrap(), path, value);
  }
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const kind = isObject(value) ? value.kind : undefined;
    const option = schema.options.find(
      (each) => each instanceof z.ZodObject && (each.shape.kind as z.ZodLiteral).value === kind,
    );
    return option ? keysAt(option, path, value) : [];
  }
  if (!(schema instanceof z.ZodObject)) return [];
  const [key, ...rest] = path;
  if (key === undefined) return Object.keys(schema.shape);
  const inner = isObject(value) ? value[String(key)] : undefined;
  return keysAt(schema.shape[String(key)], rest, inner);
}

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Json | undefined)?.[String(key)], value);

const TYPES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  object: 'settings',
  tuple: 'a list',
  array: 'a list',
};

/** What kinds there are, of which one was to be named. */
function unionOf(issue: z.core.$ZodIssue): string | undefined {
  const { options } = issue as { options?: unknown[] };
  return options && `expected ${options.join(' or ')}`;
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${TYPES[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `expected ${issue.values.map(String).join(' or ')}`;
    case 'invalid_union':
      return unionOf(issue) ?? issue.message;
    case 'too_small':
    case 'too_big': {
      const [limit, word] = issue.code === 'too_small' ? [issue.minimum, 'least'] : [issue.maximum, 'most'];
      if (issue.origin === 'string') return 'expected a text';
      if (issue.origin === 'array') return `expected ${limit} numbers`;
      const strict = issue.code === 'too_small' ? 'more than' : 'less than';
      return `expected ${issue.inclusive ? `at ${word}` : strict} ${limit}`;
    }
    default:
      return issue.message;
  }
}

function explain(issue: z.core.$ZodIssue, value: unknown): string {
  const name = (keys: readonly PropertyKey[]) => printable(keys.map(String).join('.'));
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(trainConfigSchema, issue.path, value);
    return issue.keys
      .map((key) => {
        const near = nearest(key, known);
        const hint = near ? `; did you mean ${near}?` : '';
        return `${name([...issue.path, key])}: there is no such setting${hint}`;
      })
      .join('; ');
  }
  const got = valueAt(value, issue.path);
  const shown =
    issue.code === 'custom' ? '' : `, got ${got === undefined ? 'nothing' : printable(JSON.stringify(got))}`;
  return `${name(issue.path)}: ${expectation(issue)}${shown}`;
}

/** Checks a complete configuration. Throws a {@link GhostkitError} in one line that names the settings and what is wrong. */
export function checkConfig(value: unknown): TrainConfig {
  const result = trainConfigSchema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  const lines = issues.slice(0, 3).map((issue) => explain(issue, value));
  const more = issues.length > 3 ? `; and ${issues.length - 3} more` : '';
  throw new GhostkitError(`${lines.join('; ')}${more}`);
}

/**
 * A complete configuration out of settings, of which the later win over the earlier: the defaults, the recipe (named beside them or in
 * them as `recipe`), then each of `layers`, such as a file and flags.
 *
 * @throws GhostkitError in one line for a setting that does not exist (with the nearest name), or a value that is none.
 */
export function resolveConfig(layers: readonly Json[], recipe?: string): TrainConfig {
  const named = layers.map(({ recipe: name }) => name ?? undefined).findLast((name) => name !== undefined);
  const chosen = recipe ?? named;
  if (chosen !== undefined && typeof chosen !== 'string') throw new GhostkitError('recipe: expected a name');
  const plain = layers.map(({ recipe: _, ...settings }) => settings);
  const all = chosen === undefined ? plain : [{ ...findRecipe(chosen), recipe: chosen }, ...plain];
  return checkConfig(all.reduce<Json>(mergeSettings, DEFAULTS as unknown as Json));
}

/** Reads a configuration file's JSON. Throws a {@link GhostkitError} when it is none. */
export function parseConfig(text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new GhostkitError(`the configuration is no JSON (${messageOf(error)})`, { cause: error });
  }
  if (!isObject(value)) throw new GhostkitError('the configuration is no JSON object');
  return value;
}
