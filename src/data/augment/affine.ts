import type { Interpolation, RgbImage } from '../resample.js';

/** Where each pixel of the result comes from: `x' = a x + b y + c`, `y' = d x + e y + f`. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

const clamp = (value: number, size: number): number => (value < 0 ? 0 : value >= size ? size - 1 : value);

/** The cubic through four values with a = -1, which is what Pillow's transforms use (its resizing has -1/2). */
function cubic(v1: number, v2: number, v3: number, v4: number, d: number): number {
  return v2 + d * (-v1 + v3 + d * (2 * (v1 - v2) + v3 - v4 + d * (-v1 + v2 - v3 + v4)));
}

const linear = (v1: number, v2: number, d: number): number => v1 + (v2 - v1) * d;

/**
 * A picture moved, turned or sheared, of the same size, to the bit what Pillow's `Image.transform` gives; what comes from outside is
 * filled with a colour.
 */
export function affine(
  { width, height, data }: RgbImage,
  [a, b, c, d, e, f]: Affine,
  interpolation: Interpolation,
  fill: readonly [number, number, number],
): RgbImage {
  const out = new Uint8Array(data.length);
  const taps = interpolation === 'bicubic' ? 4 : 2;
  const before = taps / 2 - 1;
  const columns = new Int32Array(taps);
  const rows = new Float64Array(taps);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const fromX = a * (x + 0.5) + b * (y + 0.5) + c;
      const fromY = d * (x + 0.5) + e * (y + 0.5) + f;
      if (!(fromX >= 0 && fromX < width && fromY >= 0 && fromY < height)) {
        out.set(fill, at);
        continue;
      }
      const left = Math.floor(fromX - 0.5);
      const top = Math.floor(fromY - 0.5);
      const dx = fromX - 0.5 - left;
      const dy = fromY - 0.5 - top;
      for (let k = 0; k < taps; k++) columns[k] = clamp(left - before + k, width) * 3;
      for (let channel = 0; channel < 3; channel++) {
        for (let k = 0; k < taps; k++) {
          const row = clamp(top - before + k, height) * width * 3 + channel;
          rows[k] =
            taps === 2
              ? linear(data[row + columns[0]], data[row + columns[1]], dx)
              : cubic(
                  data[row + columns[0]],
                  data[row + columns[1]],
                  data[row + columns[2]],
                  data[row + columns[3]],
                  dx,
                );
        }
        const value = taps === 2 ? linear(rows[0], rows[1], dy) : cubic(rows[0], rows[1], rows[2], rows[3], dy);
        out[at + channel] = value <= 0 ? 0 : value >= 255 ? 255 : Math.trunc(value);
      }
    }
  }
  return { width, height, data: out };
}

/** Rounds as Python's `round(x, 15)` does for sines and cosines. */
const round15 = (x: number): number => Number(x.toFixed(15));

/** The map that turns a picture anticlockwise around its middle, as Pillow's `Image.rotate` builds it. */
export function rotation({ width, height }: Pick<RgbImage, 'width' | 'height'>, degrees: number): Affine {
  const angle = (-degrees * Math.PI) / 180;
  const [a, b, d, e] = [Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle)].map(round15);
  const [cx, cy] = [width / 2, height / 2];
  return [a, b, a * -cx + b * -cy + cx, d, e, d * -cx + e * -cy + cy];
}
