import { dot } from './int8-dot';
import { scaled, storeTwo } from './int8-ends';

// The inner loops of an int8 convolution with relaxed SIMD: rows of activations, `bytes` long and `stride` bytes apart, times one packed panel of 8
// output channels, `[input channel / 4][8][4]`, a step of 4 at a time: of two steps V8 loads all weights first, and has to keep some of the sums in
// memory for it. The sums, 32 bits wide, end in `sums`, row by row, 8 a row. `T` is the form of the dot product (int8-dot.ts); activations, 0 to 127, are
// its side of 7 bits. The results are those of int8-pairs.ts.

/** 6 rows by a panel, from the bias on; 12 sums fit into registers where the product is one instruction of the processor's. */
export function dots6x8<T>(a: usize, stride: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  let c00 = v128.load(bias);
  let c01 = v128.load(bias, 16);
  let c10 = c00;
  let c11 = c01;
  let c20 = c00;
  let c21 = c01;
  let c30 = c00;
  let c31 = c01;
  let c40 = c00;
  let c41 = c01;
  let c50 = c00;
  let c51 = c01;
  let a1 = a + stride;
  let a2 = a1 + stride;
  let a3 = a2 + stride;
  let a4 = a3 + stride;
  let a5 = a4 + stride;
  for (const stop = a + bytes; a < stop; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let v = v128.load32_splat(a);
    c00 = dot<T>(b0, v, c00);
    c01 = dot<T>(b1, v, c01);
    v = v128.load32_splat(a1);
    c10 = dot<T>(b0, v, c10);
    c11 = dot<T>(b1, v, c11);
    v = v128.load32_splat(a2);
    c20 = dot<T>(b0, v, c20);
    c21 = dot<T>(b1, v, c21);
    v = v128.load32_splat(a3);
    c30 = dot<T>(b0, v, c30);
    c31 = dot<T>(b1, v, c31);
    v = v128.load32_splat(a4);
    c40 = dot<T>(b0, v, c40);
    c41 = dot<T>(b1, v, c41);
    v = v128.load32_splat(a5);
    c50 = dot<T>(b0, v, c50);
    c51 = dot<T>(b1, v, c51);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
  }
  v128.store(sums, c00);
  v128.store(sums, c01, 16);
  v128.store(sums, c10, 32);
  v128.store(sums, c11, 48);
  v128.store(sums, c20, 64);
  v128.store(sums, c21, 80);
  v128.store(sums, c30, 96);
  v128.store(sums, c31, 112);
  v128.store(sums, c40, 128);
  v128.store(sums, c41, 144);
  v128.store(sums, c50, 160);
  v128.store(sums, c51, 176);
}

/**
 * The same, all the way to bytes: `m` are the panel's multipliers, `k` the vectors that {@link storeEnds} has made; see int8-finish.ts. What stands
 * behind the loop is not alive in it, so the sums still have their registers.
 */
export function bytes6x8<T>(
  a: usize, stride: usize, bytes: usize, b: usize, bias: usize, m: usize, k: usize, y: usize, strideY: usize,
): void {
  let c00 = v128.load(bias);
  let c01 = v128.load(bias, 16);
  let c10 = c00;
  let c11 = c01;
  let c20 = c00;
  let c21 = c01;
  let c30 = c00;
  let c31 = c01;
  let c40 = c00;
  let c41 = c01;
  let c50 = c00;
  let c51 = c01;
  let a1 = a + stride;
  let a2 = a1 + stride;
  let a3 = a2 + stride;
  let a4 = a3 + stride;
  let a5 = a4 + stride;
  for (const stop = a + bytes; a < stop; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let v = v128.load32_splat(a);
    c00 = dot<T>(b0, v, c00);
    c01 = dot<T>(b1, v, c01);
    v = v128.load32_splat(a1);
    c10 = dot<T>(b0, v, c10);
    c11 = dot<T>(b1, v, c11);
    v = v128.load32_splat(a2);
    c20 = dot<T>(b0, v, c20);
    c21 = dot<T>(b1, v, c21);
    v = v128.load32_splat(a3);
    c30 = dot<T>(b0, v, c30);
    c31 = dot<T>(b1, v, c31);
    v = v128.load32_splat(a4);
    c40 = dot<T>(b0, v, c40);
    c41 = dot<T>(b1, v, c41);
    v = v128.load32_splat(a5);
    c50 = dot<T>(b0, v, c50);
    c51 = dot<T>(b1, v, c51);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
  }
  const m0 = v128.load(m);
  const m1 = v128.load(m, 16);
  storeTwo(y, strideY, k, scaled(c00, m0), scaled(c01, m1), scaled(c10, m0), scaled(c11, m1));
  y += strideY << 1;
  storeTwo(y, strideY, k, scaled(c20, m0), scaled(c21, m1), scaled(c30, m0), scaled(c31, m1));
  y += strideY << 1;
  storeTwo(y, strideY, k, scaled(c40, m0), scaled(c41, m1), scaled(c50, m0), scaled(c51, m1));
}

/** 4 rows by a panel, from the bias on. */
export function dots4x8<T>(a: usize, stride: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
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
  for (const stop = a + bytes; a < stop; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let v = v128.load32_splat(a);
    c00 = dot<T>(b0, v, c00);
    c01 = dot<T>(b1, v, c01);
    v = v128.load32_splat(a1);
    c10 = dot<T>(b0, v, c10);
    c11 = dot<T>(b1, v, c11);
    v = v128.load32_splat(a2);
    c20 = dot<T>(b0, v, c20);
    c21 = dot<T>(b1, v, c21);
    v = v128.load32_splat(a3);
    c30 = dot<T>(b0, v, c30);
    c31 = dot<T>(b1, v, c31);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
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

/** The same as {@link bytes6x8} with 4 rows. */
export function bytes4x8<T>(
  a: usize, stride: usize, bytes: usize, b: usize, bias: usize, m: usize, k: usize, y: usize, strideY: usize,
): void {
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
  for (const stop = a + bytes; a < stop; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let v = v128.load32_splat(a);
    c00 = dot<T>(b0, v, c00);
    c01 = dot<T>(b1, v, c01);
    v = v128.load32_splat(a1);
    c10 = dot<T>(b0, v, c10);
    c11 = dot<T>(b1, v, c11);
    v = v128.load32_splat(a2);
    c20 = dot<T>(b0, v, c20);
    c21 = dot<T>(b1, v, c21);
    v = v128.load32_splat(a3);
    c30 = dot<T>(b0, v, c30);
    c31 = dot<T>(b1, v, c31);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
  }
  const m0 = v128.load(m);
  const m1 = v128.load(m, 16);
  storeTwo(y, strideY, k, scaled(c00, m0), scaled(c01, m1), scaled(c10, m0), scaled(c11, m1));
  y += strideY << 1;
  storeTwo(y, strideY, k, scaled(c20, m0), scaled(c21, m1), scaled(c30, m0), scaled(c31, m1));
}

/** One row by four panels, `panel` bytes apart, from the bias on: as fast as the weights are read. */
export function dots1x32<T>(a: usize, bytes: usize, b: usize, panel: usize, bias: usize, sums: usize): void {
  let c0 = v128.load(bias);
  let c1 = v128.load(bias, 16);
  let c2 = v128.load(bias, 32);
  let c3 = v128.load(bias, 48);
  let c4 = v128.load(bias, 64);
  let c5 = v128.load(bias, 80);
  let c6 = v128.load(bias, 96);
  let c7 = v128.load(bias, 112);
  let d = b + panel;
  let e = d + panel;
  let f = e + panel;
  for (const stop = a + bytes; a < stop; a += 4) {
    const v = v128.load32_splat(a);
    c0 = dot<T>(v128.load(b), v, c0);
    c1 = dot<T>(v128.load(b, 16), v, c1);
    c2 = dot<T>(v128.load(d), v, c2);
    c3 = dot<T>(v128.load(d, 16), v, c3);
    c4 = dot<T>(v128.load(e), v, c4);
    c5 = dot<T>(v128.load(e, 16), v, c5);
    c6 = dot<T>(v128.load(f), v, c6);
    c7 = dot<T>(v128.load(f, 16), v, c7);
    b += 32;
    d += 32;
    e += 32;
    f += 32;
  }
  v128.store(sums, c0);
  v128.store(sums, c1, 16);
  v128.store(sums, c2, 32);
  v128.store(sums, c3, 48);
  v128.store(sums, c4, 64);
  v128.store(sums, c5, 80);
  v128.store(sums, c6, 96);
  v128.store(sums, c7, 112);
}

/** One row by one panel, from the bias on. */
export function dots1x8<T>(a: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  let c0 = v128.load(bias);
  let c1 = v128.load(bias, 16);
  for (const stop = a + bytes; a < stop; a += 4, b += 32) {
    const v = v128.load32_splat(a);
    c0 = dot<T>(v128.load(b), v, c0);
    c1 = dot<T>(v128.load(b, 16), v, c1);
  }
  v128.store(sums, c0);
  v128.store(sums, c1, 16);
}
