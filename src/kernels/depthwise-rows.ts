import { madd, storeLanes } from './vector';

// The inner loops of a depthwise convolution with kernels that are three wide (five: depthwise-rows-5.ts): four neighbouring output pixels, all
// channels of a range, `rows` rows of the kernel. Each input is read once for all taps that it meets. Written out for each width and stride, with
// no branch and few values alive: V8 then keeps them in registers.
//
// `x` is the first input pixel, `pixel` the bytes from one to the next, `skip` from the last one read in a row to the first of the next row;
// `w` the packed weights, `before` and `after` the bytes from a vector's bias to its first row used, and from behind the last one used to the
// next vector; `y` and `r` the outputs and the residuals (zeros with stride 0 when there are none); `bytes` the channels, of which the last vector may have less than four; `low` the least output.

/** The first `lanes` channels of four pixels. */
export function storeFour(y: usize, strideY: usize, c0: v128, c1: v128, c2: v128, c3: v128, lanes: i32): void {
  storeLanes(y, c0, lanes);
  storeLanes(y + strideY, c1, lanes);
  storeLanes(y + (strideY << 1), c2, lanes);
  storeLanes(y + strideY * 3, c3, lanes);
}

/** Zeros for a column that is outside of the image: one of more than `k` that are. */
// @ts-expect-error: decorator
@inline
export function beyond(columns: i32, k: i32): v128 {
  return i32x4.splat(columns > k ? 0 : -1);
}

/** Kernel width 3, stride 1. */
export function four3s1(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
): void {
  const zero = f32x4.splat(0);
  quad3s1(x, pixel, skip, w, before, after, y, strideY, r, strideR, bytes, low, rows, false, zero, zero);
}

/** The same where the first `left` and the last `right` columns are outside of the image. */
export function edge3s1(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  left: i32, right: i32,
): void {
  quad3s1(x, pixel, skip, w, before, after, y, strideY, r, strideR, bytes, low, rows, true, beyond(left, 0), beyond(right, 0));
}

// @ts-expect-error: decorator
@inline
function quad3s1(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  edge: bool, left0: v128, right0: v128,
): void {
  const least = f32x4.splat(low);
  let k0: v128;
  let k1: v128;
  let k2: v128;
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
      w += 48;
      v = v128.load(q);
      if (edge) v = v128.and(v, left0);
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
      if (edge) v = v128.and(v, right0);
      c3 = madd(v, k2, c3);
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

/** Kernel width 3, stride 2. */
export function four3s2(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
): void {
  const zero = f32x4.splat(0);
  quad3s2(x, pixel, skip, w, before, after, y, strideY, r, strideR, bytes, low, rows, false, zero, zero);
}

/** The same where the first `left` and the last `right` columns are outside of the image. */
export function edge3s2(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  left: i32, right: i32,
): void {
  quad3s2(x, pixel, skip, w, before, after, y, strideY, r, strideR, bytes, low, rows, true, beyond(left, 0), beyond(right, 0));
}

// @ts-expect-error: decorator
@inline
function quad3s2(
  x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  edge: bool, left0: v128, right0: v128,
): void {
  const least = f32x4.splat(low);
  let k0: v128;
  let k1: v128;
  let k2: v128;
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
      w += 48;
      v = v128.load(q);
      if (edge) v = v128.and(v, left0);
      c0 = madd(v, k0, c0);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k1, c0);
      q += pixel;
      v = v128.load(q);
      c0 = madd(v, k2, c0);
      c1 = madd(v, k0, c1);
      q += pixel;
      v = v128.load(q);
      c1 = madd(v, k1, c1);
      q += pixel;
      v = v128.load(q);
      c1 = madd(v, k2, c1);
      c2 = madd(v, k0, c2);
      q += pixel;
      v = v128.load(q);
      c2 = madd(v, k1, c2);
      q += pixel;
      v = v128.load(q);
      c2 = madd(v, k2, c2);
      c3 = madd(v, k0, c3);
      q += pixel;
      v = v128.load(q);
      c3 = madd(v, k1, c3);
      q += pixel;
      v = v128.load(q);
      if (edge) v = v128.and(v, right0);
      c3 = madd(v, k2, c3);
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
