// What is done once with a compiled model's data, when they have come into memory; see runtime/compiled-format.ts.

/**
 * FNV-1a over 32-bit words in the eight lanes at `lanes`; `bytes` is a multiple of 32. Several steps at a time: it runs before V8 has optimised
 * it, and then keeps the lanes in registers only between the beginning and the end of a loop's body.
 */
export function checksum(at: usize, bytes: usize, lanes: usize): void {
  const prime = i32x4.splat(0x01000193);
  let low = v128.load(lanes);
  let high = v128.load(lanes, 16);
  const end = at + bytes;
  for (const stop = at + (bytes & ~127); at < stop; at += 128) {
    unroll: for (let i = 0; i < 4; i++) {
      low = i32x4.mul(v128.xor(low, v128.load(at, 32 * i)), prime);
      high = i32x4.mul(v128.xor(high, v128.load(at, 32 * i + 16)), prime);
    }
  }
  for (; at < end; at += 32) {
    low = i32x4.mul(v128.xor(low, v128.load(at)), prime);
    high = i32x4.mul(v128.xor(high, v128.load(at, 16)), prime);
  }
  v128.store(lanes, low);
  v128.store(lanes, high, 16);
}

/**
 * Finite float16 values to float32; `count` is a multiple of 8. Both may share memory when the former fill its second half: no value is
 * written over one that is yet to be read.
 */
export function widen(from: usize, to: usize, count: usize): void {
  for (const end = from + 2 * count; from < end; from += 16, to += 32) {
    const halves = v128.load(from);
    v128.store(to, widened(i32x4.extend_low_i16x8_u(halves)));
    v128.store(to, widened(i32x4.extend_high_i16x8_u(halves)), 16);
  }
}

/** The bits moved to where float32 has them, and the exponent's bias changed by a product, which is right for subnormal values too. */
// @ts-expect-error: decorator
@inline
function widened(bits: v128): v128 {
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16);
  const magnitude = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13);
  return v128.or(f32x4.mul(magnitude, f32x4.splat(reinterpret<f32>(0x77800000))), sign);
}
