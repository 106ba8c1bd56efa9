import { GhostkitError } from '../../tensor/error.js';
import type { DType } from '../../tensor/tensor.js';

/** Element types of PyTorch's storages: those of host tensors and three that are widened on reading. */
export type StorageType = DType | 'float16' | 'bfloat16' | 'int16';

export const STORAGE_BYTES: Record<StorageType, number> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

/** An object of a class that does not exist here: what it was made of, inert. */
export class Placeholder {
  state: unknown;
  constructor(
    readonly className: string,
    readonly args: readonly unknown[],
  ) {}
}

/** A Python name in a pickle. It can be stored like any value; only one with `call` can be called. */
export class GlobalName {
  constructor(
    readonly name: string,
    readonly call?: (args: readonly unknown[]) => unknown,
    readonly storage?: StorageType,
  ) {}
}

/** A flat array of the file, of `length` elements; `load` gets its bytes, once they are wanted. */
export interface Storage {
  readonly type: StorageType;
  readonly length: number;
  readonly bigEndian: boolean;
  readonly load: () => Uint8Array;
}

/** A strided view of a storage, checked to lie inside it; offset and strides count elements. */
export class TensorRef {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/** The refusal of a pickle that would call something; nothing has been run. */
export class RefusedError extends GhostkitError {}

/**
 * What reading one file may allocate, in bytes. A file can claim far more than it holds (many views of one storage,
 * a deflated run of zeros), so the whole is bounded by its size.
 */
export class Budget {
  private left: number;
  constructor(fileBytes: number) {
    this.left = 64 * 2 ** 20 + 8 * fileBytes;
  }
  take(bytes: number): void {
    this.left -= bytes;
    if (this.left < 0) throw new GhostkitError('refused: the file unpacks to far more than its size');
  }
}

export const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
