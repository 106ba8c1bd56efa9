import { GhostkitError } from '../../tensor/error.js';
import { type Augmenter, augmenter } from '../augment/augmentation.js';
import { drawMix, mixImages, mixTargets } from '../augment/mix.js';
import type { Dataset } from '../dataset.js';
import { fewAtOnce } from '../few-at-once.js';
import { permutation, Random } from '../random.js';
import type { RgbImage } from '../resample.js';
import type { LoaderOptions, Slot, Unreadable } from './batch.js';
import type { PixelCache } from './cache.js';

// What a stream of random numbers is for, so that no two streams are the same.
const ORDER = 1;
const PICTURE = 2;
const MIX = 3;

/** The batches of an epoch. Throws a {@link GhostkitError} when training has too few pictures for one. */
export function batchesPerEpoch(length: number, { batchSize, mode }: LoaderOptions): number {
  if (mode === 'eval') return Math.ceil(length / batchSize);
  if (length < batchSize) {
    throw new GhostkitError(`the batch size is ${batchSize}, but there are only ${length} pictures to train on`);
  }
  return Math.floor(length / batchSize);
}

/**
 * Makes batches. Each is a function of the seed, the epoch and its number alone: not of the batches before it, the threads, the cache or
 * the time. An unreadable picture is replaced in training by the next readable one of the data set, and left out in evaluation.
 */
export class BatchMaker {
  private readonly augment: Augmenter;
  private readonly seed: number;
  private readonly unreadable = new Map<number, Unreadable>();
  private order: { readonly epoch: number; readonly indices: Int32Array } | undefined;

  constructor(
    private readonly dataset: Dataset,
    private readonly options: LoaderOptions,
    private readonly cache?: PixelCache,
    private readonly onUnreadable: (picture: Unreadable) => void = () => {},
  ) {
    this.augment = augmenter(options.preprocessing, options.augmentation);
    this.seed = options.seed ?? 0;
  }

  /** Fills a slot and returns how many pictures there are in it. */
  async make(epoch: number, number: number, slot: Slot): Promise<number> {
    const { batchSize, mode, mixing } = this.options;
    const order = this.orderOf(epoch);
    const wanted = order.subarray(number * batchSize, Math.min((number + 1) * batchSize, order.length));
    const indices = new Int32Array(wanted.length).fill(-1);
    await fewAtOnce(wanted.length, async (row) => {
      indices[row] = await this.fillRow(epoch, wanted[row], row, slot);
    });
    const count = mode === 'eval' ? this.close(indices, slot) : indices.length;
    slot.indices.fill(-1).set(indices.subarray(0, count));
    slot.labels.fill(-1);
    for (let row = 0; row < count; row++) slot.labels[row] = this.dataset.label(indices[row]);
    slot.images.fill(0, count * this.pictureLength);
    if (mixing) this.mix(epoch, number, count, slot);
    return count;
  }

  private get pictureLength(): number {
    return 3 * this.options.preprocessing.size ** 2;
  }

  private orderOf(epoch: number): Int32Array {
    if (this.options.mode === 'eval') {
      this.order ??= { epoch, indices: Int32Array.from({ length: this.dataset.length }, (_, i) => i) };
    } else if (this.order?.epoch !== epoch) {
      this.order = { epoch, indices: permutation(this.dataset.length, new Random(this.seed, ORDER, epoch)) };
    }
    return this.order.indices;
  }

  /** Writes a picture into its row; returns the number of the one that it is, or -1 for none. */
  private async fillRow(epoch: number, index: number, row: number, slot: Slot): Promise<number> {
    const { length } = this.dataset;
    const tries = this.options.mode === 'train' ? length : 1;
    for (let k = 0; k < tries; k++) {
      const i = (index + k) % length;
      const image = this.cache?.get(i) ?? (await this.decode(i));
      if (!image) continue;
      // The wanted picture's stream, so that a stand-in is not the same twice in an epoch.
      this.augment(image, new Random(this.seed, PICTURE, epoch, index), slot.images, row * this.pictureLength);
      return i;
    }
    if (this.options.mode === 'train') throw new GhostkitError('none of the pictures can be read');
    return -1;
  }

  private async decode(i: number): Promise<RgbImage | undefined> {
    if (this.unreadable.has(i)) return undefined;
    const { shortSide } = this.options;
    try {
      const image = await this.dataset.pixels(i, { shortSide });
      this.cache?.put(i, image);
      return image;
    } catch (error) {
      if (!(error instanceof GhostkitError)) throw error;
      const picture = { index: i, name: this.dataset.name(i), reason: error.message };
      if (!this.unreadable.has(i)) this.onUnreadable(picture);
      this.unreadable.set(i, picture);
      return undefined;
    }
  }

  /** Moves rows up to where there is none; returns how many there are. */
  private close(indices: Int32Array, { images }: Slot): number {
    let count = 0;
    for (let row = 0; row < indices.length; row++) {
      if (indices[row] < 0) continue;
      if (row > count) {
        images.copyWithin(count * this.pictureLength, row * this.pictureLength, (row + 1) * this.pictureLength);
        indices[count] = indices[row];
      }
      count++;
    }
    return count;
  }

  private mix(epoch: number, number: number, count: number, { images, labels, targets }: Slot): void {
    const { mixing, mixUntil = Number.POSITIVE_INFINITY, smoothing = 0, preprocessing } = this.options;
    if (!mixing || !targets) return;
    const wanted = epoch < mixUntil ? mixing : { ...mixing, probability: 0 };
    const mix = drawMix(wanted, preprocessing.size, new Random(this.seed, MIX, epoch, number));
    mixImages(images, count, preprocessing.size, mix);
    mixTargets(labels, count, this.dataset.classes.length, smoothing, mix.share, targets);
    targets.fill(0, count * this.dataset.classes.length);
  }
}
