import type { Region, RgbImage } from '../data/resample.js';
import { GhostkitError } from '../tensor/error.js';
import { applyTransform, invertTransform, type Point, type Transform } from './geometry.js';
import { warpRegion } from './geometry-warp.js';

/** The least over a square of this many pixels of the target: the crop's edge moves inwards by about half of it. */
const ERODE = 10;
/** Gauss over five pixels, in sixteenths. */
const BLUR = [1, 4, 6, 4, 1] as const;
/** Rows that are mixed at once, so that the memory needed does not grow with the picture. */
const BAND = 256;
/** Rows beyond a band that its weights depend on: half of the erosion and half of the blur. */
const HALO = ERODE / 2 + 2;

export interface PasteOptions {
  /**
   * `soft`, the default: the crop fades into the target over five pixels. `hard`: it ends at once, as in the original,
   * which rounds the same blurred mask to 0 and 1.
   */
  readonly edge?: 'soft' | 'hard';
  /**
   * How much of each of the crop's pixels to take, 0 to 255, row-major; all of every one by default. The target stays as it is,
   * to the bit, where this is 0.
   */
  readonly mask?: Uint8Array;
}

/**
 * Lays a crop back onto the picture that it was cut from.
 *
 * @param crop The crop, changed.
 * @param target The whole picture; it is not written to.
 * @param transform The map from the target's pixels to the crop's, which cut it out.
 * @returns A picture of the target's size. Outside of the crop it is the target, to the bit.
 * @throws GhostkitError when the transform has no inverse, or the mask is not of the crop's size.
 */
export function pasteBack(
  crop: RgbImage,
  target: RgbImage,
  transform: Transform,
  options: PasteOptions = {},
): RgbImage {
  const { edge = 'soft', mask } = options;
  const { width, height } = crop;
  if (mask && mask.length !== width * height) {
    throw new GhostkitError(`the mask needs ${width * height} pixels like the crop, got ${mask.length}`);
  }
  const result: RgbImage = { width: target.width, height: target.height, data: target.data.slice() };
  const covered = coveredRegion(crop, transform, target);
  const end = covered.top + covered.height;
  for (let top = covered.top; top < end; top += BAND) {
    const band = { ...covered, top, height: Math.min(BAND, end - top) };
    const weights = edgeWeights(crop, transform, band, target.height, edge === 'hard');
    if (mask) {
      const shares = warpRegion({ width, height, channels: 1, data: mask }, transform, band);
      for (let i = 0; i < weights.length; i++) weights[i] *= shares[i] / 255;
    }
    lay(warpRegion({ ...crop, channels: 3 }, transform, band), weights, band, result);
  }
  return result;
}

/** Mixes the pixels of `region` into `onto`, which is written to. */
function lay(pixels: Uint8Array, weights: Float32Array, { left, top, width, height }: Region, onto: RgbImage): void {
  const { data } = onto;
  for (let y = 0, i = 0; y < height; y++) {
    let at = ((top + y) * onto.width + left) * 3;
    for (let x = 0; x < width; x++, i++, at += 3) {
      const weight = weights[i];
      if (weight === 0) continue;
      for (let c = 0; c < 3; c++) {
        const was = data[at + c];
        data[at + c] = Math.round(was + (pixels[i * 3 + c] - was) * weight);
      }
    }
  }
}

/** The smallest part of the target that holds the crop and what the blur adds; empty when they do not meet. */
function coveredRegion({ width, height }: RgbImage, transform: Transform, target: RgbImage): Region {
  const inverse = invertTransform(transform);
  const corners: Point[] = [
    [-1, -1],
    [width, -1],
    [-1, height],
    [width, height],
  ];
  const moved = corners.map((corner) => applyTransform(inverse, corner));
  const bounds = (axis: 0 | 1, size: number) => {
    const all = moved.map((point) => point[axis]);
    const from = Math.max(0, Math.floor(Math.min(...all)));
    return { from, length: Math.max(0, Math.min(size, Math.ceil(Math.max(...all)) + 1) - from) };
  };
  const x = bounds(0, target.width);
  const y = bounds(1, target.height);
  return { left: x.from, top: y.from, width: x.length, height: x.length && y.length };
}

/** The crop's weight, 0 to 1, at every pixel of `region`: 1 where the crop is, eroded, then blurred. */
function edgeWeights(
  crop: RgbImage,
  transform: Transform,
  region: Region,
  targetHeight: number,
  hard: boolean,
): Float32Array {
  const { width } = region;
  const top = Math.max(0, region.top - HALO);
  const height = Math.min(targetHeight, region.top + region.height + HALO) - top;
  const ones = new Uint8Array(crop.width * crop.height).fill(1);
  const mask = warpRegion({ ...crop, channels: 1, data: ones }, transform, { ...region, top, height });
  erodeLines(mask, height, width, width, 1);
  erodeLines(mask, width, height, 1, width);
  const across = blurLines(Float32Array.from(mask), height, width, width, 1);
  const weights = blurLines(across, width, height, 1, width);
  if (hard) for (let i = 0; i < weights.length; i++) weights[i] = weights[i] >= 0.5 ? 1 : 0;
  const skipped = (region.top - top) * width;
  return weights.subarray(skipped, skipped + region.height * width);
}

/**
 * The least of {@link ERODE} pixels along each line, five before to four behind, in place; what is beyond a line's ends
 * takes nothing away. Zeros and ones only.
 */
function erodeLines(mask: Uint8Array, lines: number, length: number, lineStep: number, step: number): void {
  const before = ERODE / 2;
  const behind = ERODE - 1 - before;
  for (let line = 0; line < lines; line++) {
    const start = line * lineStep;
    let lastZero = -ERODE;
    let ahead = 0;
    for (let i = 0; i < length; i++) {
      // It runs in front of `i`, so it only reads what is not yet written.
      for (; ahead < length && ahead <= i + behind; ahead++) if (mask[start + ahead * step] === 0) lastZero = ahead;
      mask[start + i * step] = lastZero >= i - before ? 0 : 1;
    }
  }
}

/** {@link BLUR} along each line, mirrored around the pixels at its ends. */
function blurLines(x: Float32Array, lines: number, length: number, lineStep: number, step: number): Float32Array {
  const out = new Float32Array(x.length);
  const last = length - 1;
  for (let line = 0; line < lines; line++) {
    const start = line * lineStep;
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (let k = -2; k <= 2; k++) {
        const at = Math.abs(i + k);
        sum += BLUR[k + 2] * x[start + Math.min(at, Math.max(0, 2 * last - at)) * step];
      }
      out[start + i * step] = sum / 16;
    }
  }
  return out;
}
