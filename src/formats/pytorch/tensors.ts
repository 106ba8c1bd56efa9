import { GhostkitError } from '../../tensor/error.js';
import { type DType, formatShape, sizeOf, type Tensor } from '../../tensor/tensor.js';
import { widenBfloat16, widenFloat16 } from '../half.js';
import { printable } from '../text.js';
import { type Budget, GlobalName, isIndex, STORAGE_BYTES, type StorageType, TensorRef } from './values.js';

/** PyTorch's own limit is 64. */
const MAX_RANK = 64;

/** An expanded tensor (stride 0) may have more elements than its storage, but not more than this. */
const MAX_EXPANDED = 2 ** 22;

type Elements =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint16Array
  | Uint8Array;

interface Decoding {
  readonly dtype: DType;
  readonly view: (bytes: Uint8Array<ArrayBuffer>) => Elements;
  readonly widen?: (elements: Elements) => Tensor['data'];
}

const DECODINGS: Record<StorageType, Decoding> = {
  float32: { dtype: 'float32', view: (b) => new Float32Array(b.buffer) },
  float64: { dtype: 'float64', view: (b) => new Float64Array(b.buffer) },
  float16: { dtype: 'float32', view: (b) => new Uint16Array(b.buffer), widen: (e) => widenFloat16(e as Uint16Array) },
  bfloat16: { dtype: 'float32', view: (b) => new Uint16Array(b.buffer), widen: (e) => widenBfloat16(e as Uint16Array) },
  int64: { dtype: 'int64', view: (b) => new BigInt64Array(b.buffer) },
  int32: { dtype: 'int32', view: (b) => new Int32Array(b.buffer) },
  int16: { dtype: 'int32', view: (b) => new Int16Array(b.buffer), widen: (e) => Int32Array.from(e as Int16Array) },
  int8: { dtype: 'int8', view: (b) => new Int8Array(b.buffer) },
  uint8: { dtype: 'uint8', view: (b) => b },
  bool: { dtype: 'bool', view: (b) => b.map((v) => (v ? 1 : 0)) },
};

const isIndexList = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MAX_RANK && value.every(isIndex);

/** What a pickle's persistent id may stand for: an element type, a storage's key, and its length in elements. */
export function parseStorageId(id: unknown): { type: StorageType; key: string; length: number } {
  if (!Array.isArray(id) || id[0] !== 'storage')
    throw new GhostkitError('it refers to something that is not a storage');
  const [, kind, key, , length] = id;
  const type = kind instanceof GlobalName ? kind.storage : undefined;
  if (!type) {
    const name = kind instanceof GlobalName ? printable(kind.name) : 'an unnamed type';
    throw new GhostkitError(`storages of ${name} are not supported`);
  }
  if (typeof key !== 'string' || !isIndex(length)) throw new GhostkitError('a storage has no key or no length');
  if (id[5] != null) throw new GhostkitError('views of storages, as PyTorch before 0.4 wrote them, are not supported');
  return { type, key, length };
}

/** `torch._utils._rebuild_tensor_v2`: a view of a storage, checked to lie inside it. */
export function rebuildTensor(args: readonly unknown[]): TensorRef {
  const [storage, offset, shape, strides] = args;
  if (!isStorage(storage)) throw new GhostkitError('a tensor has no storage');
  if (!isIndex(offset) || !isIndexList(shape) || !isIndexList(strides) || shape.length !== strides.length) {
    throw new GhostkitError('a tensor has no valid offset, shape and strides');
  }
  let elements = 1;
  let last = offset;
  for (let i = 0; i < shape.length; i++) {
    elements *= shape[i];
    last += (shape[i] - 1) * strides[i];
  }
  if (elements === 0) return new TensorRef(storage, 0, shape, strides);
  if (!(elements <= Math.max(storage.length, MAX_EXPANDED))) {
    throw new GhostkitError(`a tensor of shape ${formatShape(shape)} expands a storage of ${storage.length} elements`);
  }
  if (!(last < storage.length)) {
    throw new GhostkitError(
      `a tensor of shape ${formatShape(shape)} overruns its storage of ${storage.length} elements`,
    );
  }
  return new TensorRef(storage, offset, shape, strides);
}

const isStorage = (value: unknown): value is TensorRef['storage'] =>
  typeof value === 'object' && value !== null && 'load' in value && 'bigEndian' in value;

/** The elements of a view of the file, row-major, widened where host tensors have no such type. */
export function readTensor(ref: TensorRef, budget: Budget): Tensor {
  const { storage, offset, shape, strides } = ref;
  const { dtype, view, widen } = DECODINGS[storage.type];
  const width = STORAGE_BYTES[storage.type];
  const elements = sizeOf(shape);
  const span = elements && 1 + shape.reduce((last, size, i) => last + (size - 1) * strides[i], 0);
  budget.take(Math.max(elements, span) * Math.max(width, 4));
  // Copied: the bytes need not be aligned, and the file need not stay in memory.
  const bytes = new Uint8Array(span * width);
  bytes.set(storage.load().subarray(offset * width, (offset + span) * width));
  if (storage.bigEndian && width > 1)
    for (let i = 0; i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
  const source = view(bytes);
  const dense = isContiguous(shape, strides) ? source : gather(source, shape, strides, elements);
  return { dtype, shape: [...shape], data: widen ? widen(dense) : (dense as Tensor['data']) };
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return shape.includes(0);
    expected *= shape[i];
  }
  return true;
}

function gather<T extends Elements>(
  source: T,
  shape: readonly number[],
  strides: readonly number[],
  elements: number,
): T {
  const out = new (source.constructor as new (length: number) => T)(elements);
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let to = 0; to < elements; to++) {
    out[to] = source[from];
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d];
      if (++index[d] < shape[d]) break;
      from -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return out;
}
