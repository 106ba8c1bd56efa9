import { type Random, shuffled } from '../random.js';
import type { RgbImage } from '../resample.js';

// Pillow's ImageEnhance and torchvision's adjust_hue, to the bit.

/** Luma of ITU-R 601-2 in Pillow's fixed-point arithmetic. */
function luma(r: number, g: number, b: number): number {
  return (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
}

/** `from + factor * (to - from)` in float32, cut off to a byte: beyond 0 to 1 the factor extrapolates. */
function blend(from: number, to: number, factor: number): number {
  const value = Math.fround(from + Math.fround(factor * (to - from)));
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.trunc(value);
}

/** Every byte blended with a constant. */
function blendTable(from: number, factor: number): Uint8Array {
  const f = Math.fround(factor);
  return Uint8Array.from({ length: 256 }, (_, v) => blend(from, v, f));
}

/** Every byte of a picture looked up in a table, the same for all channels or one for each. */
export function lookUp({ width, height, data }: RgbImage, tables: Uint8Array | readonly Uint8Array[]): RgbImage {
  const out = new Uint8Array(data.length);
  const [r, g, b] = tables instanceof Uint8Array ? [tables, tables, tables] : tables;
  for (let i = 0; i < data.length; i += 3) {
    out[i] = r[data[i]];
    out[i + 1] = g[data[i + 1]];
    out[i + 2] = b[data[i + 2]];
  }
  return { width, height, data: out };
}

/** From black (0) over the picture itself (1) to brighter. */
export function brightness(image: RgbImage, factor: number): RgbImage {
  return lookUp(image, blendTable(0, factor));
}

/** From the mean grey (0) over the picture itself (1) to more contrast. */
export function contrast(image: RgbImage, factor: number): RgbImage {
  const { data } = image;
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += luma(data[i], data[i + 1], data[i + 2]);
  return lookUp(image, blendTable(Math.floor(sum / (data.length / 3) + 0.5), factor));
}

/** From grey (0) over the picture itself (1) to more colour. */
export function saturation({ width, height, data }: RgbImage, factor: number): RgbImage {
  const out = new Uint8Array(data.length);
  const f = Math.fround(factor);
  for (let i = 0; i < data.length; i += 3) {
    const grey = luma(data[i], data[i + 1], data[i + 2]);
    for (let c = i; c < i + 3; c++) out[c] = blend(grey, data[c], f);
  }
  return { width, height, data: out };
}

/** From smoothed (0) over the picture itself (1) to sharper. The smoothing leaves the outermost pixels as they are. */
export function sharpness(image: RgbImage, factor: number): RgbImage {
  const { width, height, data } = image;
  const out = data.slice();
  const f = Math.fround(factor);
  const row = width * 3;
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      let sum = 4 * data[i];
      for (let k = i - row; k <= i + row; k += row) sum += data[k - 3] + data[k] + data[k + 3];
      out[i] = blend(Math.floor(sum / 13 + 0.5), data[i], f);
    }
  }
  return { width, height, data: out };
}

const clip = (value: number): number => Math.min(255, Math.max(0, value));

/**
 * Turns the hue by `turn`, from -1/2 to 1/2 of the circle, through 8-bit HSV as Pillow has it: even at 0 that loses a little, as there.
 */
export function hue({ width, height, data }: RgbImage, turn: number): RgbImage {
  const shift = Math.trunc(turn * 255) & 255;
  const out = new Uint8Array(data.length);
  const f = Math.fround;
  for (let i = 0; i < data.length; i += 3) {
    const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
    const v = Math.max(r, g, b);
    const range = v - Math.min(r, g, b);
    let h = 0;
    let s = 0;
    if (range > 0) {
      const [rc, gc, bc] = [f((v - r) / range), f((v - g) / range), f((v - b) / range)];
      const sector = r === v ? f(bc - gc) : g === v ? f(2 + rc - bc) : f(4 + gc - rc);
      h = clip(Math.trunc(f((sector / 6 + 1) % 1) * 255));
      s = clip(Math.trunc(f(range / v) * 255));
    }
    h = (h + shift) & 255;
    if (s === 0) {
      out.fill(v, i, i + 3);
      continue;
    }
    const sixth = Math.floor((h * 6) / 255);
    const rest = f((h * 6) / 255 - sixth);
    const share = f(s / 255);
    const p = clip(Math.round(v * (1 - share)));
    const q = clip(Math.round(v * (1 - share * rest)));
    const t = clip(Math.round(v * (1 - share * (1 - rest))));
    const rgb = SECTORS[sixth % 6];
    const parts = [v, p, q, t];
    for (let c = 0; c < 3; c++) out[i + c] = parts[rgb[c]];
  }
  return { width, height, data: out };
}

/** For each sixth of the circle, which of v, p, q, t red, green and blue are. */
const SECTORS = [
  [0, 3, 1],
  [2, 0, 1],
  [1, 0, 3],
  [1, 2, 0],
  [3, 1, 0],
  [0, 1, 2],
] as const;

/** How far each may go: brightness, contrast and saturation by a factor in 1 ± the number (not below 0), hue by ± turns. */
export interface ColorJitter {
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  /** At most 0.5. */
  readonly hue: number;
}

/** The four in a random order, each by a random amount: torchvision's `ColorJitter`. What is 0 is left out. */
export function colorJitter(image: RgbImage, jitter: ColorJitter, random: Random): RgbImage {
  const factor = (by: number) => random.between(Math.max(0, 1 - by), 1 + by);
  const steps: ((picture: RgbImage) => RgbImage)[] = [];
  for (const [by, change] of [
    [jitter.brightness, brightness],
    [jitter.contrast, contrast],
    [jitter.saturation, saturation],
  ] as const) {
    if (by === 0) continue;
    const amount = factor(by);
    steps.push((picture) => change(picture, amount));
  }
  if (jitter.hue !== 0) {
    const turn = random.between(-jitter.hue, jitter.hue);
    steps.push((picture) => hue(picture, turn));
  }
  return shuffled(steps, random).reduce((picture, step) => step(picture), image);
}
