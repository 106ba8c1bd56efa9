import type { Random } from '../random.js';
import { type Interpolation, type Region, type RgbImage, resample } from '../resample.js';
import { roundHalfEven } from '../round.js';

/** The pixels of `region`, which lies inside the picture. */
export function crop(image: RgbImage, { left, top, width, height }: Region): RgbImage {
  if (width === image.width && height === image.height) return image;
  const data = new Uint8Array(width * height * 3);
  const row = width * 3;
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(start, start + row), y * row);
  }
  return { width, height, data };
}

/** Mirrored from left to right. */
export function flipHorizontal({ width, height, data }: RgbImage): RgbImage {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    const row = y * width * 3;
    for (let from = row, to = row + (width - 1) * 3; to >= row; from += 3, to -= 3) {
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return { width, height, data: out };
}

export interface ResizedCrop {
  /** The area of the cut, as a share of the picture's: from 0 (excluded) to 1. */
  readonly scale: readonly [number, number];
  /** Width over height of the cut. */
  readonly ratio: readonly [number, number];
  /** `random` draws one of the two for each picture, as timm does. */
  readonly interpolation: Interpolation | 'random';
}

/**
 * Where torchvision's `RandomResizedCrop` would cut: area and aspect ratio (its logarithm) uniform in their ranges; after ten cuts that
 * do not fit, the largest one from the middle whose ratio is in the range.
 */
export function resizedCropRegion(
  { width, height }: Pick<RgbImage, 'width' | 'height'>,
  { scale, ratio }: Pick<ResizedCrop, 'scale' | 'ratio'>,
  random: Random,
): Region {
  const area = width * height;
  for (let attempt = 0; attempt < 10; attempt++) {
    const target = random.between(scale[0], scale[1]) * area;
    const aspect = Math.exp(random.between(Math.log(ratio[0]), Math.log(ratio[1])));
    const w = roundHalfEven(Math.sqrt(target * aspect));
    const h = roundHalfEven(Math.sqrt(target / aspect));
    if (w > 0 && w <= width && h > 0 && h <= height) {
      return { top: random.below(height - h + 1), left: random.below(width - w + 1), width: w, height: h };
    }
  }
  const [low, high] = ratio;
  const w = width / height > high ? roundHalfEven(height * high) : width;
  const h = width / height < low ? roundHalfEven(width / low) : height;
  return { left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h };
}

/** A random part of the picture as a square of `size` pixels. */
export function randomResizedCrop(image: RgbImage, size: number, options: ResizedCrop, random: Random): RgbImage {
  const region = resizedCropRegion(image, options, random);
  const { interpolation } = options;
  const kind = interpolation === 'random' ? random.pick(['bilinear', 'bicubic'] as const) : interpolation;
  return resample(crop(image, region), size, size, kind);
}

/**
 * A square of `size` pixels from a random place of the picture with a black frame of `padding` pixels around it: torchvision's
 * `RandomCrop(size, padding)`, the usual augmentation of CIFAR. The padded picture is at least as large as the square.
 */
export function randomPaddedCrop(image: RgbImage, size: number, padding: number, random: Random): RgbImage {
  const { width, height, data } = image;
  const top = random.below(height + 2 * padding - size + 1) - padding;
  const left = random.below(width + 2 * padding - size + 1) - padding;
  const out = new Uint8Array(size * size * 3);
  const from = Math.max(0, left);
  const to = Math.min(width, left + size);
  for (let y = Math.max(0, top); y < Math.min(height, top + size); y++) {
    const row = data.subarray((y * width + from) * 3, (y * width + to) * 3);
    out.set(row, ((y - top) * size + from - left) * 3);
  }
  return { width: size, height: size, data: out };
}
