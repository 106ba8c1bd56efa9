import { beyond, storeFour } from './depthwise-rows';
import { madd } from './vector';

// The inner loops of a depthwise convolution with kernels that are five wide: see depthwise-rows.ts.

/** Kernel width 5, stride 1. */
export function four5s1(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
): void {
  const zero = f32x4.splat(0);
  quad5s1(x, pixel, skip, w, before, after, y, strideY, r, strideR, bytes, low, rows, false, zero, zero, zero, zero);
}

/** The same where the first `left` and the last `right` columns are outside of the image. */
export function edge5s1(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  left: i32, right: i32,
): void {
  quad5s1(x, pixel, skip, w, before, after, y, strideY, r, strideR, bytes, low, rows, true, beyond(left, 0), beyond(left, 1), beyond(right, 0), beyond(right, 1));
}

// @ts-expect-error: decorator
@inline
function quad5s1(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  edge: bool, left0: v128, left1: v128, right0: v128, right1: v128,
): void {
  const least = f32x4.splat(low);
  let k0: v128;
  let k1: v128;
  let k2: v128;
  let k3: v128;
  let k4: v128;
  let v: v128;
  for (const end = y + bytes; y < end; y += 16, r += 16, x += 16) {
    const bias = v128.load(w);
    w += before;
    let q = r;
    let c0 = f32x4.add(bias, v128.load(q));
    q += strideR;
    let c1 = f32x4.add(bias, v128.load(q));
    q += strideR;
    let c2 = f32x4.add(bias, v128.load(q));
    q += strideR;
    let c3 = f32x4.add(bias, v128.load(q));
    q = x;
    for (let i = rows; i > 0; i--) {
      k0 = v128.load(w);
      k1 = v128.load(w, 16);
      k2 = v128.load(w, 32);
      k3 = v128.load(w, 48);
      k4 = v128.load(w, 64);
      w += 80;
      v = v128.load(q);
      if (edge) v = v128.and(v, left0);
      c0 = madd(v, k0, c0);
      q += pixel;
      v = v128.load(q);
      if (edge) v = v128.and(v, left1);
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
      if (edge) v = v128.and(v, right1);
      c2 = madd(v, k4, c2);
      c3 = madd(v, k3, c3);
      q += pixel;
      v = v128.load(q);
      if (edge) v = v128.and(v, right0);
      c3 = madd(v, k4, c3);
      q += skip;
    }
    w += after;
    c0 = f32x4.pmax(c0, least);
    c1 = f32x4.pmax(c1, least);
    c2 = f32x4.pmax(c2, least);
    c3 = f32x4.pmax(c3, least);
    if (end - y < 16) return storeFour(y, strideY, c0, c1, c2, c3, <i32>(end - y) >> 2);
    q = y;
    v128.store(q, c0);
    q += strideY;
    v128.store(q, c1);
    q += strideY;
    v128.store(q, c2);
    q += strideY;
    v128.store(q, c3);
  }
}

/** Kernel width 5, stride 2. */
export function four5s2(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
): void {
  const zero = f32x4.splat(0);
  quad5s2(x, pixel, skip, w, before, after, y, strideY, r, strideR, bytes, low, rows, false, zero, zero, zero, zero);
}

/** The same where the first `left` and the last `right` columns are outside of the image. */
export function edge5s2(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  left: i32, right: i32,
): void {
  quad5s2(x, pixel, skip, w, before, after, y, strideY, r, strideR, bytes, low, rows, true, beyond(left, 0), beyond(left, 1), beyond(right, 0), beyond(right, 1));
}

// @ts-expect-error: decorator
@inline
function quad5s2(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  edge: bool, left0: v128, left1: v128, right0: v128, right1: v128,
): void {
  const least = f32x4.splat(low);
  let k0: v128;
  let k1: v128;
  let k2: v128;
  let k3: v128;
  let k4: v128;
  let v: v128;
  for (const end = y + bytes; y < end; y += 16, r += 16, x += 16) {
    const bias = v128.load(w);
    w += before;
    let q = r;
    let c0 = f32x4.add(bias, v128.load(q));
    q += strideR;
    let c1 = f32x4.add(bias, v128.load(q));
    q += strideR;
    let c2 = f32x4.add(bias, v128.load(q));
    q += strideR;
    let c3 = f32x4.add(bias, v128.load(q));
    q = x;
    for (let i = rows; i > 0; i--) {
      k0 = v128.load(w);
      k1 = v128.load(w, 16);
      k2 = v128.load(w, 32);
      k3 = v128.load(w, 48);
      k4 = v128.load(w, 64);
      w += 80;
      v = v128.load(q);
      if (edge) v = v128.and(v, left0);
      c0 = madd(v, k0, c0);
      q += pixel;
      v = v128.load(q);
      if (edge) v = v128.and(v, left1);
      c0 = madd(v, k1, c0);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k2, c0);
      c1 = madd(v, k0, c1);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k3, c0);
      c1 = madd(v, k1, c1);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k4, c0);
      c1 = madd(v, k2, c1);
      c2 = madd(v, k0, c2);
      q += pixel;
      v = v128.load(q);
      c1 = madd(v, k3, c1);
      c2 = madd(v, k1, c2);
      q += pixel;
      v = v128.load(q);
      c1 = madd(v, k4, c1);
      c2 = madd(v, k2, c2);
      c3 = madd(v, k0, c3);
      q += pixel;
      v = v128.load(q);
      c2 = madd(v, k3, c2);
      c3 = madd(v, k1, c3);
      q += pixel;
      v = v128.load(q);
      c2 = madd(v, k4, c2);
      c3 = madd(v, k2, c3);
      q += pixel;
      v = v128.load(q);
      if (edge) v = v128.and(v, right1);
      c3 = madd(v, k3, c3);
      q += pixel;
      v = v128.load(q);
      if (edge) v = v128.and(v, right0);
      c3 = madd(v, k4, c3);
      q += skip;
    }
    w += after;
    c0 = f32x4.pmax(c0, least);
    c1 = f32x4.pmax(c1, least);
    c2 = f32x4.pmax(c2, least);
    c3 = f32x4.pmax(c3, least);
    if (end - y < 16) return storeFour(y, strideY, c0, c1, c2, c3, <i32>(end - y) >> 2);
    q = y;
    v128.store(q, c0);
    q += strideY;
    v128.store(q, c1);
    q += strideY;
    v128.store(q, c2);
    q += strideY;
    v128.store(q, c3);
  }
}
