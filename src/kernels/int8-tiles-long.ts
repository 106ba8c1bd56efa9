import { scaled, storeTwo } from './int8-ends';

// The most used loop of int8-tiles.ts for long rows: four steps at a time, so that there is less to count.

// @ts-expect-error: decorator
@inline
function dot(w: v128, x: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum);
  return sum;
}

/** 6 rows by a panel, all the way to bytes; as {@link bytes6x8}. */
export function longBytes6x8(
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
  const end = a + bytes;
  for (const stop = a + (bytes & ~15); a < stop; b += 128) {
    let b0 = v128.load(b);
    let b1 = v128.load(b, 16);
    let v = v128.load32_splat(a);
    c00 = dot(b0, v, c00);
    c01 = dot(b1, v, c01);
    v = v128.load32_splat(a1);
    c10 = dot(b0, v, c10);
    c11 = dot(b1, v, c11);
    v = v128.load32_splat(a2);
    c20 = dot(b0, v, c20);
    c21 = dot(b1, v, c21);
    v = v128.load32_splat(a3);
    c30 = dot(b0, v, c30);
    c31 = dot(b1, v, c31);
    v = v128.load32_splat(a4);
    c40 = dot(b0, v, c40);
    c41 = dot(b1, v, c41);
    v = v128.load32_splat(a5);
    c50 = dot(b0, v, c50);
    c51 = dot(b1, v, c51);
    b0 = v128.load(b, 32);
    b1 = v128.load(b, 48);
    v = v128.load32_splat(a, 4);
    c00 = dot(b0, v, c00);
    c01 = dot(b1, v, c01);
    v = v128.load32_splat(a1, 4);
    c10 = dot(b0, v, c10);
    c11 = dot(b1, v, c11);
    v = v128.load32_splat(a2, 4);
    c20 = dot(b0, v, c20);
    c21 = dot(b1, v, c21);
    v = v128.load32_splat(a3, 4);
    c30 = dot(b0, v, c30);
    c31 = dot(b1, v, c31);
    v = v128.load32_splat(a4, 4);
    c40 = dot(b0, v, c40);
    c41 = dot(b1, v, c41);
    v = v128.load32_splat(a5, 4);
    c50 = dot(b0, v, c50);
    c51 = dot(b1, v, c51);
    b0 = v128.load(b, 64);
    b1 = v128.load(b, 80);
    v = v128.load32_splat(a, 8);
    c00 = dot(b0, v, c00);
    c01 = dot(b1, v, c01);
    v = v128.load32_splat(a1, 8);
    c10 = dot(b0, v, c10);
    c11 = dot(b1, v, c11);
    v = v128.load32_splat(a2, 8);
    c20 = dot(b0, v, c20);
    c21 = dot(b1, v, c21);
    v = v128.load32_splat(a3, 8);
    c30 = dot(b0, v, c30);
    c31 = dot(b1, v, c31);
    v = v128.load32_splat(a4, 8);
    c40 = dot(b0, v, c40);
    c41 = dot(b1, v, c41);
    v = v128.load32_splat(a5, 8);
    c50 = dot(b0, v, c50);
    c51 = dot(b1, v, c51);
    b0 = v128.load(b, 96);
    b1 = v128.load(b, 112);
    v = v128.load32_splat(a, 12);
    c00 = dot(b0, v, c00);
    c01 = dot(b1, v, c01);
    v = v128.load32_splat(a1, 12);
    c10 = dot(b0, v, c10);
    c11 = dot(b1, v, c11);
    v = v128.load32_splat(a2, 12);
    c20 = dot(b0, v, c20);
    c21 = dot(b1, v, c21);
    v = v128.load32_splat(a3, 12);
    c30 = dot(b0, v, c30);
    c31 = dot(b1, v, c31);
    v = v128.load32_splat(a4, 12);
    c40 = dot(b0, v, c40);
    c41 = dot(b1, v, c41);
    v = v128.load32_splat(a5, 12);
    c50 = dot(b0, v, c50);
    c51 = dot(b1, v, c51);
    a += 16;
    a1 += 16;
    a2 += 16;
    a3 += 16;
    a4 += 16;
    a5 += 16;
  }
  if (a < end) {
    let b0 = v128.load(b);
    let b1 = v128.load(b, 16);
    let v = v128.load32_splat(a);
    c00 = dot(b0, v, c00);
    c01 = dot(b1, v, c01);
    v = v128.load32_splat(a1);
    c10 = dot(b0, v, c10);
    c11 = dot(b1, v, c11);
    v = v128.load32_splat(a2);
    c20 = dot(b0, v, c20);
    c21 = dot(b1, v, c21);
    v = v128.load32_splat(a3);
    c30 = dot(b0, v, c30);
    c31 = dot(b1, v, c31);
    v = v128.load32_splat(a4);
    c40 = dot(b0, v, c40);
    c41 = dot(b1, v, c41);
    v = v128.load32_splat(a5);
    c50 = dot(b0, v, c50);
    c51 = dot(b1, v, c51);
    b0 = v128.load(b, 32);
    b1 = v128.load(b, 48);
    v = v128.load32_splat(a, 4);
    c00 = dot(b0, v, c00);
    c01 = dot(b1, v, c01);
    v = v128.load32_splat(a1, 4);
    c10 = dot(b0, v, c10);
    c11 = dot(b1, v, c11);
    v = v128.load32_splat(a2, 4);
    c20 = dot(b0, v, c20);
    c21 = dot(b1, v, c21);
    v = v128.load32_splat(a3, 4);
    c30 = dot(b0, v, c30);
    c31 = dot(b1, v, c31);
    v = v128.load32_splat(a4, 4);
    c40 = dot(b0, v, c40);
    c41 = dot(b1, v, c41);
    v = v128.load32_splat(a5, 4);
    c50 = dot(b0, v, c50);
    c51 = dot(b1, v, c51);
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
export function dots4x8(a: usize, stride: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
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
    let b0 = v128.load(b);
    let b1 = v128.load(b, 16);
    let v = v128.load32_splat(a);
    c00 = dot(b0, v, c00);
    c01 = dot(b1, v, c01);
    v = v128.load32_splat(a1);
    c10 = dot(b0, v, c10);
    c11 = dot(b1, v, c11);
    v = v128.load32_splat(a2);
    c20 = dot(b0, v, c20);
    c21 = dot(b1, v, c21);
    v = v128.load32_splat(a3);
    c30 = dot(b0, v, c30);
    c31 = dot(b1, v, c31);
    b0 = v128.load(b, 32);
    b1 = v128.load(b, 48);
    v = v128.load32_splat(a, 4);
    c00 = dot(b0, v, c00);
    c01 = dot(b1, v, c01);
    v = v128.load32_splat(a1, 4);
    c10 = dot(b0, v, c10);
    c11 = dot(b1, v, c11);
    v = v128.load32_splat(a2, 4);
    c20 = dot(b0, v, c20);
    c21 = dot(b1, v, c21);
    v = v128.load32_splat(a3, 4);
    c30 = dot(b0, v, c30);
    c31 = dot(b1, v, c31);
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
