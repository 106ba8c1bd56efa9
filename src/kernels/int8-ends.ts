import { arg, floatArg } from './args';

// How sums of 32 bits become bytes: `round(sum * multiplier + zero point)`, clamped. Multiplying and adding are two roundings, with and without
// relaxed SIMD, so that both give the same results.

/** 1.5 * 2^23: added to a small float, it leaves the nearest integer in the lowest bits. */
export const MAGIC: f32 = 12582912;
const MAGIC_BITS: i32 = 0x4b400000;

/** Bytes of the vectors that {@link storeEnds} makes. */
export const ENDS: usize = 64;

/**
 * Writes what all results of a call share: the magic number and the zero point, the least and the most byte, the magic number's bits. They are read
 * from memory because V8 makes a constant vector anew, in several instructions, wherever it is used.
 */
export function storeEnds(p: usize, k: usize): void {
  // The zero point is whole and small, so it is added without a rounding of its own.
  v128.store(k, f32x4.splat(MAGIC + floatArg(p, 30)));
  v128.store(k, i8x16.splat(<i8>arg(p, 28)), 16);
  v128.store(k, i8x16.splat(<i8>arg(p, 29)), 32);
  v128.store(k, i32x4.splat(MAGIC_BITS), 48);
}

// @ts-expect-error: decorator
@inline
export function scaled(sum: v128, m: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(sum), m);
}

/** The nearest integers of two vectors and `magic`; what is far larger stays larger than a byte. */
// @ts-expect-error: decorator
@inline
export function narrow(v: v128, w: v128, magic: v128, k: usize): v128 {
  const bits = v128.load(k, 48);
  return i16x8.narrow_i32x4_s(i32x4.sub(f32x4.add(v, magic), bits), i32x4.sub(f32x4.add(w, magic), bits));
}

// @ts-expect-error: decorator
@inline
export function clamped(a: v128, b: v128, k: usize): v128 {
  return i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(a, b), v128.load(k, 16)), v128.load(k, 32));
}

/** Two rows of a panel, from their sums `c` and `d` and the panel's multipliers. */
// @ts-expect-error: decorator
@inline
export function storeTwo(y: usize, stride: usize, k: usize, m0: v128, m1: v128, c0: v128, c1: v128, d0: v128, d1: v128): void {
  const magic = v128.load(k);
  const v = clamped(narrow(scaled(c0, m0), scaled(c1, m1), magic, k), narrow(scaled(d0, m0), scaled(d1, m1), magic, k), k);
  v128.store64_lane(y, v, 0);
  v128.store64_lane(y + stride, v, 1);
}
