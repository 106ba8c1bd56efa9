import { onesOf } from './int8-dot';
import { scaled, storeTwo } from './int8-ends';

// The inner loops of an int8 convolution for processors whose dot product of bytes is made of several instructions: products of pairs are of 16 bits there,
// and those of two steps of 4 channels are added before they are widened to 32. So that no such sum leaves 16 bits, weights have to be small enough
// (ops/quantized-words.ts). Otherwise as in int8-tiles.ts, with the same results.

/** The products of two steps, as sums of 32 bits. */
// @ts-expect-error: decorator
@inline
function twoSteps(w0: v128, x0: v128, w1: v128, x1: v128, ones: v128, sum: v128): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return sum;
  const words = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(w0, x0), i16x8.relaxed_dot_i8x16_i7x16_s(w1, x1));
  return i32x4.add(sum, i32x4.dot_i16x8_s(words, ones));
}

/** 4 rows by a panel, from the bias on. */
export function words4x8(a: usize, stride: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  let c00 = v128.load(bias);
  let c01 = v128.load(bias, 16);
  let c10 = c00;
  let c11 = c01;
  let c20 = c00;
  let c21 = c01;
  let c30 = c00;
  let c31 = c01;
  const ones = onesOf(c00);
  let a1 = a + stride;
  let a2 = a1 + stride;
  let a3 = a2 + stride;
  for (const stop = a + bytes; a < stop; b += 64) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const d0 = v128.load(b, 32);
    const d1 = v128.load(b, 48);
    let v = v128.load32_splat(a);
    let u = v128.load32_splat(a, 4);
    c00 = twoSteps(b0, v, d0, u, ones, c00);
    c01 = twoSteps(b1, v, d1, u, ones, c01);
    v = v128.load32_splat(a1);
    u = v128.load32_splat(a1, 4);
    c10 = twoSteps(b0, v, d0, u, ones, c10);
    c11 = twoSteps(b1, v, d1, u, ones, c11);
    v = v128.load32_splat(a2);
    u = v128.load32_splat(a2, 4);
    c20 = twoSteps(b0, v, d0, u, ones, c20);
    c21 = twoSteps(b1, v, d1, u, ones, c21);
    v = v128.load32_splat(a3);
    u = v128.load32_splat(a3, 4);
    c30 = twoSteps(b0, v, d0, u, ones, c30);
    c31 = twoSteps(b1, v, d1, u, ones, c31);
    a += 8;
    a1 += 8;
    a2 += 8;
    a3 += 8;
  }
  v128.store(sums, c00);
  v128.store(sums, c01, 16);
  v128.store(sums, c10, 32);
  v128.store(sums, c11, 48);
  v128.store(sums, c20, 64);
  v128.store(sums, c21, 80);
  v128.store(sums, c30, 96);
  v128.store(sums, c31, 112);
}

/**
 * The same for `tiles` times 4 rows, all the way to bytes: see `bytes4x8` in int8-tiles.ts. With few channels a call for each tile would take a tenth of
 * the time.
 */
export function wordBytes4x8(
  a: usize, stride: usize, bytes: usize, b: usize, bias: usize, m: usize, k: usize, y: usize, strideY: usize, tiles: i32,
): void {
  const ones = onesOf(v128.load(bias));
  const panel = b;
  for (; tiles > 0; tiles--) {
    b = panel;
    let c00 = v128.load(bias);
    let c01 = v128.load(bias, 16);
    let c10 = c00;
    let c11 = c01;
    let c20 = c00;
    let c21 = c01;
    let c30 = c00;
    let c31 = c01;
    let a1 = a + stride;
    let a2 = a1 + stride;
    let a3 = a2 + stride;
    for (const stop = a + bytes; a < stop; b += 64) {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
      const d0 = v128.load(b, 32);
      const d1 = v128.load(b, 48);
      let v = v128.load32_splat(a);
      let u = v128.load32_splat(a, 4);
      c00 = twoSteps(b0, v, d0, u, ones, c00);
      c01 = twoSteps(b1, v, d1, u, ones, c01);
      v = v128.load32_splat(a1);
      u = v128.load32_splat(a1, 4);
      c10 = twoSteps(b0, v, d0, u, ones, c10);
      c11 = twoSteps(b1, v, d1, u, ones, c11);
      v = v128.load32_splat(a2);
      u = v128.load32_splat(a2, 4);
      c20 = twoSteps(b0, v, d0, u, ones, c20);
      c21 = twoSteps(b1, v, d1, u, ones, c21);
      v = v128.load32_splat(a3);
      u = v128.load32_splat(a3, 4);
      c30 = twoSteps(b0, v, d0, u, ones, c30);
      c31 = twoSteps(b1, v, d1, u, ones, c31);
      a += 8;
      a1 += 8;
      a2 += 8;
      a3 += 8;
    }
    const m0 = v128.load(m);
    const m1 = v128.load(m, 16);
    storeTwo(y, strideY, k, scaled(c00, m0), scaled(c01, m1), scaled(c10, m0), scaled(c11, m1));
    y += strideY << 1;
    storeTwo(y, strideY, k, scaled(c20, m0), scaled(c21, m1), scaled(c30, m0), scaled(c31, m1));
    y += strideY << 1;
    a += (stride << 2) - bytes;
  }
}
