import { type Image, needImage, needMaskOf } from '../models/ghost2/images.js';
import { areaOf, dilateSquare, type LabelMap, type Mask, maskOf, without } from '../models/ghost2/masks.js';
import { GhostkitError } from '../tensor/error.js';

/** Every label but the background: the whole person. */
const PERSON_LABELS = Array.from({ length: 20 }, (_, i) => i + 1);

/** The person is widened by 7 pixels on each side before it goes; the colours come from the pixels next to that. */
const PERSON_WINDOW = 15;
const RIM_WINDOW = 3;

/**
 * The standard deviations, in pixels, between which the original draws one for each picture, evenly. The mean of them is the
 * default: nothing here is left to chance.
 */
export const BLUR_RANGE: readonly [number, number] = [0.1, 2];

export interface PseudoBackgroundOptions {
  /** Standard deviation in pixels of the 3x3 blur that the rim's colours are taken from. */
  readonly sigma?: number;
}

/**
 * The target's picture as if nobody were in it: every pixel of the widened person gets the colour, slightly blurred, of the nearest pixel
 * of the rim around it. A new head is put on this before blending, so that its soft edges have the picture's colours behind them.
 *
 * @param target `[1,3,H,W]`, any value range and channel order.
 * @param parsing The target's parsing, of the same size.
 * @throws GhostkitError when the person fills the whole picture.
 */
export function pseudoBackground(target: Image, parsing: LabelMap, options: PseudoBackgroundOptions = {}): Image {
  const { sigma = (BLUR_RANGE[0] + BLUR_RANGE[1]) / 2 } = options;
  needImage('pseudo background', target, 3);
  needMaskOf('pseudo background: the parsing', parsing, target);
  if (!(sigma > 0)) throw new GhostkitError(`pseudo background: sigma must be positive, got ${sigma}`);
  const person = dilateSquare(maskOf(parsing, PERSON_LABELS), PERSON_WINDOW);
  const rim = without(dilateSquare(person, RIM_WINDOW), person);
  if (areaOf(person) === 0) return target;
  if (areaOf(rim) === 0) throw new GhostkitError('pseudo background: the person fills the whole picture');

  const nearest = nearestPixels(rim, person);
  const blur = gaussian3(target, sigma);
  const pixels = person.data.length;
  const data = Float32Array.from(target.data);
  for (let i = 0; i < pixels; i++) {
    if (!person.data[i]) continue;
    for (let c = 0; c < 3; c++) data[c * pixels + i] = blur(c, nearest[i]);
  }
  return { ...target, data };
}

/** A function to the 3x3 Gaussian blur of one channel at one pixel; the picture is mirrored at its borders. */
function gaussian3({ shape: [, , height, width], data }: Image, sigma: number): (c: number, pixel: number) => number {
  const side = Math.exp(-0.5 / sigma ** 2);
  const weights = [side, 1, side].map((w) => w / (1 + 2 * side));
  const mirrored = (i: number, size: number) => (i < 0 ? Math.min(1, size - 1) : i >= size ? Math.max(size - 2, 0) : i);
  return (c, pixel) => {
    const y = Math.floor(pixel / width);
    const x = pixel % width;
    let sum = 0;
    for (let dy = -1; dy <= 1; dy++) {
      const row = (c * height + mirrored(y + dy, height)) * width;
      for (let dx = -1; dx <= 1; dx++) sum += weights[dy + 1] * weights[dx + 1] * data[row + mirrored(x + dx, width)];
    }
    return sum;
  };
}

/**
 * For every pixel of `wanted` the index of the nearest pixel of `set` (which is not empty), of several equally near the first one.
 * Every column's nearest pixel is known from a pass up and one down; a pixel then looks at columns further and further away.
 */
function nearestPixels(set: Mask, wanted: Mask): Int32Array {
  const { width } = set;
  const rows = nearestRows(set);
  const out = new Int32Array(wanted.data.length);
  for (let i = 0; i < out.length; i++) {
    if (!wanted.data[i]) continue;
    const y = Math.floor(i / width);
    const x = i % width;
    let least = Number.POSITIVE_INFINITY;
    let found = -1;
    for (let d = 0; d < width && d * d <= least; d++) {
      for (const column of d === 0 ? [x] : [x - d, x + d]) {
        if (column < 0 || column >= width) continue;
        const row = rows[y * width + column];
        if (row < 0) continue;
        const distance = d * d + (row - y) ** 2;
        const index = row * width + column;
        if (distance < least || (distance === least && index < found)) {
          least = distance;
          found = index;
        }
      }
    }
    out[i] = found;
  }
  return out;
}

/** For every pixel the row of the nearest pixel of the mask in its column, the upper one of two; -1 in an empty column. */
function nearestRows({ width, height, data }: Mask): Int32Array {
  const rows = new Int32Array(data.length);
  for (let x = 0; x < width; x++) {
    let above = -1;
    for (let y = 0; y < height; y++) {
      if (data[y * width + x]) above = y;
      rows[y * width + x] = above;
    }
    let below = -1;
    for (let y = height - 1; y >= 0; y--) {
      if (data[y * width + x]) below = y;
      const up = rows[y * width + x];
      if (below >= 0 && (up < 0 || below - y < y - up)) rows[y * width + x] = below;
    }
  }
  return rows;
}
