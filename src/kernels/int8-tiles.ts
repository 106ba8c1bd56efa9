import { dot } from './int8-dot';
import { storeTwo } from './int8-ends';

// The inner loops of an int8 convolution with relaxed SIMD: rows of activations, `bytes` long and `stride` bytes apart, times one packed panel of 8
// output channels, `[input channel / 4][8][4]`, a step of 4 at a time: of two steps V8 loads all weights first, and has to keep some of the sums in
// memory for it. The sums are 32 bits wide and start from the bias. `T` is the form of the dot product (int8-dot.ts); activations, 0 to 127, are its side
// of 7 bits. The results are those of int8-pairs.ts.

/**
 * `ROWS` by a panel. 12 sums, of six rows, fit into registers where the product is one instruction of the processor's; four rows are for where it is not.
 * The sums end at `y`, row by row, 8 a row, or with `BYTES` as what becomes of them: `m` are the panel's multipliers, `k` the vectors that `storeEnds` has
 * made, see int8-finish.ts. What stands behind the loop is not alive in it, so the sums still have their registers.
 */
export function tile<T, ROWS extends number, BYTES extends boolean>(
  a: usize, stride: usize, bytes: usize, b: usize, bias: usize, m: usize, k: usize, y: usize, strideY: usize,
): void {
  let c: Registers<v128>;
  let q: Registers<usize>;
  unroll: for (let i = 0; i < ROWS; i++) {
    unroll: for (let j = 0; j < 2; j++) c[i][j] = i == 0 ? v128.load(bias, 16 * j) : c[0][j];
  }
  unroll: for (let i = 0; i < ROWS; i++) q[i] = i == 0 ? a : q[i - 1] + stride;
  for (const stop = q[0] + bytes; q[0] < stop; b += 32) {
    let w: Registers<v128>;
    unroll: for (let j = 0; j < 2; j++) w[j] = v128.load(b, 16 * j);
    let v: v128;
    unroll: for (let i = 0; i < ROWS; i++) {
      v = v128.load32_splat(q[i]);
      unroll: for (let j = 0; j < 2; j++) c[i][j] = dot<T>(w[j], v, c[i][j]);
    }
    unroll: for (let i = 0; i < ROWS; i++) q[i] += 4;
  }
  if (BYTES) {
    const m0 = v128.load(m);
    const m1 = v128.load(m, 16);
    unroll: for (let i = 0; i < ROWS; i += 2) {
      storeTwo(y, strideY, k, m0, m1, c[i][0], c[i][1], c[i + 1][0], c[i + 1][1]);
      if (i < ROWS - 2) y += strideY << 1;
    }
  } else {
    unroll: for (let i = 0; i < ROWS; i++) {
      unroll: for (let j = 0; j < 2; j++) v128.store(y, c[i][j], 32 * i + 16 * j);
    }
  }
}

/** The sums of `ROWS` by a panel. */
// @ts-expect-error: decorator
@inline
export function sumTile<T, ROWS extends number>(a: usize, stride: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  tile<T, ROWS, false>(a, stride, bytes, b, bias, 0, 0, sums, 0);
}

/** The sums of one row by `PANELS`, `panel` bytes apart. Of four of them it is as fast as the weights are read. */
export function sumRow<T, PANELS extends number>(a: usize, bytes: usize, b: usize, panel: usize, bias: usize, sums: usize): void {
  let c: Registers<v128>;
  let w: Registers<usize>;
  unroll: for (let j = 0; j < 2 * PANELS; j++) c[j] = v128.load(bias, 16 * j);
  unroll: for (let n = 0; n < PANELS; n++) w[n] = n == 0 ? b : w[n - 1] + panel;
  for (const stop = a + bytes; a < stop; a += 4) {
    const v = v128.load32_splat(a);
    unroll: for (let j = 0; j < 2 * PANELS; j++) c[j] = dot<T>(v128.load(w[j >> 1], 16 * (j & 1)), v, c[j]);
    unroll: for (let n = 0; n < PANELS; n++) w[n] += 32;
  }
  unroll: for (let j = 0; j < 2 * PANELS; j++) v128.store(sums, c[j], 16 * j);
}
