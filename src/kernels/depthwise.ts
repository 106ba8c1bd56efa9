import { arg } from './args';
import { fourPixels, storeFour } from './depthwise-rows';
import { Activation } from './opcodes';
import { first, last } from './share';
import { activate, madd, storeLanes } from './vector';

// Depthwise convolution: one kernel a channel, vectorised over channels. Weights are packed `[channel / 4][bias, taps][4]`.
//
// Arguments (4 bytes each): 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 kH, 11 kW, 12 13 stride,
// 14 15 padding top and left, 16 17 dilation, 18 weights, 19 residual or C zeros, 20 its row stride (0 for zeros), 21 activation.

export function depthwise(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4) * arg(p, 8);
  const channels = arg(p, 7);
  let row = 0;
  let rowEnd = rows;
  let channel = 0;
  let channelEnd = channels;
  // Rows, as in the convolutions before and behind, so that a thread finds its inputs in its own cache; channels only where rows are too few.
  if (rows < 2 * threads && channels >= 16 * threads) {
    channel = first(channels, 16, tid, threads);
    channelEnd = last(channels, 16, tid, threads);
  } else {
    row = first(rows, 1, tid, threads);
    rowEnd = last(rows, 1, tid, threads);
  }
  if (channel < channelEnd) for (; row < rowEnd; row++) line(p, row, channel, channelEnd);
}

/** One row of output pixels, channels `from` to `to`. */
function line(p: usize, row: i32, from: i32, to: i32): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const kernelWidth = arg(p, 11);
  const strideX = arg(p, 13);
  const dilationY = arg(p, 16);
  const dilationX = arg(p, 17);
  const image = row / outHeight;
  const top = (row - image * outHeight) * arg(p, 12) - arg(p, 14);
  // The kernel's rows and, for each pixel, columns that lie inside the image; taps outside of it are zeros and are left out.
  const ky0 = top >= 0 ? 0 : min(arg(p, 10), (dilationY - 1 - top) / dilationY);
  const ky1 = max(ky0, min(arg(p, 10), top >= height ? 0 : (height - top + dilationY - 1) / dilationY));
  const source = <usize>arg(p, 0) + <usize>((image * height + top) * width * arg(p, 1) * 4);
  const pixel = arg(p, 1) << 2;
  const strideY = arg(p, 3) << 2;
  const strideR = arg(p, 20) << 2;
  let y = <usize>arg(p, 2) + <usize>(row * outWidth * strideY);
  let r = <usize>arg(p, 19) + <usize>(row * outWidth * strideR);
  const reach = (kernelWidth - 1) * dilationX;
  // Pixels go four at a time, those at the image's borders and what is left over one by one where four reach too far outside.
  const wide = ends(p, outWidth, width);
  for (let ox = 0; ox < outWidth; ) {
    const x0 = ox * strideX - arg(p, 15);
    const x = source + <usize>(x0 * pixel);
    // How many times four pixels from here on have all their columns inside.
    const inside = x0 < 0 ? 0 : min(outWidth - ox, (width - 1 - reach - x0 + strideX) / strideX) >> 2;
    let count = 1;
    if (inside > 0) {
      fours(p, x, y, r, ky0, ky1, from, to, inside, 0, 0);
      count = inside << 2;
    } else if (wide) {
      // The last four are those that end with the line: some of them are then computed twice.
      const back = max(0, ox + 4 - outWidth);
      const first = x0 - back * strideX;
      const beyond = first + 3 * strideX + kernelWidth - width;
      const at = x - <usize>(back * strideX * pixel);
      fours(p, at, y - <usize>(back * strideY), r - <usize>(back * strideR), ky0, ky1, from, to, 1, max(0, -first), max(0, beyond));
      count = 4 - back;
    } else {
      const kx0 = x0 >= 0 ? 0 : (dilationX - 1 - x0) / dilationX;
      const kx1 = min(kernelWidth, x0 >= width ? 0 : (width - x0 + dilationX - 1) / dilationX);
      one(p, x, y, r, ky0, ky1, kx0, kx1, from, to);
    }
    ox += count;
    y += count * strideY;
    r += count * strideR;
  }
  if (arg(p, 21) > Activation.Relu) activateLine(p, row, from, to);
}

/** Whether four pixels at either end of a line reach over the image's border by no more columns than `fours` can leave out. */
function ends(p: usize, outWidth: i32, width: i32): bool {
  const kernelWidth = arg(p, 11);
  const most = kernelWidth >> 1;
  const strideX = arg(p, 13);
  const beyond = (outWidth - 1) * strideX - arg(p, 15) + kernelWidth - width;
  if (isWritten(p) == 0 || outWidth < 4 || arg(p, 15) > most || beyond > most) return false;
  // What lies there is read all the same, so it has to be memory.
  const margin = <i64>most * arg(p, 1) * 4;
  const end = <i64>arg(p, 0) + <i64>(arg(p, 4) * arg(p, 5) * width) * arg(p, 1) * 4;
  return <i64>arg(p, 0) >= margin && end + margin + 16 <= <i64>memory.size() << 16;
}

/** The inner loop that is written for a kernel's width and stride, as twice the one and the other; 0 if there is none. */
// @ts-expect-error: decorator
@inline
function isWritten(p: usize): i32 {
  const width = arg(p, 11);
  return arg(p, 17) == 1 && arg(p, 13) <= 2 && (width == 3 || width == 5) ? width * 2 + arg(p, 13) : 0;
}

/** The least output: the ReLU is part of the loops, any other activation follows behind them. */
// @ts-expect-error: decorator
@inline
function least(p: usize): f32 {
  return arg(p, 21) == Activation.Relu ? 0 : -Infinity;
}

/** Applies a rare activation to a finished row. */
function activateLine(p: usize, row: i32, from: i32, to: i32): void {
  const outWidth = arg(p, 9);
  const strideY = <usize>arg(p, 3) << 2;
  let y = <usize>arg(p, 2) + <usize>(row * outWidth) * strideY;
  for (let ox = 0; ox < outWidth; ox++, y += strideY) {
    for (let c = from; c < to; c += 4) {
      const at = y + (<usize>c << 2);
      storeLanes(at, activate(v128.load(at), arg(p, 21)), to - c);
    }
  }
}

/** One pixel, with the taps `ky0..ky1`, `kx0..kx1` that lie inside the image; two vectors of channels at a time. */
function one(p: usize, x: usize, y: usize, r: usize, ky0: i32, ky1: i32, kx0: i32, kx1: i32, from: i32, to: i32): void {
  const kernelWidth = arg(p, 11);
  const stepX = arg(p, 17) * (arg(p, 1) << 2);
  const stepY = arg(p, 16) * arg(p, 6) * (arg(p, 1) << 2);
  const low = f32x4.splat(least(p));
  const vector = <usize>(arg(p, 10) * kernelWidth + 1) << 4;
  let weights = <usize>arg(p, 18) + <usize>(from >> 2) * vector;
  for (let c = from; c < to; c += 8, weights += vector << 1) {
    const at = <usize>c << 2;
    // Behind the last vector of channels there is only one to compute: it is then computed twice.
    const next: usize = c + 4 < to ? 16 : 0;
    const nextWeights: usize = c + 4 < to ? vector : 0;
    let c0 = f32x4.add(v128.load(weights), v128.load(r + at));
    let c1 = f32x4.add(v128.load(weights + nextWeights), v128.load(r + at + next));
    for (let ky = ky0; ky < ky1; ky++) {
      let q = x + at + <usize>(ky * stepY + kx0 * stepX);
      let w = weights + (<usize>(ky * kernelWidth + kx0 + 1) << 4);
      for (let kx = kx0; kx < kx1; kx++) {
        c0 = madd(v128.load(q), v128.load(w), c0);
        c1 = madd(v128.load(q + next), v128.load(w + nextWeights), c1);
        q += stepX;
        w += 16;
      }
    }
    storeLanes(y + at, f32x4.pmax(c0, low), to - c);
    if (next != 0) storeLanes(y + at + 16, f32x4.pmax(c1, low), to - c - 4);
  }
}

/** `count` times four neighbouring pixels, of whose columns the first `left` and the last `right` lie outside of the image. */
function fours(
  p: usize, x: usize, y: usize, r: usize, ky0: i32, ky1: i32, from: i32, to: i32, count: i32, left: i32, right: i32,
): void {
  const kernelWidth = arg(p, 11);
  const strideX = arg(p, 13);
  const pixel = <usize>arg(p, 1) << 2;
  const stepY = <usize>(arg(p, 16) * arg(p, 6)) * pixel;
  const strideY = <usize>arg(p, 3) << 2;
  const strideR = <usize>arg(p, 20) << 2;
  const line = <usize>kernelWidth << 4;
  let w = <usize>arg(p, 18) + <usize>(from >> 2) * (<usize>arg(p, 10) * line + 16);
  const before = <usize>ky0 * line + 16;
  const after = <usize>(arg(p, 10) - ky1) * line;
  const at = <usize>from << 2;
  let bytes = <usize>(to - from) << 2;
  const low = least(p);
  const rows = ky1 - ky0;
  const skip = stepY - <usize>(3 * strideX + kernelWidth - 1) * pixel;
  const shape = isWritten(p);
  x += at + <usize>ky0 * stepY;
  y += at;
  r += at;
  if (WIDE_SIMD && shape != 0 && bytes >= 32) {
    // Whole pairs of vectors; what is left follows below.
    const vector = <usize>arg(p, 10) * line + 16;
    const pairs = bytes & ~31;
    strip<2>(shape, x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, pairs, low, rows, count, left, right);
    if (bytes == pairs) return;
    bytes -= pairs;
    x += pairs;
    y += pairs;
    r += pairs;
    w += (pairs >> 4) * vector;
  }
  if (shape != 0) {
    strip<1>(shape, x, pixel, skip, w, 0, before, after, y, strideY, r, strideR, bytes, low, rows, count, left, right);
    return;
  }
  for (; count > 0; count--) {
    fourAny(p, x, stepY, w, before, after, y, r, bytes, rows);
    x += <usize>(strideX << 2) * pixel;
    y += strideY << 2;
    r += strideR << 2;
  }
}

/** `count` times four pixels with the loop that is written for a kernel, which `shape` tells. */
function strip<VECTORS extends number>(
  shape: i32, x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize,
  r: usize, strideR: usize, bytes: usize, low: f32, rows: i32, count: i32, left: i32, right: i32,
): void {
  const step = (shape & 1) == 0 ? pixel << 3 : pixel << 2;
  if (left != 0 || right != 0) {
    four<true, VECTORS>(shape, x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, left, right);
    return;
  }
  for (; count > 0; count--) {
    four<false, VECTORS>(shape, x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, 0, 0);
    x += step;
    y += strideY << 2;
    r += strideR << 2;
  }
}

// @ts-expect-error: decorator
@inline
function four<EDGE extends boolean, VECTORS extends number>(
  shape: i32, x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize,
  r: usize, strideR: usize, bytes: usize, low: f32, rows: i32, left: i32, right: i32,
): void {
  if (shape == 7) fourPixels<3, 1, EDGE, VECTORS>(x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, left, right);
  else if (shape == 8) fourPixels<3, 2, EDGE, VECTORS>(x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, left, right);
  else if (shape == 11) fourPixels<5, 1, EDGE, VECTORS>(x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, left, right);
  else fourPixels<5, 2, EDGE, VECTORS>(x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, left, right);
}

/** Any kernel width, stride and dilation. */
function fourAny(
  p: usize, x: usize, stepY: usize, w: usize, before: usize, after: usize, y: usize, r: usize, bytes: usize, rows: i32,
): void {
  const pixel = <usize>arg(p, 1) << 2;
  const next = <usize>arg(p, 13) * pixel;
  const stepX = <usize>arg(p, 17) * pixel;
  const strideY = <usize>arg(p, 3) << 2;
  const strideR = <usize>arg(p, 20) << 2;
  const line = <usize>arg(p, 11) << 4;
  const low = f32x4.splat(least(p));
  for (const end = y + bytes; y < end; y += 16, r += 16, x += 16) {
    const bias = v128.load(w);
    w += before;
    let c0 = f32x4.add(bias, v128.load(r));
    let c1 = f32x4.add(bias, v128.load(r + strideR));
    let c2 = f32x4.add(bias, v128.load(r + (strideR << 1)));
    let c3 = f32x4.add(bias, v128.load(r + strideR * 3));
    let from = x;
    for (let i = rows; i > 0; i--, from += stepY) {
      let q = from;
      for (const stop = w + line; w < stop; w += 16, q += stepX) {
        const k = v128.load(w);
        c0 = madd(v128.load(q), k, c0);
        c1 = madd(v128.load(q + next), k, c1);
        c2 = madd(v128.load(q + (next << 1)), k, c2);
        c3 = madd(v128.load(q + next * 3), k, c3);
      }
    }
    w += after;
    storeFour(y, strideY, f32x4.pmax(c0, low), f32x4.pmax(c1, low), f32x4.pmax(c2, low), f32x4.pmax(c3, low), <i32>(end - y) >> 2);
  }
}
