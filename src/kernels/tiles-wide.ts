import { madd } from './vector';

// Tiles for vectors of 256 bits, which V8 makes of two adjacent ones of 128 (--experimental-wasm-revectorize): it starts from stores that lie side by
// side and goes up to what was loaded side by side. The two have to have one address and offsets that differ by 16, with no load between the stores and
// no store between the loads; an address that is a constant does not count. The 24 sums here are then 12, which with two weights and an input
// fit into the registers; as vectors of 128 bits they do not.

/**
 * 6 rows by two panels of 8, `stride` bytes apart. The second panel's sums start from what stands `second` bytes behind `from`, and end `apart` bytes
 * behind the first's.
 */
export function sum6x16(
  pointers: usize, bytes: usize, b: usize, stride: usize, from: usize, second: usize, step: usize, sums: usize,
  apart: usize,
): void {
  let d = b + stride;
  let more = from + second;
  let c00 = v128.load(from);
  let c01 = v128.load(from, 16);
  let c02 = v128.load(more);
  let c03 = v128.load(more, 16);
  from += step;
  more += step;
  let c10 = v128.load(from);
  let c11 = v128.load(from, 16);
  let c12 = v128.load(more);
  let c13 = v128.load(more, 16);
  from += step;
  more += step;
  let c20 = v128.load(from);
  let c21 = v128.load(from, 16);
  let c22 = v128.load(more);
  let c23 = v128.load(more, 16);
  from += step;
  more += step;
  let c30 = v128.load(from);
  let c31 = v128.load(from, 16);
  let c32 = v128.load(more);
  let c33 = v128.load(more, 16);
  from += step;
  more += step;
  let c40 = v128.load(from);
  let c41 = v128.load(from, 16);
  let c42 = v128.load(more);
  let c43 = v128.load(more, 16);
  from += step;
  more += step;
  let c50 = v128.load(from);
  let c51 = v128.load(from, 16);
  let c52 = v128.load(more);
  let c53 = v128.load(more, 16);
  let a0 = <usize>load<u32>(pointers);
  let a1 = <usize>load<u32>(pointers, 4);
  let a2 = <usize>load<u32>(pointers, 8);
  let a3 = <usize>load<u32>(pointers, 12);
  let a4 = <usize>load<u32>(pointers, 16);
  let a5 = <usize>load<u32>(pointers, 20);
  for (const stop = a0 + bytes; a0 < stop; b += 32, d += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b2 = v128.load(d);
    const b3 = v128.load(d, 16);
    let a = v128.load32_splat(a0);
    c00 = madd(a, b0, c00);
    c01 = madd(a, b1, c01);
    c02 = madd(a, b2, c02);
    c03 = madd(a, b3, c03);
    a = v128.load32_splat(a1);
    c10 = madd(a, b0, c10);
    c11 = madd(a, b1, c11);
    c12 = madd(a, b2, c12);
    c13 = madd(a, b3, c13);
    a = v128.load32_splat(a2);
    c20 = madd(a, b0, c20);
    c21 = madd(a, b1, c21);
    c22 = madd(a, b2, c22);
    c23 = madd(a, b3, c23);
    a = v128.load32_splat(a3);
    c30 = madd(a, b0, c30);
    c31 = madd(a, b1, c31);
    c32 = madd(a, b2, c32);
    c33 = madd(a, b3, c33);
    a = v128.load32_splat(a4);
    c40 = madd(a, b0, c40);
    c41 = madd(a, b1, c41);
    c42 = madd(a, b2, c42);
    c43 = madd(a, b3, c43);
    a = v128.load32_splat(a5);
    c50 = madd(a, b0, c50);
    c51 = madd(a, b1, c51);
    c52 = madd(a, b2, c52);
    c53 = madd(a, b3, c53);
    a0 += 4;
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
  const other = sums + apart;
  v128.store(other, c02);
  v128.store(other, c03, 16);
  v128.store(other, c12, 32);
  v128.store(other, c13, 48);
  v128.store(other, c22, 64);
  v128.store(other, c23, 80);
  v128.store(other, c32, 96);
  v128.store(other, c33, 112);
  v128.store(other, c42, 128);
  v128.store(other, c43, 144);
  v128.store(other, c52, 160);
  v128.store(other, c53, 176);
}

/**
 * The same of a single tap, from the bias at `from` on and all the way to the output `y`: nothing is below `least`. Rows of the output are `strideY` bytes
 * apart.
 */
export function rows6x16(
  pointers: usize, bytes: usize, b: usize, stride: usize, from: usize, y: usize, strideY: usize, least: f32,
): void {
  let d = b + stride;
  let c00 = v128.load(from);
  let c01 = v128.load(from, 16);
  let c02 = v128.load(from, 32);
  let c03 = v128.load(from, 48);
  let c10 = c00;
  let c11 = c01;
  let c12 = c02;
  let c13 = c03;
  let c20 = c00;
  let c21 = c01;
  let c22 = c02;
  let c23 = c03;
  let c30 = c00;
  let c31 = c01;
  let c32 = c02;
  let c33 = c03;
  let c40 = c00;
  let c41 = c01;
  let c42 = c02;
  let c43 = c03;
  let c50 = c00;
  let c51 = c01;
  let c52 = c02;
  let c53 = c03;
  let a0 = <usize>load<u32>(pointers);
  let a1 = <usize>load<u32>(pointers, 4);
  let a2 = <usize>load<u32>(pointers, 8);
  let a3 = <usize>load<u32>(pointers, 12);
  let a4 = <usize>load<u32>(pointers, 16);
  let a5 = <usize>load<u32>(pointers, 20);
  for (const stop = a0 + bytes; a0 < stop; b += 32, d += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b2 = v128.load(d);
    const b3 = v128.load(d, 16);
    let a = v128.load32_splat(a0);
    c00 = madd(a, b0, c00);
    c01 = madd(a, b1, c01);
    c02 = madd(a, b2, c02);
    c03 = madd(a, b3, c03);
    a = v128.load32_splat(a1);
    c10 = madd(a, b0, c10);
    c11 = madd(a, b1, c11);
    c12 = madd(a, b2, c12);
    c13 = madd(a, b3, c13);
    a = v128.load32_splat(a2);
    c20 = madd(a, b0, c20);
    c21 = madd(a, b1, c21);
    c22 = madd(a, b2, c22);
    c23 = madd(a, b3, c23);
    a = v128.load32_splat(a3);
    c30 = madd(a, b0, c30);
    c31 = madd(a, b1, c31);
    c32 = madd(a, b2, c32);
    c33 = madd(a, b3, c33);
    a = v128.load32_splat(a4);
    c40 = madd(a, b0, c40);
    c41 = madd(a, b1, c41);
    c42 = madd(a, b2, c42);
    c43 = madd(a, b3, c43);
    a = v128.load32_splat(a5);
    c50 = madd(a, b0, c50);
    c51 = madd(a, b1, c51);
    c52 = madd(a, b2, c52);
    c53 = madd(a, b3, c53);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
  }
  const low = f32x4.splat(least);
  v128.store(y, f32x4.pmax(c00, low));
  v128.store(y, f32x4.pmax(c01, low), 16);
  v128.store(y, f32x4.pmax(c02, low), 32);
  v128.store(y, f32x4.pmax(c03, low), 48);
  y += strideY;
  v128.store(y, f32x4.pmax(c10, low));
  v128.store(y, f32x4.pmax(c11, low), 16);
  v128.store(y, f32x4.pmax(c12, low), 32);
  v128.store(y, f32x4.pmax(c13, low), 48);
  y += strideY;
  v128.store(y, f32x4.pmax(c20, low));
  v128.store(y, f32x4.pmax(c21, low), 16);
  v128.store(y, f32x4.pmax(c22, low), 32);
  v128.store(y, f32x4.pmax(c23, low), 48);
  y += strideY;
  v128.store(y, f32x4.pmax(c30, low));
  v128.store(y, f32x4.pmax(c31, low), 16);
  v128.store(y, f32x4.pmax(c32, low), 32);
  v128.store(y, f32x4.pmax(c33, low), 48);
  y += strideY;
  v128.store(y, f32x4.pmax(c40, low));
  v128.store(y, f32x4.pmax(c41, low), 16);
  v128.store(y, f32x4.pmax(c42, low), 32);
  v128.store(y, f32x4.pmax(c43, low), 48);
  y += strideY;
  v128.store(y, f32x4.pmax(c50, low));
  v128.store(y, f32x4.pmax(c51, low), 16);
  v128.store(y, f32x4.pmax(c52, low), 32);
  v128.store(y, f32x4.pmax(c53, low), 48);
}

/** The same with one panel. */
export function rows6x8(pointers: usize, bytes: usize, b: usize, from: usize, y: usize, strideY: usize, least: f32): void {
  let c00 = v128.load(from);
  let c01 = v128.load(from, 16);
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
  let a0 = <usize>load<u32>(pointers);
  let a1 = <usize>load<u32>(pointers, 4);
  let a2 = <usize>load<u32>(pointers, 8);
  let a3 = <usize>load<u32>(pointers, 12);
  let a4 = <usize>load<u32>(pointers, 16);
  let a5 = <usize>load<u32>(pointers, 20);
  for (const stop = a0 + bytes; a0 < stop; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let a = v128.load32_splat(a0);
    c00 = madd(a, b0, c00);
    c01 = madd(a, b1, c01);
    a = v128.load32_splat(a1);
    c10 = madd(a, b0, c10);
    c11 = madd(a, b1, c11);
    a = v128.load32_splat(a2);
    c20 = madd(a, b0, c20);
    c21 = madd(a, b1, c21);
    a = v128.load32_splat(a3);
    c30 = madd(a, b0, c30);
    c31 = madd(a, b1, c31);
    a = v128.load32_splat(a4);
    c40 = madd(a, b0, c40);
    c41 = madd(a, b1, c41);
    a = v128.load32_splat(a5);
    c50 = madd(a, b0, c50);
    c51 = madd(a, b1, c51);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
  }
  const low = f32x4.splat(least);
  v128.store(y, f32x4.pmax(c00, low));
  v128.store(y, f32x4.pmax(c01, low), 16);
  y += strideY;
  v128.store(y, f32x4.pmax(c10, low));
  v128.store(y, f32x4.pmax(c11, low), 16);
  y += strideY;
  v128.store(y, f32x4.pmax(c20, low));
  v128.store(y, f32x4.pmax(c21, low), 16);
  y += strideY;
  v128.store(y, f32x4.pmax(c30, low));
  v128.store(y, f32x4.pmax(c31, low), 16);
  y += strideY;
  v128.store(y, f32x4.pmax(c40, low));
  v128.store(y, f32x4.pmax(c41, low), 16);
  y += strideY;
  v128.store(y, f32x4.pmax(c50, low));
  v128.store(y, f32x4.pmax(c51, low), 16);
}
