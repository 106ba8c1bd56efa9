// The inner loops of a depthwise convolution by dot products: sums of four channels of `rows` rows of output pixels, four pixels at a time. `a` to `e`
// are what the kernel's rows read of the image, as int8-depthwise-dots.ts keeps it, `step` bytes from one pair of columns to the next and `slot` bytes
// from the rows of one output row to those of the next; `w` the weights, for each row of the kernel `[4 channels][4 taps]`, twice for five taps, zeros
// behind the last. The sums fit into 16 bits; those of four pixels go to `to`, and those of the next four TILE bytes behind them.
//
// `T` is the form of the dot product (int8-dot.ts).
//
// They do nothing else: with what comes after the sums, or with a call, in such a loop V8 keeps its weights in memory rather than in registers.

import { dot, narrowed, onesOf, product } from './int8-dot';

/** Bytes of the sums of four pixels, twice four channels. */
export const TILE: usize = 64;

// @ts-expect-error: decorator
@inline
function dots3<T>(u: v128, a: v128, v: v128, b: v128, w: v128, c: v128): v128 {
  return dot<T>(w, c, dot<T>(v, b, product<T>(u, a)));
}

/** 3x3, stride 1: a pixel at an odd column has the weights of the one before it, one byte further on. */
export function sums3<T>(
  a: usize, b: usize, c: usize, step: usize, slot: usize, w: usize, width: i32, rows: i32, to: usize,
): void {
  const u0 = v128.load(w);
  const u1 = v128.load(w, 16);
  const u2 = v128.load(w, 32);
  const ones = onesOf(u0);
  const v0 = i32x4.shl(u0, 8);
  const v1 = i32x4.shl(u1, 8);
  const v2 = i32x4.shl(u2, 8);
  for (; rows > 0; rows--, a += slot, b += slot, c += slot) {
    let q0 = a;
    let q1 = b;
    let q2 = c;
    for (let left = width; left > 0; left -= 4, to += TILE) {
      let x0 = v128.load(q0);
      let x1 = v128.load(q1);
      let x2 = v128.load(q2);
      v128.store(to, narrowed<T>(dots3<T>(u0, x0, u1, x1, u2, x2), dots3<T>(v0, x0, v1, x1, v2, x2), ones));
      x0 = v128.load(q0 + step);
      x1 = v128.load(q1 + step);
      x2 = v128.load(q2 + step);
      v128.store(to, narrowed<T>(dots3<T>(u0, x0, u1, x1, u2, x2), dots3<T>(v0, x0, v1, x1, v2, x2), ones), 16);
      q0 += step << 1;
      q1 += step << 1;
      q2 += step << 1;
    }
  }
}

/** 3x3, stride 2. */
export function sums3s2<T>(
  a: usize, b: usize, c: usize, step: usize, slot: usize, w: usize, width: i32, rows: i32, to: usize,
): void {
  const u0 = v128.load(w);
  const u1 = v128.load(w, 16);
  const u2 = v128.load(w, 32);
  const ones = onesOf(u0);
  for (; rows > 0; rows--, a += slot, b += slot, c += slot) {
    let q0 = a;
    let q1 = b;
    let q2 = c;
    for (let left = width; left > 0; left -= 4, to += TILE) {
      let s0 = dots3<T>(u0, v128.load(q0), u1, v128.load(q1), u2, v128.load(q2));
      let s1 = dots3<T>(u0, v128.load(q0 + step), u1, v128.load(q1 + step), u2, v128.load(q2 + step));
      v128.store(to, narrowed<T>(s0, s1, ones));
      q0 += step << 1;
      q1 += step << 1;
      q2 += step << 1;
      s0 = dots3<T>(u0, v128.load(q0), u1, v128.load(q1), u2, v128.load(q2));
      s1 = dots3<T>(u0, v128.load(q0 + step), u1, v128.load(q1 + step), u2, v128.load(q2 + step));
      v128.store(to, narrowed<T>(s0, s1, ones), 16);
      q0 += step << 1;
      q1 += step << 1;
      q2 += step << 1;
    }
  }
}

/** 5x5, stride 1. */
export function sums5<T>(
  a: usize, b: usize, c: usize, d: usize, e: usize, step: usize, slot: usize, w: usize, width: i32, rows: i32, to: usize,
): void {
  const ones = onesOf(v128.load(w));
  for (; rows > 0; rows--, a += slot, b += slot, c += slot, d += slot, e += slot) {
    let q0 = a;
    let q1 = b;
    let q2 = c;
    let q3 = d;
    let q4 = e;
    for (let left = width; left > 0; left -= 4, to += TILE) {
      let u = v128.load(w);
      let t = v128.load(w, 16);
      let v = i32x4.shl(u, 8);
      let z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      let x = v128.load(q0);
      let c0 = product<T>(u, x);
      let c1 = product<T>(v, x);
      q0 += step;
      x = v128.load(q0);
      let c2 = product<T>(u, x);
      let c3 = product<T>(v, x);
      q0 += step;
      x = v128.load(q0);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(z, x, c1);
      x = v128.load(q0 + step);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(z, x, c3);
      u = v128.load(w, 32);
      t = v128.load(w, 48);
      v = i32x4.shl(u, 8);
      z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      x = v128.load(q1);
      c0 = dot<T>(u, x, c0);
      c1 = dot<T>(v, x, c1);
      q1 += step;
      x = v128.load(q1);
      c2 = dot<T>(u, x, c2);
      c3 = dot<T>(v, x, c3);
      q1 += step;
      x = v128.load(q1);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(z, x, c1);
      x = v128.load(q1 + step);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(z, x, c3);
      u = v128.load(w, 64);
      t = v128.load(w, 80);
      v = i32x4.shl(u, 8);
      z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      x = v128.load(q2);
      c0 = dot<T>(u, x, c0);
      c1 = dot<T>(v, x, c1);
      q2 += step;
      x = v128.load(q2);
      c2 = dot<T>(u, x, c2);
      c3 = dot<T>(v, x, c3);
      q2 += step;
      x = v128.load(q2);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(z, x, c1);
      x = v128.load(q2 + step);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(z, x, c3);
      u = v128.load(w, 96);
      t = v128.load(w, 112);
      v = i32x4.shl(u, 8);
      z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      x = v128.load(q3);
      c0 = dot<T>(u, x, c0);
      c1 = dot<T>(v, x, c1);
      q3 += step;
      x = v128.load(q3);
      c2 = dot<T>(u, x, c2);
      c3 = dot<T>(v, x, c3);
      q3 += step;
      x = v128.load(q3);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(z, x, c1);
      x = v128.load(q3 + step);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(z, x, c3);
      u = v128.load(w, 128);
      t = v128.load(w, 144);
      v = i32x4.shl(u, 8);
      z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      x = v128.load(q4);
      c0 = dot<T>(u, x, c0);
      c1 = dot<T>(v, x, c1);
      q4 += step;
      x = v128.load(q4);
      c2 = dot<T>(u, x, c2);
      c3 = dot<T>(v, x, c3);
      q4 += step;
      x = v128.load(q4);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(z, x, c1);
      x = v128.load(q4 + step);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(z, x, c3);
      v128.store(to, narrowed<T>(c0, c1, ones));
      v128.store(to, narrowed<T>(c2, c3, ones), 16);
    }
  }
}

/** 5x5, stride 2: the fifth tap is the third byte of the next pair of columns. */
export function sums5s2<T>(
  a: usize, b: usize, c: usize, d: usize, e: usize, step: usize, slot: usize, w: usize, width: i32, rows: i32, to: usize,
): void {
  const ones = onesOf(v128.load(w));
  for (; rows > 0; rows--, a += slot, b += slot, c += slot, d += slot, e += slot) {
    let q0 = a;
    let q1 = b;
    let q2 = c;
    let q3 = d;
    let q4 = e;
    for (let left = width; left > 0; left -= 4, to += TILE) {
      let u = v128.load(w);
      let t = i32x4.shl(v128.load(w, 16), 16);
      let c0 = product<T>(u, v128.load(q0));
      q0 += step;
      let x = v128.load(q0);
      c0 = dot<T>(t, x, c0);
      let c1 = product<T>(u, x);
      q0 += step;
      x = v128.load(q0);
      c1 = dot<T>(t, x, c1);
      let c2 = product<T>(u, x);
      q0 += step;
      x = v128.load(q0);
      c2 = dot<T>(t, x, c2);
      let c3 = product<T>(u, x);
      q0 += step;
      c3 = dot<T>(t, v128.load(q0), c3);
      u = v128.load(w, 32);
      t = i32x4.shl(v128.load(w, 48), 16);
      c0 = dot<T>(u, v128.load(q1), c0);
      q1 += step;
      x = v128.load(q1);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(u, x, c1);
      q1 += step;
      x = v128.load(q1);
      c1 = dot<T>(t, x, c1);
      c2 = dot<T>(u, x, c2);
      q1 += step;
      x = v128.load(q1);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(u, x, c3);
      q1 += step;
      c3 = dot<T>(t, v128.load(q1), c3);
      u = v128.load(w, 64);
      t = i32x4.shl(v128.load(w, 80), 16);
      c0 = dot<T>(u, v128.load(q2), c0);
      q2 += step;
      x = v128.load(q2);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(u, x, c1);
      q2 += step;
      x = v128.load(q2);
      c1 = dot<T>(t, x, c1);
      c2 = dot<T>(u, x, c2);
      q2 += step;
      x = v128.load(q2);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(u, x, c3);
      q2 += step;
      c3 = dot<T>(t, v128.load(q2), c3);
      u = v128.load(w, 96);
      t = i32x4.shl(v128.load(w, 112), 16);
      c0 = dot<T>(u, v128.load(q3), c0);
      q3 += step;
      x = v128.load(q3);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(u, x, c1);
      q3 += step;
      x = v128.load(q3);
      c1 = dot<T>(t, x, c1);
      c2 = dot<T>(u, x, c2);
      q3 += step;
      x = v128.load(q3);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(u, x, c3);
      q3 += step;
      c3 = dot<T>(t, v128.load(q3), c3);
      u = v128.load(w, 128);
      t = i32x4.shl(v128.load(w, 144), 16);
      c0 = dot<T>(u, v128.load(q4), c0);
      q4 += step;
      x = v128.load(q4);
      c0 = dot<T>(t, x, c0);
      c1 = dot<T>(u, x, c1);
      q4 += step;
      x = v128.load(q4);
      c1 = dot<T>(t, x, c1);
      c2 = dot<T>(u, x, c2);
      q4 += step;
      x = v128.load(q4);
      c2 = dot<T>(t, x, c2);
      c3 = dot<T>(u, x, c3);
      q4 += step;
      c3 = dot<T>(t, v128.load(q4), c3);
      v128.store(to, narrowed<T>(c0, c1, ones));
      v128.store(to, narrowed<T>(c2, c3, ones), 16);
    }
  }
}
