import { GhostkitError } from '../../tensor/error.js';
import type { Augmentation } from '../augment/augmentation.js';
import type { Mixing } from '../augment/mix.js';
import type { Preprocessing } from '../transform.js';

/** Some pictures as a network takes them. The arrays are the loader's, which writes to them again: they hold until the next batch is asked for. */
export interface Batch {
  readonly epoch: number;
  /** Its number in the epoch. */
  readonly number: number;
  /** How many pictures there are: `batchSize`, but for the last batch of an evaluation and for unreadable pictures there. */
  readonly count: number;
  /** `[batchSize, 3, size, size]`, normalised; zero beyond `count`. */
  readonly images: Float32Array;
  /** `[batchSize]`; -1 beyond `count`. Of a mixed batch those of the pictures that the others were mixed into. */
  readonly labels: Int32Array;
  /** `[batchSize, classes]` when the loader mixes: rows sum to 1, and label smoothing is in them. Zero beyond `count`. */
  readonly targets?: Float32Array;
  /** `[batchSize]`, the pictures' numbers in the data set; -1 beyond `count`. */
  readonly indices: Int32Array;
}

/** What a loader does, as plain data. */
export interface LoaderOptions {
  readonly batchSize: number;
  /** `size`, normalisation, and how pictures are cut for evaluation. */
  readonly preprocessing: Preprocessing;
  /** `train`: every epoch in an order of its own, full batches only. `eval`: all pictures once, in order. */
  readonly mode: 'train' | 'eval';
  /** What is done to the pictures; without it they come as for evaluation. */
  readonly augmentation?: Augmentation;
  /** Mixing within batches; soft targets come with it. */
  readonly mixing?: Mixing;
  /** The first epoch without mixing; default none. Targets are still there. */
  readonly mixUntil?: number;
  /** Label smoothing within the soft targets of mixing, 0 to 1; default 0. */
  readonly smoothing?: number;
  /** What order, augmentation and mixing are drawn from; default 0. */
  readonly seed?: number;
  /** Larger pictures may be shrunk to this short side when they are decoded. Not for evaluation, whose pixels are exact. */
  readonly shortSide?: number;
}

/** The memory of some batches. */
export interface SlotMemory {
  readonly images: SharedArrayBuffer | ArrayBuffer;
  readonly labels: SharedArrayBuffer | ArrayBuffer;
  readonly indices: SharedArrayBuffer | ArrayBuffer;
  readonly targets?: SharedArrayBuffer | ArrayBuffer;
}

/** The arrays of one batch. */
export interface Slot {
  readonly images: Float32Array;
  readonly labels: Int32Array;
  readonly indices: Int32Array;
  readonly targets?: Float32Array;
}

/** Memory for one batch, to be shared with threads or not. */
export function slotMemory(
  { batchSize, preprocessing: { size }, mixing }: LoaderOptions,
  classes: number,
  shared: boolean,
): SlotMemory {
  const of = (elements: number) => (shared ? new SharedArrayBuffer(elements * 4) : new ArrayBuffer(elements * 4));
  return {
    images: of(batchSize * 3 * size * size),
    labels: of(batchSize),
    indices: of(batchSize),
    ...(mixing && { targets: of(batchSize * classes) }),
  };
}

export function slotOf({ images, labels, indices, targets }: SlotMemory): Slot {
  return {
    images: new Float32Array(images),
    labels: new Int32Array(labels),
    indices: new Int32Array(indices),
    ...(targets && { targets: new Float32Array(targets) }),
  };
}

/** What a loader that was closed answers, whoever still waits for a batch included. */
export const closedError = () => new GhostkitError('the loader is closed');

/** A picture that cannot be read, and why. */
export interface Unreadable {
  readonly index: number;
  readonly name: string;
  readonly reason: string;
}
