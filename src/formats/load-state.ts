import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape, sameShape, type Tensor } from '../tensor/tensor.js';
import type { StateDict } from './checkpoint.js';
import { printable } from './text.js';

export interface LoadStateOptions {
  /** Whether a key of the model may be missing in the file, and a key of the file unknown to the model. */
  readonly optional?: (key: string) => boolean;
  /** What to check when the weights do not fit, such as `is this width 1.0?`. */
  readonly hint?: string;
}

/** How many keys of each kind a message names. */
const SHOWN = 3;

/** Batch norm's step counter: nothing that is computed depends on it, and other frameworks leave it out. */
const isCounter = (key: string): boolean => key === 'num_batches_tracked' || key.endsWith('.num_batches_tracked');

function list(keys: readonly string[]): string {
  const shown = keys.slice(0, SHOWN).map((key) => printable(key));
  return keys.length > SHOWN ? `${shown.join(', ')}, …` : shown.join(', ');
}

/**
 * The tensors of `state` that a model needs, `expected` being its keys and their shapes.
 *
 * @returns The matched tensors by key; those that are optional and missing are left out.
 * @throws GhostkitError with one line that names the missing, unexpected and misshapen keys.
 */
export function loadState(
  expected: ReadonlyMap<string, Shape>,
  state: ReadonlyMap<string, Tensor>,
  options: LoadStateOptions = {},
): StateDict {
  const mayDiffer = (key: string) => isCounter(key) || options.optional?.(key) === true;
  const matched: StateDict = new Map();
  const missing: string[] = [];
  const misshapen: string[] = [];
  for (const [key, shape] of expected) {
    const found = state.get(key);
    if (found && sameShape(found.shape, shape)) matched.set(key, found);
    else if (found && !isCounter(key)) misshapen.push(key);
    else if (!found && !mayDiffer(key)) missing.push(key);
  }
  const unexpected = [...state.keys()].filter((key) => !expected.has(key) && !mayDiffer(key));

  const problems: string[] = [];
  if (misshapen.length) {
    const [key, ...others] = misshapen;
    const has = formatShape(state.get(key)?.shape ?? []);
    const needs = formatShape(expected.get(key) ?? []);
    problems.push(`${printable(key)}: the file has ${has}, the model needs ${needs}`);
    if (others.length) problems.push(`${others.length} more of another shape (${list(others)})`);
  }
  if (missing.length) problems.push(`${missing.length} missing (${list(missing)})`);
  if (unexpected.length) problems.push(`${unexpected.length} unexpected (${list(unexpected)})`);
  if (!problems.length) return matched;
  const intro = misshapen.length ? '' : 'the weights do not fit the model: ';
  throw new GhostkitError(intro + [...problems, ...(options.hint ? [options.hint] : [])].join('; '));
}
