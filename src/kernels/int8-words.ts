import { onesOf } from './int8-dot';
import { storeTwo } from './int8-ends';

// The inner loop of an int8 convolution for processors whose dot product of bytes is made of several instructions: products of pairs are of 16 bits
// there, and those of two steps of 4 channels are added before they are widened to 32. So that no such sum leaves 16 bits, weights have to be small
// enough (ops/quantized-words.ts). Otherwise as in int8-tiles.ts, with the same results.

/** The products of two steps, as sums of 32 bits. */
// @ts-expect-error: decorator
@inline
function twoSteps(w0: v128, x0: v128, w1: v128, x1: v128, ones: v128, sum: v128): v128 {
  if (!ASC_FEATURE_RELAXED_SIMD) return sum;
  const words = i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(w0, x0), i16x8.relaxed_dot_i8x16_i7x16_s(w1, x1));
  return i32x4.add(sum, i32x4.dot_i16x8_s(words, ones));
}

/**
 * `tiles` times 4 rows by a panel, all the way to bytes: see `tile` in int8-tiles.ts. With few channels a call for each tile would take a tenth of the
 * time. Without `BYTES` it is one tile, whose sums end at `y`.
 */
export function wordTiles<BYTES extends boolean>(
  a: usize, stride: usize, bytes: usize, b: usize, bias: usize, m: usize, k: usize, y: usize, strideY: usize, tiles: i32,
): void {
  const ones = onesOf(v128.load(bias));
  const panel = b;
  for (; tiles > 0; tiles--) {
    b = panel;
    let c: Registers<v128>;
    let q: Registers<usize>;
    unroll: for (let i = 0; i < 4; i++) {
      unroll: for (let j = 0; j < 2; j++) c[i][j] = i == 0 ? v128.load(bias, 16 * j) : c[0][j];
    }
    unroll: for (let i = 0; i < 4; i++) q[i] = i == 0 ? a : q[i - 1] + stride;
    for (const stop = q[0] + bytes; q[0] < stop; b += 64) {
      let w: Registers<v128>;
      unroll: for (let j = 0; j < 4; j++) w[j] = v128.load(b, 16 * j);
      let v: v128;
      let u: v128;
      unroll: for (let i = 0; i < 4; i++) {
        v = v128.load32_splat(q[i]);
        u = v128.load32_splat(q[i], 4);
        unroll: for (let j = 0; j < 2; j++) c[i][j] = twoSteps(w[j], v, w[j + 2], u, ones, c[i][j]);
      }
      unroll: for (let i = 0; i < 4; i++) q[i] += 8;
    }
    if (!BYTES) {
      unroll: for (let i = 0; i < 4; i++) {
        unroll: for (let j = 0; j < 2; j++) v128.store(y, c[i][j], 32 * i + 16 * j);
      }
      return;
    }
    const m0 = v128.load(m);
    const m1 = v128.load(m, 16);
    unroll: for (let i = 0; i < 4; i += 2) {
      storeTwo(y, strideY, k, m0, m1, c[i][0], c[i][1], c[i + 1][0], c[i + 1][1]);
      y += strideY << 1;
    }
    a = q[0] + ((stride << 2) - bytes);
  }
}

/** The sums of 4 rows by a panel. */
// @ts-expect-error: decorator
@inline
export function sumWords(a: usize, stride: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  wordTiles<false>(a, stride, bytes, b, bias, 0, 0, sums, 0, 1);
}
