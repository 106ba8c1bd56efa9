import { beyond } from './depthwise-rows';
import { madd } from './vector';

// The inner loops of a depthwise convolution for vectors of 256 bits (see tiles-wide.ts): as in depthwise-rows-5.ts, but two vectors of channels at a time,
// whose weights are `vector` bytes apart, and nothing but whole pairs of them.

/** Kernel width 5, stride 1. */
export function eight5s1(
  x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
): void {
  const zero = f32x4.splat(0);
  rows5s1(x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, false, zero, zero, zero, zero);
}

/** The same where the first `left` and the last `right` columns are outside of the image. */
export function eightEdge5s1(
  x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  left: i32, right: i32,
): void {
  rows5s1(x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, true, beyond(left, 0), beyond(left, 1), beyond(right, 0), beyond(right, 1));
}

// @ts-expect-error: decorator
@inline
function rows5s1(
  x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  edge: bool, left0: v128, left1: v128, right0: v128, right1: v128,
): void {
  const least = f32x4.splat(low);
  for (const end = y + bytes; y < end; y += 32, r += 32, x += 32) {
    const bias0 = v128.load(w);
    const bias1 = v128.load(w + vector);
    w += before;
    let q = r;
    let c0 = f32x4.add(bias0, v128.load(q));
    let d0 = f32x4.add(bias1, v128.load(q, 16));
    q += strideR;
    let c1 = f32x4.add(bias0, v128.load(q));
    let d1 = f32x4.add(bias1, v128.load(q, 16));
    q += strideR;
    let c2 = f32x4.add(bias0, v128.load(q));
    let d2 = f32x4.add(bias1, v128.load(q, 16));
    q += strideR;
    let c3 = f32x4.add(bias0, v128.load(q));
    let d3 = f32x4.add(bias1, v128.load(q, 16));
    q = x;
    for (let i = rows; i > 0; i--) {
      const other = w + vector;
      const k0 = v128.load(w);
      const l0 = v128.load(other);
      const k1 = v128.load(w, 16);
      const l1 = v128.load(other, 16);
      const k2 = v128.load(w, 32);
      const l2 = v128.load(other, 32);
      const k3 = v128.load(w, 48);
      const l3 = v128.load(other, 48);
      const k4 = v128.load(w, 64);
      const l4 = v128.load(other, 64);
      w += 80;
      let v = v128.load(q);
      let u = v128.load(q, 16);
      if (edge) {
        v = v128.and(v, left0);
        u = v128.and(u, left0);
      }
      c0 = madd(v, k0, c0);
      d0 = madd(u, l0, d0);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      if (edge) {
        v = v128.and(v, left1);
        u = v128.and(u, left1);
      }
      c0 = madd(v, k1, c0);
      d0 = madd(u, l1, d0);
      c1 = madd(v, k0, c1);
      d1 = madd(u, l0, d1);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c0 = madd(v, k2, c0);
      d0 = madd(u, l2, d0);
      c1 = madd(v, k1, c1);
      d1 = madd(u, l1, d1);
      c2 = madd(v, k0, c2);
      d2 = madd(u, l0, d2);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c0 = madd(v, k3, c0);
      d0 = madd(u, l3, d0);
      c1 = madd(v, k2, c1);
      d1 = madd(u, l2, d1);
      c2 = madd(v, k1, c2);
      d2 = madd(u, l1, d2);
      c3 = madd(v, k0, c3);
      d3 = madd(u, l0, d3);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c0 = madd(v, k4, c0);
      d0 = madd(u, l4, d0);
      c1 = madd(v, k3, c1);
      d1 = madd(u, l3, d1);
      c2 = madd(v, k2, c2);
      d2 = madd(u, l2, d2);
      c3 = madd(v, k1, c3);
      d3 = madd(u, l1, d3);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c1 = madd(v, k4, c1);
      d1 = madd(u, l4, d1);
      c2 = madd(v, k3, c2);
      d2 = madd(u, l3, d2);
      c3 = madd(v, k2, c3);
      d3 = madd(u, l2, d3);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      if (edge) {
        v = v128.and(v, right1);
        u = v128.and(u, right1);
      }
      c2 = madd(v, k4, c2);
      d2 = madd(u, l4, d2);
      c3 = madd(v, k3, c3);
      d3 = madd(u, l3, d3);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      if (edge) {
        v = v128.and(v, right0);
        u = v128.and(u, right0);
      }
      c3 = madd(v, k4, c3);
      d3 = madd(u, l4, d3);
      q += skip;
    }
    w += after + vector;
    q = y;
    v128.store(q, f32x4.pmax(c0, least));
    v128.store(q, f32x4.pmax(d0, least), 16);
    q += strideY;
    v128.store(q, f32x4.pmax(c1, least));
    v128.store(q, f32x4.pmax(d1, least), 16);
    q += strideY;
    v128.store(q, f32x4.pmax(c2, least));
    v128.store(q, f32x4.pmax(d2, least), 16);
    q += strideY;
    v128.store(q, f32x4.pmax(c3, least));
    v128.store(q, f32x4.pmax(d3, least), 16);
  }
}

/** Kernel width 5, stride 2. */
export function eight5s2(
  x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
): void {
  const zero = f32x4.splat(0);
  rows5s2(x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, false, zero, zero, zero, zero);
}

/** The same where the first `left` and the last `right` columns are outside of the image. */
export function eightEdge5s2(
  x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  left: i32, right: i32,
): void {
  rows5s2(x, pixel, skip, w, vector, before, after, y, strideY, r, strideR, bytes, low, rows, true, beyond(left, 0), beyond(left, 1), beyond(right, 0), beyond(right, 1));
}

// @ts-expect-error: decorator
@inline
function rows5s2(
  x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32,
  edge: bool, left0: v128, left1: v128, right0: v128, right1: v128,
): void {
  const least = f32x4.splat(low);
  for (const end = y + bytes; y < end; y += 32, r += 32, x += 32) {
    const bias0 = v128.load(w);
    const bias1 = v128.load(w + vector);
    w += before;
    let q = r;
    let c0 = f32x4.add(bias0, v128.load(q));
    let d0 = f32x4.add(bias1, v128.load(q, 16));
    q += strideR;
    let c1 = f32x4.add(bias0, v128.load(q));
    let d1 = f32x4.add(bias1, v128.load(q, 16));
    q += strideR;
    let c2 = f32x4.add(bias0, v128.load(q));
    let d2 = f32x4.add(bias1, v128.load(q, 16));
    q += strideR;
    let c3 = f32x4.add(bias0, v128.load(q));
    let d3 = f32x4.add(bias1, v128.load(q, 16));
    q = x;
    for (let i = rows; i > 0; i--) {
      const other = w + vector;
      const k0 = v128.load(w);
      const l0 = v128.load(other);
      const k1 = v128.load(w, 16);
      const l1 = v128.load(other, 16);
      const k2 = v128.load(w, 32);
      const l2 = v128.load(other, 32);
      const k3 = v128.load(w, 48);
      const l3 = v128.load(other, 48);
      const k4 = v128.load(w, 64);
      const l4 = v128.load(other, 64);
      w += 80;
      let v = v128.load(q);
      let u = v128.load(q, 16);
      if (edge) {
        v = v128.and(v, left0);
        u = v128.and(u, left0);
      }
      c0 = madd(v, k0, c0);
      d0 = madd(u, l0, d0);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      if (edge) {
        v = v128.and(v, left1);
        u = v128.and(u, left1);
      }
      c0 = madd(v, k1, c0);
      d0 = madd(u, l1, d0);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c0 = madd(v, k2, c0);
      d0 = madd(u, l2, d0);
      c1 = madd(v, k0, c1);
      d1 = madd(u, l0, d1);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c0 = madd(v, k3, c0);
      d0 = madd(u, l3, d0);
      c1 = madd(v, k1, c1);
      d1 = madd(u, l1, d1);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c0 = madd(v, k4, c0);
      d0 = madd(u, l4, d0);
      c1 = madd(v, k2, c1);
      d1 = madd(u, l2, d1);
      c2 = madd(v, k0, c2);
      d2 = madd(u, l0, d2);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c1 = madd(v, k3, c1);
      d1 = madd(u, l3, d1);
      c2 = madd(v, k1, c2);
      d2 = madd(u, l1, d2);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c1 = madd(v, k4, c1);
      d1 = madd(u, l4, d1);
      c2 = madd(v, k2, c2);
      d2 = madd(u, l2, d2);
      c3 = madd(v, k0, c3);
      d3 = madd(u, l0, d3);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c2 = madd(v, k3, c2);
      d2 = madd(u, l3, d2);
      c3 = madd(v, k1, c3);
      d3 = madd(u, l1, d3);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      c2 = madd(v, k4, c2);
      d2 = madd(u, l4, d2);
      c3 = madd(v, k2, c3);
      d3 = madd(u, l2, d3);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      if (edge) {
        v = v128.and(v, right1);
        u = v128.and(u, right1);
      }
      c3 = madd(v, k3, c3);
      d3 = madd(u, l3, d3);
      q += pixel;
      v = v128.load(q);
      u = v128.load(q, 16);
      if (edge) {
        v = v128.and(v, right0);
        u = v128.and(u, right0);
      }
      c3 = madd(v, k4, c3);
      d3 = madd(u, l4, d3);
      q += skip;
    }
    w += after + vector;
    q = y;
    v128.store(q, f32x4.pmax(c0, least));
    v128.store(q, f32x4.pmax(d0, least), 16);
    q += strideY;
    v128.store(q, f32x4.pmax(c1, least));
    v128.store(q, f32x4.pmax(d1, least), 16);
    q += strideY;
    v128.store(q, f32x4.pmax(c2, least));
    v128.store(q, f32x4.pmax(d2, least), 16);
    q += strideY;
    v128.store(q, f32x4.pmax(c3, least));
    v128.store(q, f32x4.pmax(d3, least), 16);
  }
}
