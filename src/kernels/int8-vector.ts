// What the int8 kernels share.

/** Stores the first `count` bytes, all 8 if there are more. */
// @ts-expect-error: decorator
@inline
export function storeBytes(at: usize, v: v128, count: i32): void {
  if (count >= 8) v128.store64_lane(at, v, 0);
  else storeSomeBytes(at, v, count);
}

function storeSomeBytes(at: usize, v: v128, count: i32): void {
  if ((count & 4) != 0) {
    v128.store32_lane(at, v, 0);
    at += 4;
    v = v128.shuffle<i32>(v, v, 1, 1, 1, 1);
  }
  for (let i = count & 3; i > 0; i--, at++) {
    v128.store8_lane(at, v, 0);
    v = i64x2.shr_u(v, 8);
  }
}

/** `a * b / 2^15`, rounded to nearest. No operand may be -2^15: there the two instructions differ. */
// @ts-expect-error: decorator
@inline
export function multiplyHigh(a: v128, b: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_q15mulr_s(a, b);
  return i16x8.q15mulr_sat_s(a, b);
}

/** Eight bytes as words, times 2^8. */
// @ts-expect-error: decorator
@inline
export function loadHigh(at: usize): v128 {
  return i16x8.shl(v128.load8x8_s(at), 8);
}
