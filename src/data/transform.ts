import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, float32 } from '../tensor/tensor.js';
import { type Interpolation, type Raster, type Region, type RgbImage, resample, sourceOf } from './resample.js';
import { roundHalfEven } from './round.js';

/** What a picture goes through before a network sees it. */
export interface Preprocessing {
  /** The side of the square that the network sees. */
  readonly size: number;
  /** `size` over the short side of the resized picture from whose middle the square is cut. */
  readonly cropRatio: number;
  readonly interpolation: Interpolation;
  /** Per channel, of pixels in 0 to 1. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** How RepGhostNet was evaluated on ImageNet; the GhostNet paper's code differs in `interpolation: 'bilinear'`. */
export const IMAGENET: Preprocessing = {
  size: 224,
  cropRatio: 0.875,
  interpolation: 'bicubic',
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

function check({ size, cropRatio }: Preprocessing): void {
  if (!Number.isInteger(size) || size < 1) throw new GhostkitError(`the size must be a positive integer, got ${size}`);
  if (!(cropRatio > 0 && cropRatio <= 1)) {
    throw new GhostkitError(`the crop ratio must be more than 0 and at most 1, got ${cropRatio}`);
  }
}

/** A picture's size after resizing, and the square in the middle of it: with torchvision's roundings. */
function cropOf(image: { readonly width: number; readonly height: number }, { size, cropRatio }: Preprocessing) {
  const short = Math.floor(size / cropRatio);
  const side = Math.min(image.width, image.height);
  const width = image.width === side ? short : Math.trunc((short * image.width) / side);
  const height = image.height === side ? short : Math.trunc((short * image.height) / side);
  const left = roundHalfEven((width - size) / 2);
  const top = roundHalfEven((height - size) / 2);
  return { width, height, region: { left, top, width: size, height: size } };
}

/**
 * The square from the middle of the picture, resized: torchvision's `Resize(size / cropRatio)` and `CenterCrop(size)` in
 * one, with their roundings.
 */
export function centerCrop(image: Raster, preprocessing: Preprocessing = IMAGENET): RgbImage {
  check(preprocessing);
  const { width, height, region } = cropOf(image, preprocessing);
  return resample(image, width, height, preprocessing.interpolation, region);
}

/** The part of a picture that {@link centerCrop} looks at. */
export function cropSource(
  image: { readonly width: number; readonly height: number },
  preprocessing: Preprocessing,
): Region {
  check(preprocessing);
  const { width, height, region } = cropOf(image, preprocessing);
  return sourceOf(image, width, height, preprocessing.interpolation, region);
}

const channels = [0, 1, 2] as const;

/** For each channel the normalised value of every 8-bit one. */
export type Normalisation = readonly [Float32Array, Float32Array, Float32Array];

/** Every 8-bit value after normalisation, for each channel, with the roundings of float32 arithmetic. */
export function normalisation({ mean, std }: Pick<Preprocessing, 'mean' | 'std'>): Normalisation {
  const f = Math.fround;
  const table = (c: number) => Float32Array.from({ length: 256 }, (_, v) => f(f(v / 255) - f(mean[c])) / f(std[c]));
  return [table(0), table(1), table(2)];
}

/** Writes a picture as three normalised planes (R, G, B), from `start` of `out` on. */
export function writePlanes({ width, height, data }: RgbImage, by: Normalisation, out: Float32Array, start = 0): void {
  const plane = width * height;
  for (const c of channels) {
    const table = by[c];
    const at = start + c * plane;
    for (let i = 0, from = c; i < plane; i++, from += 3) out[at + i] = table[data[from]];
  }
}

/** Pictures as a network's input `[N, 3, size, size]`: resized, cut, normalised. */
export function toTensor(images: Raster | readonly Raster[], preprocessing: Preprocessing = IMAGENET): FloatTensor {
  const list: readonly Raster[] = 'data' in images ? [images] : images;
  const { size } = preprocessing;
  const by = normalisation(preprocessing);
  const out = new Float32Array(list.length * 3 * size * size);
  for (const [n, image] of list.entries()) writePlanes(centerCrop(image, preprocessing), by, out, n * 3 * size * size);
  return float32([list.length, 3, size, size], out);
}
