import type { Dataset } from '../data/dataset.js';
import type { Unreadable } from '../data/loader/batch.js';
import { createLoader, type Loader, type LoadingOptions } from '../data/loader/loader.js';
import type { TrainConfig } from './config.js';
import { EVALUATION_BATCH } from './evaluate.js';
import { evalLoading, inputSizeAt, trainLoading } from './loading.js';
import type { TrainingData } from './training-data.js';

/** Workers do not see pictures in memory: those are prepared by the thread that has them. */
const open = (dataset: Dataset, options: LoadingOptions): Promise<Loader> =>
  createLoader(dataset, dataset.records ? options : { ...options, workers: 0 });

/** What gives a training its pictures. */
export class Loaders {
  /** What loaders found that are no longer there. */
  private readonly before: Unreadable[] = [];

  private constructor(
    private readonly config: TrainConfig,
    private readonly data: TrainingData,
    /** Of the pictures to train on, in the size of the epoch. */
    public training: Loader,
    /** Of the pictures for evaluation. */
    public held: Loader,
  ) {}

  static async open(config: TrainConfig, data: TrainingData, epoch?: number): Promise<Loaders> {
    const held = await open(data.val, evalLoading(config, Math.min(EVALUATION_BATCH, data.val.length)));
    try {
      return new Loaders(config, data, await open(data.train, trainLoading(config, epoch)), held);
    } catch (error) {
      await held.close();
      throw error;
    }
  }

  /** The pictures so far that cannot be read. */
  get unreadable(): Unreadable[] {
    const { training, held, before } = this;
    const seen = new Map([...before, ...training.unreadable].map((picture) => [picture.index, picture]));
    return [...seen.values(), ...held.unreadable];
  }

  /** Whether an epoch wants pictures of another size. */
  isOfOtherSize(epoch: number): boolean {
    return inputSizeAt(this.config, epoch) !== this.training.options.preprocessing.size;
  }

  /** Gets ready for the pictures of an epoch of another size. */
  async resize(epoch: number): Promise<void> {
    this.before.push(...this.training.unreadable);
    await this.training.close();
    this.training = await open(this.data.train, trainLoading(this.config, epoch));
  }

  /** Evaluates half as many pictures at a time. Returns `false` when it is one already. */
  async halve(): Promise<boolean> {
    const { batchSize } = this.held.options;
    if (batchSize === 1) return false;
    await this.held.close();
    this.held = await open(this.data.val, evalLoading(this.config, batchSize >> 1));
    return true;
  }

  async close(): Promise<void> {
    await Promise.all([this.training.close(), this.held.close()]);
  }
}
