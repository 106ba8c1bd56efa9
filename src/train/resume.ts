import { createHash } from 'node:crypto';
import { isObject } from '../formats/json.js';
import { printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import type { TrainingProgress } from './checkpoint.js';
import type { TrainConfig } from './config.js';
import { shortSideOf } from './loading.js';
import type { TrainingData } from './training-data.js';

/** What may be another in a resumed training: nothing of it changes what comes out, but for the epochs, of which there may be more. */
const FREE = [
  'epochs',
  'data',
  'threads',
  'workers',
  'cacheMB',
  'saveEverySteps',
  'saveEverySeconds',
  'output',
  'resume',
];

/** The same settings but for what a checkpoint from before these were kept cannot tell: its recipe, and a `shrinkTo` that comes to the same. */
function comparable(progress: TrainingProgress, config: TrainConfig): TrainConfig {
  if (progress.names !== undefined) return config;
  const { recipe, shrinkTo } = progress.config;
  const same = shortSideOf(progress.config) === shortSideOf(config);
  return { ...config, recipe, ...(same && { shrinkTo }) };
}

/** The first setting that differs, by its path; one that is not there is none, as null. */
function difference(
  before: unknown,
  now: unknown,
  path: string,
): { path: string; before: unknown; now: unknown } | undefined {
  if (!isObject(before) || !isObject(now)) {
    return JSON.stringify(before ?? null) === JSON.stringify(now ?? null) ? undefined : { path, before, now };
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (path === '' && FREE.includes(key)) continue;
    const found = difference(before[key], now[key], path ? `${path}.${key}` : key);
    if (found) return found;
  }
  return undefined;
}

const shown = (value: unknown) => (value === undefined ? 'nothing' : printable(JSON.stringify(value), 60));

/** A digest of which pictures there are, in which order and of which classes. */
export function digestOf({ train, val }: TrainingData): string {
  const hash = createHash('sha256');
  for (const set of [train, val]) {
    for (let i = 0; i < set.length; i++) hash.update(`${set.label(i)} ${set.name(i)}\0`);
    hash.update('\0');
  }
  return hash.digest('hex');
}

/**
 * Checks that a training can go on from a checkpoint as if it had never stopped.
 *
 * @throws GhostkitError in one line that names what differs.
 */
export function checkResumable(
  path: string,
  progress: TrainingProgress,
  config: TrainConfig,
  data: TrainingData,
): void {
  const fail = (what: string): never => {
    throw new GhostkitError(`${printable(path, 500)}: ${what}`);
  };
  const { model } = progress.config;
  if (model !== config.model) {
    fail(`this is a checkpoint of ${model}, not of ${config.model}; train that in a folder of its own`);
  }
  const { epochs } = progress.config;
  if (config.epochs < epochs) {
    fail(`it was begun with ${epochs} epochs; a training can be made longer, not shorter`);
  }
  const found = difference(progress.config, comparable(progress, config), '');
  if (found) {
    const { path: name, before, now } = found;
    fail(
      `it was begun with ${name} ${shown(before)}, not ${shown(now)}; give it as it was, or begin anew in another folder`,
    );
  }
  const { classes, length } = data.train;
  const same = classes.length === progress.classes.length && classes.every((name, i) => name === progress.classes[i]);
  if (!same) fail(`it tells apart ${progress.classes.length} classes, which are not the ${classes.length} of the data`);
  if (length !== progress.pictures) {
    fail(`it was begun with ${progress.pictures} pictures to train on, now there are ${length}`);
  }
  if (progress.names !== undefined && progress.names !== digestOf(data)) {
    fail('it was begun with pictures of other names, to train on or for validation; begin anew in another folder');
  }
}
