import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, float32, formatShape, type Shape, sizeOf } from '../tensor/tensor.js';
import { widenFloat16 } from './half.js';
import { isObject } from './json.js';
import { printable } from './text.js';

/** How TensorFlow.js stores a tensor: its elements' type in the file and the affine map that undoes the quantisation. */
interface Storage {
  readonly type: 'float32' | 'float16' | 'uint8' | 'uint16';
  readonly scale: number;
  readonly min: number;
}

interface Entry {
  readonly name: string;
  readonly shape: Shape;
  readonly storage: Storage;
}

const BYTES: Record<Storage['type'], number> = { float32: 4, float16: 2, uint8: 1, uint16: 2 };

function fail(what: string): never {
  throw new GhostkitError(`not a valid TensorFlow.js weights manifest: ${what}`);
}

const list = (value: unknown, what: string): unknown[] =>
  Array.isArray(value) ? value : fail(`${what} is not a list`);

function entryOf(value: unknown): Entry {
  if (!isObject(value) || typeof value.name !== 'string') fail('a weight has no name');
  const name = printable(value.name);
  const shape = list(value.shape, `the shape of ${name}`).map((d) =>
    Number.isSafeInteger(d) && (d as number) >= 0 ? (d as number) : fail(`the shape of ${name}`),
  );
  if (!Number.isSafeInteger(sizeOf(shape))) fail(`the shape of ${name}`);
  if (value.dtype !== 'float32') fail(`${name} has the type ${printable(String(value.dtype))}, only float32 is known`);
  return { name: value.name, shape, storage: storageOf(name, value.quantization) };
}

function storageOf(name: string, quantization: unknown): Storage {
  if (quantization === undefined) return { type: 'float32', scale: 1, min: 0 };
  if (!isObject(quantization)) fail(`the quantization of ${name}`);
  const { dtype, scale, min } = quantization;
  if (dtype === 'float16') return { type: 'float16', scale: 1, min: 0 };
  if (dtype !== 'uint8' && dtype !== 'uint16') fail(`the quantization of ${name}`);
  if (!Number.isFinite(scale) || !Number.isFinite(min)) fail(`the quantization of ${name}`);
  return { type: dtype, scale: scale as number, min: min as number };
}

function decode({ name, shape, storage }: Entry, bytes: Uint8Array, at: number): FloatTensor {
  const { type, scale, min } = storage;
  const end = at + sizeOf(shape) * BYTES[type];
  if (end > bytes.length) fail(`${printable(name)} ${formatShape(shape)} ends beyond its ${bytes.length} bytes`);
  // A copy, so that it is aligned; `slice` of Node's buffers makes none.
  const { buffer } = new Uint8Array(bytes.subarray(at, end));
  if (type === 'float32') return float32(shape, new Float32Array(buffer));
  if (type === 'float16') return float32(shape, widenFloat16(new Uint16Array(buffer)));
  const quantized = type === 'uint8' ? new Uint8Array(buffer) : new Uint16Array(buffer);
  return float32(
    shape,
    Float32Array.from(quantized, (q) => q * scale + min),
  );
}

/**
 * The tensors of TensorFlow.js weights: a manifest and the binary files that it names (`shards`, by their path in the
 * manifest). Tensors quantised to 8 or 16 bits are widened: `q * scale + min`. Names and layouts are the file's own:
 * convolutions are `[height, width, in, out]`, linear layers `[in, out]`.
 *
 * @throws GhostkitError when the manifest is not valid, or a binary file is missing or of another length than it says.
 */
export function readTfjsWeights(manifest: string, shards: ReadonlyMap<string, Uint8Array>): Map<string, FloatTensor> {
  const tensors = new Map<string, FloatTensor>();
  for (const { paths, entries } of parseTfjsManifest(manifest)) {
    const parts = paths.map((path) => shards.get(path) ?? fail(`the file ${printable(path)} is missing`));
    const bytes = concatenated(parts);
    let at = 0;
    for (const entry of entries) {
      if (tensors.has(entry.name)) fail(`two weights are named ${printable(entry.name)}`);
      tensors.set(entry.name, decode(entry, bytes, at));
      at += sizeOf(entry.shape) * BYTES[entry.storage.type];
    }
    if (at !== bytes.length) fail(`${paths.map((p) => printable(p)).join(', ')}: ${bytes.length} bytes for ${at}`);
  }
  return tensors;
}

/** The binary files that a manifest names. */
export function tfjsShards(manifest: string): string[] {
  return parseTfjsManifest(manifest).flatMap(({ paths }) => paths);
}

function parseTfjsManifest(text: string): { paths: string[]; entries: Entry[] }[] {
  let groups: unknown;
  try {
    groups = JSON.parse(text);
  } catch {
    fail('it is not JSON');
  }
  return list(groups, 'it').map((group) => {
    if (!isObject(group)) fail('a group of weights is not an object');
    const paths = list(group.paths, 'paths').map((path) => (typeof path === 'string' ? path : fail('a path')));
    return { paths, entries: list(group.weights, 'weights').map(entryOf) };
  });
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
