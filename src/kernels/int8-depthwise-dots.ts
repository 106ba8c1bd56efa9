import { arg } from './args';
import { prefersWords, trustsFused } from './int8-check';
import { CONSTANTS, endTiles } from './int8-depthwise-end';
import { sums3, sums5, TILE } from './int8-depthwise-sums';
import { Fused, Halves, Words } from './int8-dot';

// Depthwise convolution by the relaxed dot product, for 3x3 and 5x5 kernels with a horizontal stride of 1 or 2: four taps of a kernel's row in one
// instruction. For that the rows of the image that are in use are kept with the bytes of four neighbouring columns side by side,
// `[column / 2][channel / 4][4 channels][4 columns]`, overlapping by two, for a part of the channels at a time: all rows of a small image, or a ring of as
// many as the kernel has. Sums are the same as in int8-depthwise.ts, and so is what follows. The arguments are those of that file.

/** Tiles of four pixels whose sums are made before they end, or those of one row: they stay in the first cache. ops/quantized-depthwise.ts knows it. */
const TILES: i32 = 32;

/** Whether the layer is one for these loops. */
// @ts-expect-error: decorator
@inline
export function suitsDots(p: usize): bool {
  return arg(p, 28) != 0;
}

/** Output rows `row` to `rowEnd` (over all images) of all channels. */
export function depthwiseDots(p: usize, row: i32, rowEnd: i32, scratch: usize): void {
  const channels = arg(p, 7);
  const part = arg(p, 29);
  // A damaged program must not run for ever.
  if (part < 8 || arg(p, 31) < arg(p, 10)) unreachable();
  const ring = scratch + CONSTANTS;
  for (let c = 0; c < channels; c += part) {
    rowsOfPart(p, row, rowEnd, c, min(part, channels - c), ring, scratch);
  }
}

function rowsOfPart(p: usize, row: i32, rowEnd: i32, from: i32, count: i32, ring: usize, k: usize): void {
  const outHeight = arg(p, 8);
  while (row < rowEnd) {
    const image = row / outHeight;
    const oy = row - image * outHeight;
    const rows = min(rowEnd - row, outHeight - oy);
    rowsOfImage(p, image, oy, rows, from, count, ring, k);
    row += rows;
  }
}

/** `rows` output rows of one image, from `oy` on. */
function rowsOfImage(p: usize, image: i32, oy: i32, rows: i32, from: i32, count: i32, ring: usize, k: usize): void {
  const taps = arg(p, 10);
  const kept = arg(p, 31);
  const slot = <usize>(arg(p, 30) * arg(p, 29)) << 2;
  // As many output rows at a time as what is kept and the sums' room are enough for.
  const tiles = (arg(p, 9) + 3) >> 2;
  const most = min((kept - taps) / arg(p, 12) + 1, max(1, TILES / tiles));
  const begin = oy * arg(p, 12) - arg(p, 14);
  let next = begin;
  for (const end = oy + rows; oy < end; ) {
    const some = min(most, end - oy);
    const top = oy * arg(p, 12) - arg(p, 14);
    const bottom = top + (some - 1) * arg(p, 12) + taps;
    for (next = max(next, top); next < bottom; next++) {
      keep(p, image, next, from, count, ring + <usize>((next - begin) % kept) * slot);
    }
    const at = image * arg(p, 8) + oy;
    if (prefersWords()) outputs<Words>(p, at, some, from, count, top - begin, ring, slot, k, oy + some == end);
    else if (trustsFused()) outputs<Fused>(p, at, some, from, count, top - begin, ring, slot, k, oy + some == end);
    else outputs<Halves>(p, at, some, from, count, top - begin, ring, slot, k, oy + some == end);
    oy += some;
  }
}

/** One row of the image, or the zero point where it is outside. */
function keep(p: usize, image: i32, row: i32, from: i32, count: i32, to: usize): void {
  const height = arg(p, 5);
  const columns = arg(p, 30);
  if (row >= 0 && row < height) {
    const x = <usize>arg(p, 0) + <usize>((image * height + row) * arg(p, 6) * arg(p, 1) + from);
    for (let c = 0; c < count; c += 8) interleave(p, x + <usize>c, to + (<usize>c << 2), columns);
  } else outside(p, to, <usize>(columns * arg(p, 29)) << 2);
}

/** A row that is outside of the image. */
function outside(p: usize, to: usize, bytes: usize): void {
  const zero = i8x16.splat(<i8>arg(p, 25));
  for (const end = to + bytes; to < end; to += 16) v128.store(to, zero);
}

/** One column of 8 channels, the zero point outside of the image. */
// @ts-expect-error: decorator
@inline
function column(x: usize, pixel: i32, at: i32, width: i32, zero: v128): v128 {
  return <u32>at < <u32>width ? v128.load64_zero(x + <usize>(at * pixel)) : zero;
}

/** 8 channels of a row: the bytes of columns 2t to 2t + 3, counted from the padding on, for each t. */
function interleave(p: usize, x: usize, to: usize, columns: i32): void {
  const width = arg(p, 6);
  const pixel = arg(p, 1);
  const step = <usize>arg(p, 29) << 2;
  const zero = i8x16.splat(<i8>arg(p, 25));
  let at = -arg(p, 15);
  let pair = bytesOf(column(x, pixel, at, width, zero), column(x, pixel, at + 1, width, zero));
  while (columns > 0) {
    at += 2;
    // Those that lie inside, one behind the other, then one that does not.
    const inside = at < 0 ? 0 : min(columns, (width - at) >> 1);
    if (inside > 0) {
      let from = x + <usize>(at * pixel);
      for (const end = to + <usize>inside * step; to < end; to += step) {
        const next = bytesOf(v128.load64_zero(from), v128.load64_zero(from + <usize>pixel));
        storePairs(to, pair, next);
        pair = next;
        from += <usize>(pixel << 1);
      }
      columns -= inside;
      at += (inside - 1) << 1;
      continue;
    }
    const next = bytesOf(column(x, pixel, at, width, zero), column(x, pixel, at + 1, width, zero));
    storePairs(to, pair, next);
    pair = next;
    to += step;
    columns--;
  }
}

// @ts-expect-error: decorator
@inline
function storePairs(to: usize, a: v128, b: v128): void {
  v128.store(to, v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
  v128.store(to, v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15), 16);
}

/** The bytes of two vectors in turn. */
// @ts-expect-error: decorator
@inline
function bytesOf(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

/**
 * Rows of output pixels, eight channels after the other, from sums that stand behind the ring; `top` is the first row of the image that they read, counted
 * from the first one kept.
 */
function outputs<T>(
  p: usize, row: i32, rows: i32, from: i32, count: i32, top: i32, ring: usize, slot: usize, k: usize, last: bool,
): void {
  const width = arg(p, 9);
  const taps = arg(p, 10);
  const kept = arg(p, 31);
  const step = <usize>arg(p, 29) << 2;
  const apart = slot * <usize>arg(p, 12);
  const one = arg(p, 13) == 1;
  const five = taps == 5;
  const bytes = <usize>(taps * (five ? 32 : 16));
  const vector: usize = 48 + ((<usize>(taps * taps)) << 3);
  const sums = ring + <usize>kept * slot;
  let q: Registers<usize>;
  unroll: for (let i = 0; i < 5; i++) q[i] = i < 3 || five ? ring + <usize>((top + i) % kept) * slot : 0;
  let y = <usize>arg(p, 2) + <usize>(row * width * arg(p, 3) + from);
  let r = <usize>arg(p, 22) + <usize>(row * width * arg(p, 23) + from);
  let w = <usize>arg(p, 28) + <usize>(from >> 2) * bytes;
  let head = <usize>arg(p, 18) + <usize>(from >> 3) * vector;
  for (; count > 0; count -= 8, head += vector, y += 8, r += 8) {
    for (let to = sums; to < sums + TILE; to += TILE / 2) {
      sumsOf<T>(q[0], q[1], q[2], q[3], q[4], step, apart, w, width, rows, to, five, one);
      w += bytes;
      unroll: for (let i = 0; i < 5; i++) q[i] += 16;
    }
    endTiles(p, k, head, y, r, sums, rows, count, last);
  }
}

// @ts-expect-error: decorator
@inline
function sumsOf<T>(
  a: usize, b: usize, c: usize, d: usize, e: usize, step: usize, apart: usize, w: usize, width: i32, rows: i32, to: usize, five: bool, one: bool,
): void {
  if (five) {
    if (one) sums5<T, 1>(a, b, c, d, e, step, apart, w, width, rows, to);
    else sums5<T, 2>(a, b, c, d, e, step, apart, w, width, rows, to);
  } else if (one) sums3<T, 1>(a, b, c, step, apart, w, width, rows, to);
  else sums3<T, 2>(a, b, c, step, apart, w, width, rows, to);
}
