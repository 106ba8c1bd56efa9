import { GhostkitError } from '../tensor/error.js';
import type { Tensor } from '../tensor/tensor.js';
import { type CheckpointFormat, detectFormat } from './detect.js';
import type { PyTorchFile } from './pytorch/pytorch.js';
import { readSafetensors } from './safetensors.js';
import { printable } from './text.js';

export { type LoadStateOptions, loadState } from './load-state.js';

/** A model's parameters and buffers by their names in the original, e.g. `blocks.3.0.ghost1.primary_conv.0.weight`. */
export type StateDict = Map<string, Tensor>;

export interface CheckpointOptions {
  /**
   * Which weights to take from a training checkpoint that has both: the averaged ones (`ema`) or the plain ones
   * (`model`). Either falls back to the other when the file lacks it. By default the plain ones, unless they are
   * unusable (all zeros, or not finite).
   */
  readonly prefer?: 'ema' | 'model';
}

export interface Checkpoint {
  readonly state: StateDict;
  /** The numbers and strings beside the weights, such as `epoch` and `arch`; for safetensors its metadata. */
  readonly metadata: Record<string, string>;
  /** The key the weights stood under, such as `state_dict_ema`, or `root` when the file is the state dict itself. */
  readonly source: string;
  readonly format: CheckpointFormat;
  /** The type of every tensor in the file's words, before halves were widened to float32. */
  readonly storedTypes: readonly string[];
}

const EMA_KEYS = ['state_dict_ema', 'model_ema', 'ema', 'ema_state_dict'];
const MODEL_KEYS = ['state_dict', 'model', 'model_state_dict', 'module', 'net'];

/** What DataParallel, Lightning and averaged models put before every name. */
const PREFIXES = ['module.', 'model.'];

/**
 * Reads the weights of a checkpoint: safetensors, or what `torch.save` wrote, told apart by their content.
 * A training checkpoint is unwrapped (`state_dict`, `model`, `state_dict_ema`, ...), what is not a tensor is ignored, and
 * the prefixes `module.`, `model.` and `_orig_mod.` are removed when every name has them.
 *
 * @throws GhostkitError when the file is damaged, holds no weights, or would run code if Python loaded it.
 */
export async function parseCheckpoint(bytes: Uint8Array, options: CheckpointOptions = {}): Promise<Checkpoint> {
  const format = detectFormat(bytes);
  if (format === 'safetensors') {
    const { tensors, metadata, storedTypes } = readSafetensors(bytes);
    if (tensors.size === 0) throw new GhostkitError('the file holds no tensors');
    return { state: withPlainNames(tensors), metadata, source: 'root', format, storedTypes };
  }
  // Loaded when it is needed: a page that reads safetensors need not carry it.
  const { openPyTorch, TensorRef, Placeholder } = await import('./pytorch/pytorch.js');
  const file = await openPyTorch(bytes, format);
  const found = findStates(file.root, (value) => value instanceof TensorRef);
  if (format === 'pickle' || found.length === 0) {
    const what =
      file.root instanceof Placeholder ? `an object of ${printable(file.root.className)}` : describe(file.root);
    throw new GhostkitError(`the file holds no weights, only ${what}; save the model's state_dict()`);
  }
  const { state, source, refs } = choose(found, file, options.prefer);
  const storedTypes = [...refs.values()].map(({ storage }) => storage.type);
  return { state: withPlainNames(state), metadata: scalarsOf(file.root), source, format, storedTypes };
}

function describe(root: unknown): string {
  if (!(root instanceof Map)) return 'a value that is not a dict';
  const keys = [...root.keys()].filter((key) => typeof key === 'string');
  const shown = keys.slice(0, 5).map((key) => printable(key, 40));
  return keys.length ? `a dict of ${shown.join(', ')}${keys.length > 5 ? ', …' : ''}` : 'a dict without names';
}

type Refs = Map<string, Parameters<PyTorchFile['read']>[0]>;

interface Found {
  readonly kind: 'ema' | 'model';
  readonly source: string;
  readonly refs: Refs;
}

/** The state dicts of a checkpoint, best known first; the file itself only when nothing in it is wrapped. */
function findStates(root: unknown, isTensor: (value: unknown) => boolean): Found[] {
  if (!(root instanceof Map)) return [];
  const tensorsOf = (value: unknown): Refs | undefined => {
    if (!(value instanceof Map)) return undefined;
    const refs = new Map([...value].filter(([key, item]) => typeof key === 'string' && isTensor(item))) as Refs;
    return refs.size ? refs : undefined;
  };
  const found: Found[] = [];
  for (const kind of ['model', 'ema'] as const) {
    for (const key of kind === 'ema' ? EMA_KEYS : MODEL_KEYS) {
      const value: unknown = root.get(key);
      if (!(value instanceof Map)) continue;
      const refs = tensorsOf(value);
      if (refs) found.push({ kind, source: key, refs });
      for (const inner of refs ? [] : MODEL_KEYS) {
        const innerRefs = tensorsOf(value.get(inner));
        if (innerRefs) found.push({ kind, source: `${key}.${inner}`, refs: innerRefs });
      }
    }
  }
  const own = found.length ? undefined : tensorsOf(root);
  return own ? [{ kind: 'model', source: 'root', refs: own }] : found;
}

function choose(
  found: Found[],
  file: PyTorchFile,
  prefer: CheckpointOptions['prefer'],
): { state: StateDict; source: string; refs: Refs } {
  const first = (kind: Found['kind']) => found.find((f) => f.kind === kind);
  const load = ({ refs, source }: Found) => {
    const state: StateDict = new Map();
    for (const [name, ref] of refs) {
      try {
        state.set(name, file.read(ref));
      } catch (error) {
        if (!(error instanceof GhostkitError)) throw error;
        throw new GhostkitError(`${printable(name)}: ${error.message}`);
      }
    }
    return { state, source, refs };
  };
  const model = first('model');
  const ema = first('ema');
  if (!model || !ema) return load((model ?? ema) as Found);
  if (prefer) return load(prefer === 'ema' ? ema : model);
  const plain = load(model);
  if (isUsable(plain.state)) return plain;
  const averaged = load(ema);
  return isUsable(averaged.state) ? averaged : plain;
}

/** Whether the weights can be anything: not all zeros, and all finite. */
function isUsable(state: StateDict): boolean {
  let nonZero = false;
  for (const { dtype, data } of state.values()) {
    if (dtype !== 'float32' && dtype !== 'float64') continue;
    for (const value of data as Float32Array | Float64Array) {
      if (!Number.isFinite(value)) return false;
      if (value !== 0) nonZero = true;
    }
  }
  return nonZero;
}

function withPlainNames(state: StateDict): StateDict {
  // The counter of torch.optim.swa_utils.AveragedModel stands beside `module.`.
  let names = [...state.keys()].filter((name) => name !== 'n_averaged' || state.size === 1);
  const originals = names;
  names = names.map((name) => name.replace(/(^|\.)_orig_mod\./g, '$1'));
  for (;;) {
    const prefix = PREFIXES.find((p) => names.every((name) => name.startsWith(p) && name.length > p.length));
    if (!prefix) break;
    names = names.map((name) => name.slice(prefix.length));
  }
  const plain: StateDict = new Map(names.map((name, i) => [name, state.get(originals[i]) as Tensor]));
  return plain.size === originals.length ? plain : state;
}

function scalarsOf(root: unknown): Record<string, string> {
  if (!(root instanceof Map)) return {};
  const scalars: [string, string][] = [];
  for (const [key, value] of root) {
    if (typeof key !== 'string') continue;
    if (typeof value === 'string' ? value.length <= 1000 : ['number', 'bigint', 'boolean'].includes(typeof value)) {
      scalars.push([key, String(value)]);
    }
  }
  return Object.fromEntries(scalars);
}
