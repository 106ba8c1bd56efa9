import { arg } from './args';
import { first, last } from './share';
import { anyTaps, PIXEL, tapRows, threeTaps } from './train-depthwise-rows';

// The gradient of depthwise weights: for every tap a sum over all pixels. A block of the input is copied with zeros around it, so that no
// pixel is special; the sums of four channels then stay in registers for the whole block, a row or two of the window at a time.

/** Vectors of four channels that are copied together: a line of the cache. */
const GROUP: i32 = 4;

/**
 * The gradient of depthwise weights as partial sums `[chunk][channel / 4][tap][4]`, or `[tap][8]` for two vectors of them where vectors are wide;
 * threads share chunks of output lines and groups of channels.
 * Arguments: 0 x, 1 its row stride, 2 gradient, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 kH, 11 kW, 12 13 stride,
 * 14 15 padding top and left, 16 17 dilation, 18 partial sums, 19 chunks, 20 scratch, 21 its bytes per thread, 22 output lines of a
 * block, 23 images of a block, if it has whole ones.
 */
export function depthwiseWeightGradient(p: usize, tid: i32, threads: i32): void {
  const lines = arg(p, 4) * arg(p, 8);
  const vectors = (arg(p, 7) + 3) >> 2;
  const groups = (vectors + GROUP - 1) / GROUP;
  const chunks = arg(p, 19);
  const taps = arg(p, 10) * arg(p, 11);
  const scratch = <usize>arg(p, 20) + <usize>(tid * arg(p, 21));
  const end = last(chunks * groups, 1, tid, threads);
  for (let unit = first(chunks * groups, 1, tid, threads); unit < end; unit++) {
    const chunk = unit / groups;
    const from = (unit - chunk * groups) * GROUP;
    const to = min(vectors, from + GROUP);
    const sums = <usize>arg(p, 18) + (<usize>((chunk * vectors + from) * taps) << 4);
    memory.fill(sums, 0, <usize>((to - from) * taps) << 4);
    const line = <i32>((<i64>lines * chunk) / chunks);
    chunkOf(p, line, <i32>((<i64>lines * (chunk + 1)) / chunks), from, to, scratch, sums);
  }
}

/** Output lines `line` to `end`, counted over all images, in blocks: some whole images, or some lines of one. */
function chunkOf(p: usize, line: i32, end: i32, from: i32, to: i32, scratch: usize, sums: usize): void {
  const outHeight = arg(p, 8);
  const taps = arg(p, 10) * arg(p, 11);
  const pixel = <usize>arg(p, 1) << 2;
  const square = arg(p, 16) == 1 && arg(p, 17) == 1 && arg(p, 10) == arg(p, 11) ? arg(p, 10) : 0;
  while (line < end) {
    const image = line / outHeight;
    const oy = line - image * outHeight;
    const whole = oy == 0 ? min(arg(p, 23), (end - line) / outHeight) : 0;
    const images = max(1, whole);
    const lines = whole > 0 ? outHeight : min(min(arg(p, 22), outHeight - oy), end - line);
    const rowBytes = <usize>((arg(p, 9) - 1) * arg(p, 13) + (arg(p, 11) - 1) * arg(p, 17) + 1) * PIXEL;
    const rows = (lines - 1) * arg(p, 12) + (arg(p, 10) - 1) * arg(p, 16) + 1;
    for (let i = 0; i < images; i++) {
      const x = <usize>arg(p, 0) + (<usize>from << 4) + <usize>((image + i) * arg(p, 5) * arg(p, 6)) * pixel;
      const top = oy * arg(p, 12) - arg(p, 14);
      const y = scratch + <usize>(i * rows) * rowBytes;
      copyPadded(p, x, pixel, to - from, top, rows, y, rowBytes);
    }
    let y = sums;
    let v = from;
    if (WIDE_SIMD) {
      for (; v + 2 <= to; v += 2, y += <usize>taps << 5) vectorSums<2>(p, square, from, v, scratch, rowBytes, rows, line, images, lines, y);
    }
    for (; v < to; v++, y += <usize>taps << 4) vectorSums<1>(p, square, from, v, scratch, rowBytes, rows, line, images, lines, y);
    line += images * lines;
  }
}

/** The sums of a block for `VECTORS` of channels from the `v`th on; the first in its copy, `scratch`, is the `from`th. */
// @ts-expect-error: decorator
@inline
function vectorSums<VECTORS extends number>(
  p: usize, square: i32, from: i32, v: i32, scratch: usize, rowBytes: usize, rows: i32, line: i32, images: i32, lines: i32, y: usize,
): void {
  const x = scratch + (<usize>(v - from) << 4);
  const g = <usize>arg(p, 2) + (<usize>v << 4) + <usize>(line * arg(p, 9)) * (<usize>arg(p, 3) << 2);
  const skip = <usize>(rows - lines * arg(p, 12)) * rowBytes;
  if (square == 3) {
    tapRows<2, 3, VECTORS>(p, x, rowBytes, skip, g, images, lines, y);
    threeTaps<VECTORS>(p, x + (rowBytes << 1), rowBytes, skip, g, images, lines, y + 96 * VECTORS);
  } else if (square == 5) {
    for (let ky = 0; ky < 5; ky++) {
      tapRows<1, 5, VECTORS>(p, x + <usize>ky * rowBytes, rowBytes, skip, g, images, lines, y + <usize>ky * (80 * VECTORS));
    }
  } else anyTaps<VECTORS>(p, x, rowBytes, skip, g, images, lines, y);
}

/**
 * Copies `count` vectors of channels of an image at `x`, `pixel` bytes apart: `rows` rows from row `top` on, as wide as the windows reach, with
 * zeros for what lies outside.
 */
function copyPadded(p: usize, x: usize, pixel: usize, count: i32, top: i32, rows: i32, y: usize, rowBytes: usize): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const low = <usize>arg(p, 15) * PIXEL;
  const high = min(rowBytes, low + <usize>width * PIXEL);
  for (let row = 0; row < rows; row++, y += rowBytes) {
    const iy = top + row;
    if (<u32>iy >= <u32>height) {
      memory.fill(y, 0, rowBytes);
      continue;
    }
    memory.fill(y, 0, low);
    if (high < rowBytes) memory.fill(y + high, 0, rowBytes - high);
    const v = x + <usize>(iy * width) * pixel;
    const q = y + low;
    const end = y + high;
    if (count == 4) copyPixels<4>(q, end, v, pixel);
    else if (count == 3) copyPixels<3>(q, end, v, pixel);
    else if (count == 2) copyPixels<2>(q, end, v, pixel);
    else copyPixels<1>(q, end, v, pixel);
  }
}

// @ts-expect-error: decorator
@inline
function copyPixels<VECTORS extends number>(q: usize, end: usize, v: usize, pixel: usize): void {
  for (; q < end; q += PIXEL, v += pixel) {
    unroll: for (let n = 0; n < VECTORS; n++) v128.store(q, v128.load(v, 16 * n), 16 * n);
  }
}

/** Adds the chunks of {@link depthwiseWeightGradient} to a weight `[C][tap]`. Arguments: 0 partial sums, 1 chunks, 2 C, 3 taps, 4 y. */
export function depthwiseWeightGradientEnd(p: usize, tid: i32, threads: i32): void {
  if (tid != 0) return;
  const channels = arg(p, 2);
  const taps = arg(p, 3);
  const vectors = (channels + 3) >> 2;
  const step = <usize>(vectors * taps) << 4;
  for (let c = 0; c < channels; c++) {
    const vector = c >> 2;
    // Where sums are made of two vectors at a time, those of a tap lie side by side.
    const paired = WIDE_SIMD && (vector | 1) < vectors;
    const first = paired ? (vector & ~1) * taps * 16 + (c & 7) * 4 : vector * taps * 16 + (c & 3) * 4;
    const next = paired ? 32 : 16;
    for (let tap = 0; tap < taps; tap++) {
      let from = <usize>arg(p, 0) + <usize>(first + tap * next);
      let sum: f32 = 0;
      for (let chunk = 0; chunk < arg(p, 1); chunk++, from += step) sum += load<f32>(from);
      store<f32>(<usize>arg(p, 4) + <usize>((c * taps + tap) << 2), sum);
    }
  }
}
