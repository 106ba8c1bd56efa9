import type { RgbImage } from '../../data/resample.js';

/** Writes a picture into `out` from `offset` as three planes: each channel less its mean, over 255; mirrored if asked. */
export function normalized(
  { width, height, data }: RgbImage,
  mean: readonly [number, number, number],
  out: Float32Array,
  offset = 0,
  mirror = false,
): Float32Array {
  const plane = width * height;
  for (let c = 0; c < 3; c++) {
    let at = offset + c * plane;
    for (let y = 0; y < height; y++) {
      const row = y * width;
      for (let x = 0; x < width; x++) out[at++] = (data[(row + (mirror ? width - 1 - x : x)) * 3 + c] - mean[c]) / 255;
    }
  }
  return out;
}
