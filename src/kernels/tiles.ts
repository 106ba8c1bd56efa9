import { Activation } from './opcodes';
import { activate, madd, storeLanes } from './vector';

// The inner loops of a convolution: rows, given by their pointers at one tap (see indirection.ts), times one packed panel of output channels.
// The sums start from `from` (the bias, or the sums of the taps before; `step` bytes from row to row) and end in `sums`, row by row;
// {@link finish} writes them out. The two are apart because V8 keeps 12 sums, 2 weights and 1 input in registers only where little else is
// alive: with the output's arguments in the same function the loop runs at two thirds of the speed, and unrolled or with 12 sums on plain SIMD
// it spills. Six rows are for fused multiply-add, four for plain SIMD.

/** 6 rows by a panel of 8. */
export function sum6x8(pointers: usize, bytes: usize, b: usize, from: usize, step: usize, sums: usize): void {
  let c00 = v128.load(from);
  let c01 = v128.load(from, 16);
  from += step;
  let c10 = v128.load(from);
  let c11 = v128.load(from, 16);
  from += step;
  let c20 = v128.load(from);
  let c21 = v128.load(from, 16);
  from += step;
  let c30 = v128.load(from);
  let c31 = v128.load(from, 16);
  from += step;
  let c40 = v128.load(from);
  let c41 = v128.load(from, 16);
  from += step;
  let c50 = v128.load(from);
  let c51 = v128.load(from, 16);
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

/** 4 rows by a panel of 8. */
export function sum4x8(pointers: usize, bytes: usize, b: usize, from: usize, step: usize, sums: usize): void {
  let c00 = v128.load(from);
  let c01 = v128.load(from, 16);
  from += step;
  let c10 = v128.load(from);
  let c11 = v128.load(from, 16);
  from += step;
  let c20 = v128.load(from);
  let c21 = v128.load(from, 16);
  from += step;
  let c30 = v128.load(from);
  let c31 = v128.load(from, 16);
  let a0 = <usize>load<u32>(pointers);
  let a1 = <usize>load<u32>(pointers, 4);
  let a2 = <usize>load<u32>(pointers, 8);
  let a3 = <usize>load<u32>(pointers, 12);
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
    a0 += 4;
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

/** 8 rows by a panel of 4. */
export function sum8x4(pointers: usize, bytes: usize, b: usize, from: usize, step: usize, sums: usize): void {
  let c00 = v128.load(from);
  from += step;
  let c10 = v128.load(from);
  from += step;
  let c20 = v128.load(from);
  from += step;
  let c30 = v128.load(from);
  from += step;
  let c40 = v128.load(from);
  from += step;
  let c50 = v128.load(from);
  from += step;
  let c60 = v128.load(from);
  from += step;
  let c70 = v128.load(from);
  let a0 = <usize>load<u32>(pointers);
  let a1 = <usize>load<u32>(pointers, 4);
  let a2 = <usize>load<u32>(pointers, 8);
  let a3 = <usize>load<u32>(pointers, 12);
  let a4 = <usize>load<u32>(pointers, 16);
  let a5 = <usize>load<u32>(pointers, 20);
  let a6 = <usize>load<u32>(pointers, 24);
  let a7 = <usize>load<u32>(pointers, 28);
  for (const stop = a0 + bytes; a0 < stop; b += 16) {
    const b0 = v128.load(b);
    c00 = madd(v128.load32_splat(a0), b0, c00);
    c10 = madd(v128.load32_splat(a1), b0, c10);
    c20 = madd(v128.load32_splat(a2), b0, c20);
    c30 = madd(v128.load32_splat(a3), b0, c30);
    c40 = madd(v128.load32_splat(a4), b0, c40);
    c50 = madd(v128.load32_splat(a5), b0, c50);
    c60 = madd(v128.load32_splat(a6), b0, c60);
    c70 = madd(v128.load32_splat(a7), b0, c70);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
    a6 += 4;
    a7 += 4;
  }
  v128.store(sums, c00);
  v128.store(sums, c10, 16);
  v128.store(sums, c20, 32);
  v128.store(sums, c30, 48);
  v128.store(sums, c40, 64);
  v128.store(sums, c50, 80);
  v128.store(sums, c60, 96);
  v128.store(sums, c70, 112);
}

/** 1 row by a panel of 8. */
export function sum1x8(pointers: usize, bytes: usize, b: usize, from: usize, step: usize, sums: usize): void {
  let c00 = v128.load(from);
  let c01 = v128.load(from, 16);
  let a0 = <usize>load<u32>(pointers);
  for (const stop = a0 + bytes; a0 < stop; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const a = v128.load32_splat(a0);
    c00 = madd(a, b0, c00);
    c01 = madd(a, b1, c01);
    a0 += 4;
  }
  v128.store(sums, c00);
  v128.store(sums, c01, 16);
}

/** 1 row by a panel of 4. */
export function sum1x4(pointers: usize, bytes: usize, b: usize, from: usize, step: usize, sums: usize): void {
  let c00 = v128.load(from);
  let a0 = <usize>load<u32>(pointers);
  for (const stop = a0 + bytes; a0 < stop; b += 16) {
    const b0 = v128.load(b);
    c00 = madd(v128.load32_splat(a0), b0, c00);
    a0 += 4;
  }
  v128.store(sums, c00);
}

/** One row by four panels of 8, `stride` bytes apart: as fast as the weights are read. */
export function sum1x32(pointers: usize, bytes: usize, b0: usize, stride: usize, from: usize, sums: usize): void {
  let c0 = v128.load(from);
  let c1 = v128.load(from, 16);
  let c2 = v128.load(from, 32);
  let c3 = v128.load(from, 48);
  let c4 = v128.load(from, 64);
  let c5 = v128.load(from, 80);
  let c6 = v128.load(from, 96);
  let c7 = v128.load(from, 112);
  const b1 = b0 + stride;
  const b2 = b1 + stride;
  const b3 = b2 + stride;
  let a = <usize>load<u32>(pointers);
  let at: usize = 0;
  for (const stop = a + bytes; a < stop; a += 4, at += 32) {
    const v = v128.load32_splat(a);
    c0 = madd(v, v128.load(b0 + at), c0);
    c1 = madd(v, v128.load(b0 + at, 16), c1);
    c2 = madd(v, v128.load(b1 + at), c2);
    c3 = madd(v, v128.load(b1 + at, 16), c3);
    c4 = madd(v, v128.load(b2 + at), c4);
    c5 = madd(v, v128.load(b2 + at, 16), c5);
    c6 = madd(v, v128.load(b3 + at), c6);
    c7 = madd(v, v128.load(b3 + at, 16), c7);
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

/**
 * Writes sums out: adds the residual `r` (0 for none), applies the activation, stores `columns` of a panel of `width` channels for each row.
 */
export function finish(
  sums: usize, width: i32, y: usize, strideY: usize, r: usize, strideR: usize, activation: i32, rows: i32, columns: i32,
): void {
  if (columns < width || activation > Activation.Relu) {
    finishRare(sums, width, y, strideY, r, strideR, activation, rows, columns);
    return;
  }
  const low = f32x4.splat(activation == Activation.Relu ? 0 : -Infinity);
  if (width == 8) {
    if (r == 0) {
      for (; rows > 0; rows--, sums += 32, y += strideY) {
        const c0 = v128.load(sums);
        const c1 = v128.load(sums, 16);
        v128.store(y, f32x4.pmax(c0, low));
        v128.store(y, f32x4.pmax(c1, low), 16);
      }
    } else {
      for (; rows > 0; rows--, sums += 32, y += strideY, r += strideR) {
        const c0 = f32x4.add(v128.load(sums), v128.load(r));
        const c1 = f32x4.add(v128.load(sums, 16), v128.load(r, 16));
        v128.store(y, f32x4.pmax(c0, low));
        v128.store(y, f32x4.pmax(c1, low), 16);
      }
    }
  } else {
    for (; rows > 0; rows--, sums += 16, y += strideY) {
      let c = v128.load(sums);
      if (r != 0) {
        c = f32x4.add(c, v128.load(r));
        r += strideR;
      }
      v128.store(y, f32x4.pmax(c, low));
    }
  }
}

/** Panels that are not full, and activations other than ReLU. */
function finishRare(
  sums: usize, width: i32, y: usize, strideY: usize, r: usize, strideR: usize, activation: i32, rows: i32, columns: i32,
): void {
  for (; rows > 0; rows--, sums += <usize>width << 2, y += strideY) {
    for (let j = 0; j < columns; j += 4) {
      let c = v128.load(sums + (<usize>j << 2));
      if (r != 0) c = f32x4.add(c, v128.load(r + (<usize>j << 2)));
      storeLanes(y + (<usize>j << 2), activate(c, activation), columns - j);
    }
    if (r != 0) r += strideR;
  }
}
