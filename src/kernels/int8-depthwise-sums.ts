// The inner loops of a depthwise convolution by dot products: sums of four channels of `rows` rows of output pixels, four pixels at a time. `a` to `e`
// are what the kernel's rows read of the image, as int8-depthwise-dots.ts keeps it, `step` bytes from one pair of columns to the next and `slot` bytes
// from the rows of one output row to those of the next; `w` the weights, for each row of the kernel `[4 channels][4 taps]`, twice for five taps, zeros
// behind the last. The sums fit into 16 bits; those of four pixels go to `to`, and those of the next four TILE bytes behind them.
//
// `T` is the form of the dot product (int8-dot.ts). With a stride of 1 a pixel at an odd column has the weights of the one before it, one byte further on.
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

/** 3x3, two of the four pixels at a time: with a stride of 1 they are of one pair of columns. */
export function sums3<T, STRIDE extends number>(
  a: usize, b: usize, c: usize, step: usize, slot: usize, w: usize, width: i32, rows: i32, to: usize,
): void {
  let u: Registers<v128>;
  let v: Registers<v128>;
  unroll: for (let i = 0; i < 3; i++) u[i] = v128.load(w, 16 * i);
  const ones = onesOf(u[0]);
  if (STRIDE == 1) unroll: for (let i = 0; i < 3; i++) v[i] = i32x4.shl(u[i], 8);
  for (; rows > 0; rows--, a += slot, b += slot, c += slot) {
    let q: Registers<usize>;
    q[0] = a;
    q[1] = b;
    q[2] = c;
    for (let left = width; left > 0; left -= 4, to += TILE) {
      let x: Registers<v128>;
      let s: Registers<v128>;
      unroll: for (let two = 0; two < 2; two++) {
        unroll: for (let i = 0; i < 3; i++) x[i] = v128.load(STRIDE == 1 && two == 1 ? q[i] + step : q[i]);
        s[0] = dots3<T>(u[0], x[0], u[1], x[1], u[2], x[2]);
        if (STRIDE == 2) unroll: for (let i = 0; i < 3; i++) x[i] = v128.load(q[i] + step);
        s[1] = STRIDE == 1 ? dots3<T>(v[0], x[0], v[1], x[1], v[2], x[2]) : dots3<T>(u[0], x[0], u[1], x[1], u[2], x[2]);
        v128.store(to, narrowed<T>(s[0], s[1], ones), 16 * two);
        if (STRIDE == 2 || two == 1) unroll: for (let i = 0; i < 3; i++) q[i] += step << 1;
      }
    }
  }
}

/**
 * 5x5, one row of the kernel after the other, whose weights are read for every four pixels. With a stride of 2 the fifth tap is the third byte of the
 * next pair of columns.
 */
export function sums5<T, STRIDE extends number>(
  a: usize, b: usize, c: usize, d: usize, e: usize, step: usize, slot: usize, w: usize, width: i32, rows: i32, to: usize,
): void {
  const pairs = STRIDE == 1 ? 4 : 5;
  const ones = onesOf(v128.load(w));
  for (; rows > 0; rows--, a += slot, b += slot, c += slot, d += slot, e += slot) {
    let q: Registers<usize>;
    q[0] = a;
    q[1] = b;
    q[2] = c;
    q[3] = d;
    q[4] = e;
    for (let left = width; left > 0; left -= 4, to += TILE) {
      let u: Registers<v128>;
      let v: Registers<v128>;
      let x: v128;
      let s: Registers<v128>;
      unroll: for (let row = 0; row < 5; row++) {
        // The first four taps and the fifth: `u` of all pixels or of those at even columns, `v` of those at odd ones.
        u[0] = v128.load(w, 32 * row);
        u[1] = STRIDE == 1 ? v128.load(w, 32 * row + 16) : i32x4.shl(v128.load(w, 32 * row + 16), 16);
        if (STRIDE == 1) {
          v[0] = i32x4.shl(u[0], 8);
          v[1] = v128.or(i32x4.shl(u[1], 8), i32x4.shr_u(u[0], 24));
        }
        unroll: for (let pair = 0; pair < pairs; pair++) {
          // The next four pixels start 2 * STRIDE pairs of columns from here.
          x = v128.load(pair <= 2 * STRIDE ? q[row] : q[row] + step);
          if (STRIDE == 1) {
            const half = pair >> 1;
            const i = 2 * (pair & 1);
            s[i] = row == 0 && half == 0 ? product<T>(u[0], x) : dot<T>(u[half], x, s[i]);
            s[i + 1] = row == 0 && half == 0 ? product<T>(v[0], x) : dot<T>(v[half], x, s[i + 1]);
          } else {
            if (pair > 0) s[pair - 1] = dot<T>(u[1], x, s[pair - 1]);
            if (pair < 4) s[pair] = row == 0 ? product<T>(u[0], x) : dot<T>(u[0], x, s[pair]);
          }
          if (pair < 2 * STRIDE) q[row] += step;
        }
      }
      unroll: for (let two = 0; two < 2; two++) v128.store(to, narrowed<T>(s[2 * two], s[2 * two + 1], ones), 16 * two);
    }
  }
}
