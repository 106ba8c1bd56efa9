// Four products of bytes and their sum, in three forms, which the loops that are made of them take as a type. All are exact where the second side fits
// into 7 bits, so their results are the same.

/** One instruction of WebAssembly, and of processors with VNNI. */
export type Fused = i8;

/** Products of pairs in 16 bits, then their sums: for engines whose fused one is not right (int8-check.ts). */
export type Halves = i16;

/**
 * Products of pairs, added up in 16 bits and widened at the end ({@link narrowed}): for processors whose fused one is several instructions, where no
 * sum leaves 16 bits.
 */
export type Words = i32;

// @ts-expect-error: decorator
@inline
export function dot<T>(w: v128, x: v128, sum: v128): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return sum;
  if (sizeof<T>() == sizeof<Words>()) return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(w, x));
  if (sizeof<T>() == sizeof<Fused>()) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum);
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.relaxed_dot_i8x16_i7x16_s(w, x), i16x8.splat(1)));
}

/** The first of the products of a sum. */
// @ts-expect-error: decorator
@inline
export function product<T>(w: v128, x: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD && sizeof<T>() == sizeof<Words>()) return i16x8.relaxed_dot_i8x16_i7x16_s(w, x);
  return dot<T>(w, x, i32x4.splat(0));
}

/** Sums of two vectors as 16 bits; `ones` is of {@link onesOf}. */
// @ts-expect-error: decorator
@inline
export function narrowed<T>(a: v128, b: v128, ones: v128): v128 {
  if (sizeof<T>() != sizeof<Words>()) return i16x8.narrow_i32x4_s(a, b);
  return i16x8.narrow_i32x4_s(i32x4.dot_i16x8_s(a, ones), i32x4.dot_i16x8_s(b, ones));
}

/** Ones of 16 bits, made of whatever `v` is: V8 would make a constant vector anew wherever it is used. */
// @ts-expect-error: decorator
@inline
export function onesOf(v: v128): v128 {
  return i16x8.shr_u(i16x8.eq(v, v), 15);
}
