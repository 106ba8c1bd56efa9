// Four products of bytes and their sum, in two forms, which the loops that are made of them take as a type. Both are exact where the second side fits
// into 7 bits, so their results are the same.

/** One instruction of WebAssembly, and of processors with VNNI. */
export type Fused = i8;

/** Products of pairs in 16 bits, then their sums: for engines whose fused one is not right (int8-check.ts). */
export type Halves = i16;

// @ts-expect-error: decorator
@inline
export function dot<T>(w: v128, x: v128, sum: v128): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return sum;
  if (sizeof<T>() == sizeof<Fused>()) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum);
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.relaxed_dot_i8x16_i7x16_s(w, x), i16x8.splat(1)));
}
