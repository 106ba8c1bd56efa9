import { GhostkitError } from '../../tensor/error.js';

/** One label of the 20-class head parsing for each pixel, rows from the top. */
export interface LabelMap {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A set of pixels: 1 inside, 0 outside, rows from the top. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** The labels that make up a head: all but the background, the body (1) and the neck (13). */
export const HEAD_LABELS: readonly number[] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20];

/** The pixels that have one of `labels`. */
export function maskOf({ width, height, data }: LabelMap, labels: readonly number[]): Mask {
  const chosen = new Uint8Array(256);
  for (const label of labels) chosen[label] = 1;
  return { width, height, data: data.map((label) => chosen[label]) };
}

/** The number of pixels in a mask. */
export function areaOf({ data }: Mask): number {
  let area = 0;
  for (const inside of data) area += inside;
  return area;
}

/** Throws unless the pictures that `a` and `b` belong to have one size. */
export function needSameSize(what: string, a: Omit<Mask, 'data'>, b: Omit<Mask, 'data'>): void {
  if (a.width !== b.width || a.height !== b.height) {
    throw new GhostkitError(`${what}: ${a.width}x${a.height} and ${b.width}x${b.height} pixels, they must be the same`);
  }
}

/** The pixels in either mask. */
export function union(a: Mask, b: Mask): Mask {
  needSameSize('union of masks', a, b);
  return { ...a, data: a.data.map((inside, i) => inside | b.data[i]) };
}

/** The pixels of `a` that are not in `b`. */
export function without(a: Mask, b: Mask): Mask {
  needSameSize('difference of masks', a, b);
  return { ...a, data: a.data.map((inside, i) => inside & ~b.data[i]) };
}

/** The pixels with a pixel of the mask in the square of `size` (odd) pixels around them: a maximum pooling of stride 1. */
export function dilateSquare({ width, height, data }: Mask, size: number): Mask {
  const radius = size >> 1;
  // A square is a row of columns: two passes along lines do it.
  const rows = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) spread(data, rows, y * width, 1, width, radius);
  const out = new Uint8Array(data.length);
  for (let x = 0; x < width; x++) spread(rows, out, x, width, height, radius);
  return { width, height, data: out };
}

/** Sets what is at most `radius` away from a set element, along the line of `length` elements from `start`. */
function spread(x: Uint8Array, y: Uint8Array, start: number, step: number, length: number, radius: number): void {
  let inside = 0;
  for (let i = 0; i < Math.min(radius, length); i++) inside += x[start + i * step];
  for (let i = 0; i < length; i++) {
    if (i + radius < length) inside += x[start + (i + radius) * step];
    if (i > radius) inside -= x[start + (i - radius - 1) * step];
    y[start + i * step] = inside > 0 ? 1 : 0;
  }
}

/** A mask at another size: every pixel is the one at the upper left of its place (PyTorch's `nearest`). */
export function resizeMask({ width, height, data }: Mask, newWidth: number, newHeight: number): Mask {
  const out = new Uint8Array(newWidth * newHeight);
  for (let y = 0; y < newHeight; y++) {
    const row = Math.floor((y * height) / newHeight) * width;
    for (let x = 0; x < newWidth; x++) out[y * newWidth + x] = data[row + Math.floor((x * width) / newWidth)];
  }
  return { width: newWidth, height: newHeight, data: out };
}
