import { Activation } from './opcodes';
import { first, last } from './share';
import { activate, madd, storeLanes } from './vector';

// Depthwise convolution: one kernel a channel, vectorised over channels. Weights are packed `[channel / 4][tap][4]`.
//
// Arguments (4 bytes each): 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 kH, 11 kW, 12 13 stride,
// 14 15 padding top and left, 16 17 dilation, 18 weights, 19 bias, 20 residual or 0, 21 its row stride, 22 activation.

// @ts-expect-error: decorator
@inline
function arg(p: usize, i: i32): i32 {
  return load<i32>(p + (i << 2));
}

export function depthwise(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4) * arg(p, 8);
  const channels = arg(p, 7);
  let row = 0;
  let rowEnd = rows;
  let channel = 0;
  let channelEnd = channels;
  // Small images are shared by channels, which divides them more evenly than their few rows.
  if (rows < 8 * threads && channels >= 16 * threads) {
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
  const kernelHeight = arg(p, 10);
  const kernelWidth = arg(p, 11);
  const strideX = arg(p, 13);
  const left = arg(p, 15);
  const dilationY = arg(p, 16);
  const dilationX = arg(p, 17);
  const image = row / outHeight;
  const top = (row - image * outHeight) * arg(p, 12) - arg(p, 14);
  // The kernel's rows and, for each pixel, columns that lie inside the image; taps outside of it are zeros and are left out.
  const ky0 = top >= 0 ? 0 : (dilationY - 1 - top) / dilationY;
  const ky1 = min(kernelHeight, top >= height ? 0 : (height - top + dilationY - 1) / dilationY);
  const source = <usize>arg(p, 0) + <usize>((image * height + top) * width * arg(p, 1) * 4);
  const pixel = arg(p, 1) << 2;
  const strideY = arg(p, 3) << 2;
  const strideR = arg(p, 21) << 2;
  let y = <usize>arg(p, 2) + <usize>(row * outWidth * strideY);
  let r = <usize>arg(p, 20);
  if (r != 0) r += <usize>(row * outWidth * strideR);
  const reach = (kernelWidth - 1) * dilationX;
  for (let ox = 0; ox < outWidth; ) {
    const x0 = ox * strideX - left;
    const x = source + <usize>(x0 * pixel);
    if (x0 >= 0 && ox + 4 <= outWidth && x0 + 3 * strideX + reach < width) {
      if (dilationX == 1 && strideX == 1 && kernelWidth == 3) four3(p, x, y, r, ky0, ky1, from, to);
      else if (dilationX == 1 && strideX == 1 && kernelWidth == 5) four5(p, x, y, r, ky0, ky1, from, to);
      else four(p, x, y, r, ky0, ky1, from, to);
      ox += 4;
      y += strideY << 2;
      if (r != 0) r += strideR << 2;
    } else {
      const kx0 = x0 >= 0 ? 0 : (dilationX - 1 - x0) / dilationX;
      const kx1 = min(kernelWidth, x0 >= width ? 0 : (width - x0 + dilationX - 1) / dilationX);
      one(p, x, y, r, ky0, ky1, kx0, kx1, from, to);
      ox++;
      y += strideY;
      if (r != 0) r += strideR;
    }
  }
}

// @ts-expect-error: decorator
@inline
function finish(c: v128, y: usize, r: usize, activation: i32, count: i32): void {
  if (r != 0) c = f32x4.add(c, v128.load(r));
  storeLanes(y, activate(c, activation), count);
}

/** One pixel, with the taps `ky0..ky1`, `kx0..kx1` that lie inside the image; two vectors of channels at a time. */
function one(p: usize, x: usize, y: usize, r: usize, ky0: i32, ky1: i32, kx0: i32, kx1: i32, from: i32, to: i32): void {
  const kernelWidth = arg(p, 11);
  const taps = arg(p, 10) * kernelWidth;
  const stepX = arg(p, 17) * (arg(p, 1) << 2);
  const stepY = arg(p, 16) * arg(p, 6) * (arg(p, 1) << 2);
  const bias = <usize>arg(p, 19);
  const activation = arg(p, 22);
  const vector = <usize>taps << 4;
  let weights = <usize>arg(p, 18) + <usize>(from >> 2) * vector;
  for (let c = from; c < to; c += 8, weights += vector << 1) {
    const at = <usize>c << 2;
    // Behind the last vector of channels there is only one to compute: it is then computed twice.
    const next = c + 4 < to ? 16 : 0;
    const nextWeights = c + 4 < to ? vector : 0;
    let c0 = v128.load(bias + at);
    let c1 = v128.load(bias + at + next);
    for (let ky = ky0; ky < ky1; ky++) {
      let q = x + at + <usize>(ky * stepY + kx0 * stepX);
      let w = weights + (<usize>(ky * kernelWidth + kx0) << 4);
      for (let kx = kx0; kx < kx1; kx++) {
        c0 = madd(v128.load(q), v128.load(w), c0);
        c1 = madd(v128.load(q + next), v128.load(w + nextWeights), c1);
        q += stepX;
        w += 16;
      }
    }
    finish(c0, y + at, r == 0 ? 0 : r + at, activation, to - c);
    if (next != 0) finish(c1, y + at + 16, r == 0 ? 0 : r + at + 16, activation, to - c - 4);
  }
}

/** Four neighbouring pixels, any kernel width, stride and dilation. */
function four(p: usize, x: usize, y: usize, r: usize, ky0: i32, ky1: i32, from: i32, to: i32): void {
  const pixel = <usize>arg(p, 1) << 2;
  const kernelWidth = arg(p, 11);
  const vector = <usize>(arg(p, 10) * kernelWidth) << 4;
  const next = <usize>arg(p, 13) * pixel;
  const stepX = <usize>arg(p, 17) * pixel;
  const stepY = <usize>(arg(p, 16) * arg(p, 6)) * pixel;
  const strideY = <usize>arg(p, 3) << 2;
  const strideR = <usize>arg(p, 21) << 2;
  const bias = <usize>arg(p, 19);
  const activation = arg(p, 22);
  let weights = <usize>arg(p, 18) + <usize>(from >> 2) * vector;
  for (let c = from; c < to; c += 4, weights += vector) {
    const at = <usize>c << 2;
    let c0 = v128.load(bias + at);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let w = weights + (<usize>(ky0 * kernelWidth) << 4);
    for (let ky = ky0; ky < ky1; ky++) {
      let q0 = x + at + <usize>ky * stepY;
      let q1 = q0 + next;
      let q2 = q1 + next;
      let q3 = q2 + next;
      for (const end = w + (<usize>kernelWidth << 4); w < end; w += 16) {
        const k = v128.load(w);
        c0 = madd(v128.load(q0), k, c0);
        c1 = madd(v128.load(q1), k, c1);
        c2 = madd(v128.load(q2), k, c2);
        c3 = madd(v128.load(q3), k, c3);
        q0 += stepX;
        q1 += stepX;
        q2 += stepX;
        q3 += stepX;
      }
    }
    finishFour(c0, c1, c2, c3, y + at, strideY, r == 0 ? 0 : r + at, strideR, activation, to - c);
  }
}

// @ts-expect-error: decorator
@inline
function finishFour(
  c0: v128, c1: v128, c2: v128, c3: v128, y: usize, strideY: usize, r: usize, strideR: usize, activation: i32, count: i32,
): void {
  if (count >= 4 && activation <= Activation.Relu) {
    // The common end, without a branch for each vector.
    if (r != 0) {
      c0 = f32x4.add(c0, v128.load(r));
      c1 = f32x4.add(c1, v128.load(r + strideR));
      c2 = f32x4.add(c2, v128.load(r + (strideR << 1)));
      c3 = f32x4.add(c3, v128.load(r + strideR * 3));
    }
    if (activation == Activation.Relu) {
      const zero = f32x4.splat(0);
      c0 = f32x4.pmax(c0, zero);
      c1 = f32x4.pmax(c1, zero);
      c2 = f32x4.pmax(c2, zero);
      c3 = f32x4.pmax(c3, zero);
    }
    v128.store(y, c0);
    v128.store(y + strideY, c1);
    v128.store(y + (strideY << 1), c2);
    v128.store(y + strideY * 3, c3);
    return;
  }
  finish(c0, y, r, activation, count);
  finish(c1, y + strideY, r == 0 ? 0 : r + strideR, activation, count);
  finish(c2, y + (strideY << 1), r == 0 ? 0 : r + (strideR << 1), activation, count);
  finish(c3, y + strideY * 3, r == 0 ? 0 : r + strideR * 3, activation, count);
}

/** Four neighbouring pixels, width 3, stride 1: each input is read once for the three taps it meets. */
function four3(p: usize, x: usize, y: usize, r: usize, ky0: i32, ky1: i32, from: i32, to: i32): void {
  const pixel = <usize>arg(p, 1) << 2;
  const vector = <usize>arg(p, 10) * 48;
  const stepY = <usize>(arg(p, 16) * arg(p, 6)) * pixel;
  const strideY = <usize>arg(p, 3) << 2;
  const strideR = <usize>arg(p, 21) << 2;
  const bias = <usize>arg(p, 19);
  const activation = arg(p, 22);
  let weights = <usize>arg(p, 18) + <usize>(from >> 2) * vector;
  for (let c = from; c < to; c += 4, weights += vector) {
    const at = <usize>c << 2;
    let c0 = v128.load(bias + at);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let w = weights + <usize>ky0 * 48;
    let line = x + at + <usize>ky0 * stepY;
    for (let ky = ky0; ky < ky1; ky++) {
      const k0 = v128.load(w);
      const k1 = v128.load(w, 16);
      const k2 = v128.load(w, 32);
      w += 48;
      let q = line;
      line += stepY;
      let v = v128.load(q);
      c0 = madd(v, k0, c0);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k1, c0);
      c1 = madd(v, k0, c1);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k2, c0);
      c1 = madd(v, k1, c1);
      c2 = madd(v, k0, c2);
      q += pixel;
      v = v128.load(q);
      c1 = madd(v, k2, c1);
      c2 = madd(v, k1, c2);
      c3 = madd(v, k0, c3);
      q += pixel;
      v = v128.load(q);
      c2 = madd(v, k2, c2);
      c3 = madd(v, k1, c3);
      q += pixel;
      v = v128.load(q);
      c3 = madd(v, k2, c3);
    }
    finishFour(c0, c1, c2, c3, y + at, strideY, r == 0 ? 0 : r + at, strideR, activation, to - c);
  }
}

/** Four neighbouring pixels, width 5, stride 1. */
function four5(p: usize, x: usize, y: usize, r: usize, ky0: i32, ky1: i32, from: i32, to: i32): void {
  const pixel = <usize>arg(p, 1) << 2;
  const vector = <usize>arg(p, 10) * 80;
  const stepY = <usize>(arg(p, 16) * arg(p, 6)) * pixel;
  const strideY = <usize>arg(p, 3) << 2;
  const strideR = <usize>arg(p, 21) << 2;
  const bias = <usize>arg(p, 19);
  const activation = arg(p, 22);
  let weights = <usize>arg(p, 18) + <usize>(from >> 2) * vector;
  for (let c = from; c < to; c += 4, weights += vector) {
    const at = <usize>c << 2;
    let c0 = v128.load(bias + at);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let w = weights + <usize>ky0 * 80;
    let line = x + at + <usize>ky0 * stepY;
    for (let ky = ky0; ky < ky1; ky++) {
      const k0 = v128.load(w);
      const k1 = v128.load(w, 16);
      const k2 = v128.load(w, 32);
      const k3 = v128.load(w, 48);
      const k4 = v128.load(w, 64);
      w += 80;
      let q = line;
      line += stepY;
      let v = v128.load(q);
      c0 = madd(v, k0, c0);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k1, c0);
      c1 = madd(v, k0, c1);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k2, c0);
      c1 = madd(v, k1, c1);
      c2 = madd(v, k0, c2);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k3, c0);
      c1 = madd(v, k2, c1);
      c2 = madd(v, k1, c2);
      c3 = madd(v, k0, c3);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k4, c0);
      c1 = madd(v, k3, c1);
      c2 = madd(v, k2, c2);
      c3 = madd(v, k1, c3);
      q += pixel;
      v = v128.load(q);
      c1 = madd(v, k4, c1);
      c2 = madd(v, k3, c2);
      c3 = madd(v, k2, c3);
      q += pixel;
      v = v128.load(q);
      c2 = madd(v, k4, c2);
      c3 = madd(v, k3, c3);
      q += pixel;
      v = v128.load(q);
      c3 = madd(v, k4, c3);
    }
    finishFour(c0, c1, c2, c3, y + at, strideY, r == 0 ? 0 : r + at, strideR, activation, to - c);
  }
}
