import { GhostkitError } from '../../tensor/error.js';
import type { Dataset } from '../dataset.js';
import {
  type Batch,
  closedError,
  type LoaderOptions,
  type Slot,
  slotMemory,
  slotOf,
  type Unreadable,
} from './batch.js';
import { BatchMaker, batchesPerEpoch } from './batch-maker.js';
import { type CacheMemory, cacheMemory, PixelCache } from './cache.js';

export interface LoadingOptions extends LoaderOptions {
  /** Threads that decode and augment; default 0, which does it in this one. What comes out is the same for any number. */
  readonly workers?: number;
  /** Batches that are made ahead, at least one for each worker; default two for each. */
  readonly prefetch?: number;
  /** Bytes of decoded pictures to keep; default 0. At most 4 GiB are used. */
  readonly cacheBytes?: number;
}

/** Makes batches in slots, in whatever order they get ready. */
export interface Makers {
  /** Fills slot `slot`; resolves to the number of pictures in it. */
  make(slot: number, epoch: number, number: number): Promise<number>;
  close(): Promise<void>;
}

/** Batches of a data set, made ahead of time. See {@link createLoader}. */
export class Loader {
  private readonly skipped = new Map<number, Unreadable>();
  private makers: Makers | undefined;
  private slots: readonly Slot[] = [];
  private running = false;

  private constructor(
    readonly dataset: Dataset,
    readonly options: LoadingOptions,
    /** Batches in an epoch. */
    readonly batches: number,
  ) {}

  /** Starts the workers; see {@link createLoader}. */
  static async create(dataset: Dataset, options: LoadingOptions): Promise<Loader> {
    const { workers = 0, cacheBytes = 0, batchSize } = options;
    for (const [name, value, least] of [
      ['batch size', batchSize, 1],
      ['workers', workers, 0],
    ] as const) {
      if (!Number.isInteger(value) || value < least) {
        throw new GhostkitError(`${name}: a whole number of at least ${least}, got ${value}`);
      }
    }
    if (dataset.length === 0) throw new GhostkitError('there are no pictures in the data set');
    const loader = new Loader(dataset, options, batchesPerEpoch(dataset.length, options));
    // Without workers nothing is made ahead: there is nobody to do it.
    const prefetch = workers === 0 ? 1 : Math.max(workers, options.prefetch ?? 2 * workers);
    const memory = Array.from({ length: prefetch + 1 }, () => slotMemory(options, dataset.classes.length, workers > 0));
    loader.slots = memory.map(slotOf);
    const cache: CacheMemory | undefined = cacheBytes > 0 ? cacheMemory(dataset.length, cacheBytes) : undefined;
    const onUnreadable = (picture: Unreadable) => loader.skipped.set(picture.index, picture);
    if (workers === 0) {
      const maker = new BatchMaker(dataset, options, cache && new PixelCache(cache), onUnreadable);
      loader.makers = {
        make: (slot, epoch, number) => maker.make(epoch, number, loader.slots[slot]),
        close: async () => {},
      };
    } else {
      const { records } = dataset;
      if (!records) throw new GhostkitError('this data set is in memory, which workers do not see; use 0 workers');
      const { startWorkers } = await import('./pool.js');
      // Only what the workers need, and can be sent.
      const { preprocessing, mode, augmentation, mixing, mixUntil, smoothing, seed, shortSide } = options;
      const plain = { batchSize, preprocessing, mode, augmentation, mixing, mixUntil, smoothing, seed, shortSide };
      loader.makers = await startWorkers(workers, { records, options: plain, memory, cache }, onUnreadable);
    }
    return loader;
  }

  /** The pictures found so far that cannot be read, in the order of their numbers. */
  get unreadable(): readonly Unreadable[] {
    return [...this.skipped.values()].sort((a, b) => a.index - b.index);
  }

  /**
   * The batches of an epoch from number `from` on. One epoch at a time; leaving the loop early is fine.
   *
   * @throws GhostkitError when none of the pictures can be read, or the loader is closed meanwhile.
   */
  async *epoch(epoch: number, from = 0): AsyncGenerator<Batch, void, undefined> {
    const { makers, slots } = this;
    if (!makers) throw closedError();
    if (this.running) throw new GhostkitError('the loader is in the middle of another epoch');
    this.running = true;
    const free = Array.from(slots.keys());
    const inOrder: { readonly slot: number; readonly count: Promise<number> }[] = [];
    let next = from;
    const start = () => {
      // One slot is what the caller looks at.
      while (free.length > 0 && next < this.batches && inOrder.length < slots.length - 1) {
        const slot = free.shift() as number;
        const count = makers.make(slot, epoch, next++);
        // Seen when its turn comes; until then it is no unhandled rejection.
        count.catch(() => {});
        inOrder.push({ slot, count });
      }
    };
    try {
      start();
      for (let number = from; number < this.batches; number++) {
        const { slot, count } = inOrder.shift() as (typeof inOrder)[number];
        const filled = await count;
        if (this.makers !== makers) throw closedError();
        start();
        yield { epoch, number, count: filled, ...slots[slot] };
        free.push(slot);
      }
    } finally {
      await Promise.allSettled(inOrder.map(({ count }) => count));
      this.running = false;
    }
  }

  /** Ends the workers. The loader cannot be used afterwards. */
  async close(): Promise<void> {
    const { makers } = this;
    this.makers = undefined;
    await makers?.close();
  }
}

/**
 * A loader of batches. Which pictures a batch has and how they are augmented follows from the seed, the epoch and the batch's number,
 * so that training resumes at any batch as if it had never stopped.
 *
 * @throws GhostkitError when there are too few pictures for a batch, or workers are asked to read a data set that is in memory.
 */
export function createLoader(dataset: Dataset, options: LoadingOptions): Promise<Loader> {
  return Loader.create(dataset, options);
}
