import { arg } from './args';
import { dotsToTrust, NO_DOTS } from './int8-check';
import { depthwiseDots, suitsDots } from './int8-depthwise-dots';
import { CONSTANTS, endFour, endOne, storeConstants } from './int8-depthwise-end';
import { fourBytes } from './int8-depthwise-rows';
import { first, last } from './share';

// Depthwise convolution of int8 activations in 16-bit arithmetic, 8 channels a vector: the sum of a kernel's weights is small enough that no sum of
// products leaves 16 bits. Weights are packed `[channel / 8][multiplier, bias, sum of the taps, taps][8]`, the taps as bytes, the rest as 16 bits. The
// result is
// `(sum * multiplier / 2^15 + bias + residual * its multiplier / 2^7) / 2^shift`, every product rounded to nearest, the end rounded down.
//
// Arguments (4 bytes each): 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 H, 6 W, 7 channels that may be written, 8 OH, 9 OW, 10 kH, 11 kW,
// 12 13 stride, 14 15 padding top and left, 16 17 dilation, 18 weights, 19 shift, 20 least and 21 most of y, 22 residual or 0, 23 its row stride,
// 24 its multiplier, 25 zero point of x, 26 scratch, 27 its bytes for each thread, 28 weights for int8-depthwise-dots.ts or 0, 29 channels that these
// loops take at a time, 30 pairs of columns and 31 rows that they keep.

/** Bytes in front of a vector's taps: multipliers, biases and sums. */
const HEAD: usize = 48;

export function int8Depthwise(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4) * arg(p, 8);
  const channels = arg(p, 7);
  let row = 0;
  let rowEnd = rows;
  let channel = 0;
  let channelEnd = channels;
  // As in depthwise.ts: rows, so that a thread finds its inputs in its own cache.
  const scratch = <usize>arg(p, 26) + <usize>tid * <usize>arg(p, 27);
  const dots = suitsDots(p) && dotsToTrust(scratch) != NO_DOTS;
  if (rows < 2 * threads && channels >= 16 * threads && !dots) {
    channel = first(channels, 16, tid, threads);
    channelEnd = last(channels, 16, tid, threads);
  } else {
    row = first(rows, 1, tid, threads);
    rowEnd = last(rows, 1, tid, threads);
  }
  storeConstants(p, scratch);
  if (dots) depthwiseDots(p, row, rowEnd, scratch);
  else if (channel < channelEnd) for (; row < rowEnd; row++) line(p, row, channel, channelEnd, scratch);
}

/** One row of output pixels, channels `from` to `to`. */
function line(p: usize, row: i32, from: i32, to: i32, scratch: usize): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const kernelHeight = arg(p, 10);
  const kernelWidth = arg(p, 11);
  const strideX = arg(p, 13);
  const dilationY = arg(p, 16);
  const dilationX = arg(p, 17);
  const image = row / outHeight;
  const top = (row - image * outHeight) * arg(p, 12) - arg(p, 14);
  // The kernel's rows and, for each pixel, columns that lie inside the image.
  const ky0 = top >= 0 ? 0 : min(kernelHeight, (dilationY - 1 - top) / dilationY);
  const ky1 = max(ky0, min(kernelHeight, top >= height ? 0 : (height - top + dilationY - 1) / dilationY));
  const pixel = arg(p, 1);
  const source = <usize>arg(p, 0) + <usize>((image * height + top) * width * pixel);
  const strideY = arg(p, 3);
  const strideR = arg(p, 23);
  let y = <usize>arg(p, 2) + <usize>(row * outWidth * strideY);
  let r = <usize>arg(p, 22) + <usize>(row * outWidth * strideR);
  const reach = (kernelWidth - 1) * dilationX;
  const whole = from + ((to - from) & ~7);
  const partial = arg(p, 25) != 0 && ky1 - ky0 < kernelHeight;
  if (partial) outsideRows(p, ky0, ky1, from, whole, scratch + CONSTANTS);
  for (let ox = 0; ox < outWidth; ) {
    const x0 = ox * strideX - arg(p, 15);
    const x = source + <usize>(x0 * pixel);
    // How many times four pixels from here on have all their columns inside.
    const inside = x0 < 0 ? 0 : min(outWidth - ox, (width - 1 - reach - x0 + strideX) / strideX) >> 2;
    if (inside > 0) {
      const start = partial ? scratch + CONSTANTS : scratch;
      if (whole > from) fours(p, scratch, x, y, r, ky0, ky1, from, whole, inside, start, partial ? 16 : 0);
      if (to > whole) {
        for (let i = 0; i < inside << 2; i++) {
          const at = <usize>(i * strideX * pixel);
          one(p, scratch, x + at, y + <usize>(i * strideY), r + <usize>(i * strideR), ky0, ky1, 0, kernelWidth, whole, to);
        }
      }
      ox += inside << 2;
      y += (inside << 2) * strideY;
      r += (inside << 2) * strideR;
    } else {
      const kx0 = x0 >= 0 ? 0 : min(kernelWidth, (dilationX - 1 - x0) / dilationX);
      const kx1 = max(kx0, min(kernelWidth, x0 >= width ? 0 : (width - x0 + dilationX - 1) / dilationX));
      one(p, scratch, x, y, r, ky0, ky1, kx0, kx1, from, to);
      ox++;
      y += strideY;
      r += strideR;
    }
  }
}

/** What the kernel's rows outside of the image add to every sum: the zero point times their weights. */
function outsideRows(p: usize, ky0: i32, ky1: i32, from: i32, to: i32, sums: usize): void {
  const kernelWidth = arg(p, 11);
  const vector = (<usize>(arg(p, 10) * kernelWidth) << 3) + HEAD;
  const zero = i16x8.splat(<i16>arg(p, 25));
  let w = <usize>arg(p, 18) + <usize>(from >> 3) * vector;
  for (let c = from; c < to; c += 8, w += vector, sums += 16) {
    let outside = v128.load(w, 32);
    const end = w + HEAD + (<usize>(ky1 * kernelWidth) << 3);
    for (let at = w + HEAD + (<usize>(ky0 * kernelWidth) << 3); at < end; at += 8) outside = i16x8.sub(outside, v128.load8x8_s(at));
    v128.store(sums, i16x8.mul(outside, zero));
  }
}

/** One pixel, with the taps `ky0..ky1`, `kx0..kx1` that lie inside the image. */
function one(
  p: usize, k: usize, x: usize, y: usize, r: usize, ky0: i32, ky1: i32, kx0: i32, kx1: i32, from: i32, to: i32,
): void {
  const kernelWidth = arg(p, 11);
  const stepX = arg(p, 17) * arg(p, 1);
  const stepY = arg(p, 16) * arg(p, 6) * arg(p, 1);
  const zero = i16x8.splat(<i16>arg(p, 25));
  const vector = (<usize>(arg(p, 10) * kernelWidth) << 3) + HEAD;
  let head = <usize>arg(p, 18) + <usize>(from >> 3) * vector;
  for (let c = from; c < to; c += 8, head += vector) {
    let sum = i16x8.splat(0);
    let outside = v128.load(head, 32);
    for (let ky = ky0; ky < ky1; ky++) {
      let q = x + <usize>c + <usize>(ky * stepY + kx0 * stepX);
      let w = head + HEAD + (<usize>(ky * kernelWidth + kx0) << 3);
      for (let kx = kx0; kx < kx1; kx++) {
        const tap = v128.load8x8_s(w);
        sum = i16x8.add(sum, i16x8.mul(v128.load8x8_s(q), tap));
        outside = i16x8.sub(outside, tap);
        q += stepX;
        w += 8;
      }
    }
    endOne(p, k, head, y + <usize>c, r + <usize>c, i16x8.add(sum, i16x8.mul(outside, zero)), to - c);
  }
}

/** `count` times four neighbouring pixels inside the image, whole vectors of channels. */
function fours(
  p: usize, k: usize, x: usize, y: usize, r: usize, ky0: i32, ky1: i32, from: i32, to: i32, count: i32, start: usize, step: usize,
): void {
  const kernelWidth = arg(p, 11);
  const strideX = arg(p, 13);
  const pixel = <usize>arg(p, 1);
  const stepY = <usize>(arg(p, 16) * arg(p, 6)) * pixel;
  const strideY = <usize>arg(p, 3);
  const strideR = <usize>arg(p, 23);
  const line = <usize>kernelWidth << 3;
  const w = <usize>arg(p, 18) + <usize>(from >> 3) * (<usize>arg(p, 10) * line + HEAD);
  const before = <usize>ky0 * line + HEAD;
  const after = <usize>(arg(p, 10) - ky1) * line;
  const bytes = <usize>(to - from);
  const rows = ky1 - ky0;
  const skip = stepY - <usize>(3 * strideX + kernelWidth - 1) * pixel;
  const shape = arg(p, 17) == 1 && strideX <= 2 ? kernelWidth * 2 + strideX : 0;
  x += <usize>from + <usize>ky0 * stepY;
  y += <usize>from;
  r += <usize>from;
  for (; count > 0; count--) {
    if (shape == 7) fourBytes<3, 1>(p, k, x, pixel, skip, w, before, after, start, step, y, r, bytes, rows);
    else if (shape == 8) fourBytes<3, 2>(p, k, x, pixel, skip, w, before, after, start, step, y, r, bytes, rows);
    else if (shape == 11) fourBytes<5, 1>(p, k, x, pixel, skip, w, before, after, start, step, y, r, bytes, rows);
    else if (shape == 12) fourBytes<5, 2>(p, k, x, pixel, skip, w, before, after, start, step, y, r, bytes, rows);
    else fourAny(p, k, x, stepY, w, before, after, start, step, y, r, bytes, rows);
    x += <usize>(strideX << 2) * pixel;
    y += strideY << 2;
    r += strideR << 2;
  }
}

/** Any kernel width, stride and dilation. */
function fourAny(
  p: usize, k: usize, x: usize, stepY: usize, w: usize, before: usize, after: usize, from: usize, step: usize, y: usize, r: usize,
  bytes: usize, rows: i32,
): void {
  const pixel = <usize>arg(p, 1);
  const next = <usize>arg(p, 13) * pixel;
  const stepX = <usize>arg(p, 17) * pixel;
  const taps = <usize>arg(p, 11) << 3;
  for (const end = y + bytes; y < end; y += 8, r += 8, x += 8, from += step) {
    const head = w;
    w += before;
    let c: Registers<v128>;
    unroll: for (let i = 0; i < 4; i++) c[i] = i == 0 ? v128.load(from) : c[0];
    let line = x;
    for (let row = rows; row > 0; row--, line += stepY) {
      let q = line;
      for (const stop = w + taps; w < stop; w += 8, q += stepX) {
        const tap = v128.load8x8_s(w);
        unroll: for (let i = 0; i < 4; i++) c[i] = i16x8.add(c[i], i16x8.mul(v128.load8x8_s(q + next * i), tap));
      }
    }
    w += after;
    endFour(p, k, head, y, r, c[0], c[1], c[2], c[3]);
  }
}
