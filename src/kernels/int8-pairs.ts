// The inner loops of an int8 convolution without relaxed SIMD, or where neither of its dot products is to be trusted (int8-check.ts): pairs of 16 bits are
// multiplied and added. Activations are widened once for all panels, weights as they are read; their packing is that of int8-tiles.ts.

/** Two sums of each output, side by side, become one. */
// @ts-expect-error: decorator
@inline
function joined(low: v128, high: v128): v128 {
  return i32x4.add(v128.shuffle<i32>(low, high, 0, 2, 4, 6), v128.shuffle<i32>(low, high, 1, 3, 5, 7));
}

/**
 * 4 rows of 16-bit activations, `stride` bytes apart and `bytes` long, by half a panel, of which `b`, `bias` and `sums` are
 * the halves too.
 */
export function pairs4x4(a: usize, stride: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  let c00 = i32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let a1 = a + stride;
  let a2 = a1 + stride;
  let a3 = a2 + stride;
  for (const stop = a + bytes; a < stop; b += 64) {
    let b0 = v128.load8x8_s(b);
    let b1 = v128.load8x8_s(b, 8);
    let v = v128.load64_splat(a);
    c00 = i32x4.add(c00, i32x4.dot_i16x8_s(b0, v));
    c01 = i32x4.add(c01, i32x4.dot_i16x8_s(b1, v));
    v = v128.load64_splat(a1);
    c10 = i32x4.add(c10, i32x4.dot_i16x8_s(b0, v));
    c11 = i32x4.add(c11, i32x4.dot_i16x8_s(b1, v));
    v = v128.load64_splat(a2);
    c20 = i32x4.add(c20, i32x4.dot_i16x8_s(b0, v));
    c21 = i32x4.add(c21, i32x4.dot_i16x8_s(b1, v));
    v = v128.load64_splat(a3);
    c30 = i32x4.add(c30, i32x4.dot_i16x8_s(b0, v));
    c31 = i32x4.add(c31, i32x4.dot_i16x8_s(b1, v));
    b0 = v128.load8x8_s(b, 32);
    b1 = v128.load8x8_s(b, 40);
    v = v128.load64_splat(a, 8);
    c00 = i32x4.add(c00, i32x4.dot_i16x8_s(b0, v));
    c01 = i32x4.add(c01, i32x4.dot_i16x8_s(b1, v));
    v = v128.load64_splat(a1, 8);
    c10 = i32x4.add(c10, i32x4.dot_i16x8_s(b0, v));
    c11 = i32x4.add(c11, i32x4.dot_i16x8_s(b1, v));
    v = v128.load64_splat(a2, 8);
    c20 = i32x4.add(c20, i32x4.dot_i16x8_s(b0, v));
    c21 = i32x4.add(c21, i32x4.dot_i16x8_s(b1, v));
    v = v128.load64_splat(a3, 8);
    c30 = i32x4.add(c30, i32x4.dot_i16x8_s(b0, v));
    c31 = i32x4.add(c31, i32x4.dot_i16x8_s(b1, v));
    a += 16;
    a1 += 16;
    a2 += 16;
    a3 += 16;
  }
  const start = v128.load(bias);
  v128.store(sums, i32x4.add(start, joined(c00, c01)));
  v128.store(sums, i32x4.add(start, joined(c10, c11)), 32);
  v128.store(sums, i32x4.add(start, joined(c20, c21)), 64);
  v128.store(sums, i32x4.add(start, joined(c30, c31)), 96);
}

/** One row of 16-bit activations by a panel. */
export function pairs1x8(a: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  let c0 = i32x4.splat(0);
  let c1 = c0;
  let c2 = c0;
  let c3 = c0;
  for (const stop = a + bytes; a < stop; a += 8, b += 32) {
    const v = v128.load64_splat(a);
    c0 = i32x4.add(c0, i32x4.dot_i16x8_s(v128.load8x8_s(b), v));
    c1 = i32x4.add(c1, i32x4.dot_i16x8_s(v128.load8x8_s(b, 8), v));
    c2 = i32x4.add(c2, i32x4.dot_i16x8_s(v128.load8x8_s(b, 16), v));
    c3 = i32x4.add(c3, i32x4.dot_i16x8_s(v128.load8x8_s(b, 24), v));
  }
  v128.store(sums, i32x4.add(v128.load(bias), joined(c0, c1)));
  v128.store(sums, i32x4.add(v128.load(bias, 16), joined(c2, c3)), 16);
}
