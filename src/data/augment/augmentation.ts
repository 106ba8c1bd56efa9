import type { Random } from '../random.js';
import type { RgbImage } from '../resample.js';
import { centerCrop, type Normalisation, normalisation, type Preprocessing, writePlanes } from '../transform.js';
import { type ColorJitter, colorJitter } from './color.js';
import { flipHorizontal, type ResizedCrop, randomPaddedCrop, randomResizedCrop } from './crop.js';
import { type RandomErasing, randomErase } from './erasing.js';
import { type RandAugment, randAugment } from './rand-augment.js';

/** What is done to each picture of training, in this order; what is left out is not done. Plain data, that a thread can be sent. */
export interface Augmentation {
  readonly crop:
    | ({ readonly kind: 'resized' } & ResizedCrop)
    /** The picture as evaluation sees it, with a black frame of `padding` pixels, and a random square out of it. */
    | { readonly kind: 'padded'; readonly padding: number }
    /** The square of evaluation. */
    | { readonly kind: 'center' };
  /** Probability of a mirrored picture. */
  readonly flip: number;
  readonly randAugment?: RandAugment;
  readonly colorJitter?: ColorJitter;
  readonly erasing?: RandomErasing;
}

/** Makes one picture into planes `[3, size, size]` from `start` of `out` on; `random` decides. */
export type Augmenter = (image: RgbImage, random: Random, out: Float32Array, start: number) => void;

function cut(image: RgbImage, { crop }: Augmentation, preprocessing: Preprocessing, random: Random): RgbImage {
  const { size } = preprocessing;
  if (crop.kind === 'resized') return randomResizedCrop(image, size, crop, random);
  const square = centerCrop(image, preprocessing);
  return crop.kind === 'padded' ? randomPaddedCrop(square, size, crop.padding, random) : square;
}

/**
 * The function that does an augmentation and normalises. Without one it is evaluation's: the square from the middle, and `random` is not
 * asked.
 */
export function augmenter(preprocessing: Preprocessing, augmentation?: Augmentation): Augmenter {
  const by: Normalisation = normalisation(preprocessing);
  const { size, mean } = preprocessing;
  if (!augmentation) {
    return (image, _, out, start) => writePlanes(centerCrop(image, preprocessing), by, out, start);
  }
  const { flip, randAugment: policy, colorJitter: jitter, erasing } = augmentation;
  const [r, g, b] = mean.map((v) => Math.min(255, Math.round(255 * v)));
  return (image, random, out, start) => {
    let picture = cut(image, augmentation, preprocessing, random);
    if (random.chance(flip)) picture = flipHorizontal(picture);
    if (policy) picture = randAugment(picture, policy, [r, g, b], random);
    if (jitter) picture = colorJitter(picture, jitter, random);
    writePlanes(picture, by, out, start);
    if (erasing) randomErase(out.subarray(start, start + 3 * size * size), size, erasing, random);
  };
}
