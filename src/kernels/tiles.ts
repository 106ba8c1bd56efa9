import { TAP } from './indirection';
import { Activation } from './opcodes';
import { activate, madd, storeLanes } from './vector';

// The inner loops of a convolution: rows given by their pointers (see indirection.ts) times one packed panel of output channels. Six rows
// by eight channels fill V8's vector registers: 12 sums, 2 weights, 1 input. Not unrolled over channels: V8 would then load early and spill.
// Without fused multiply-add the products need registers too, and four rows are faster.

/** 6 rows by a panel of 8. */
export function tile6x8(
  pointers: usize, taps: i32, channels: i32, b: usize, bias: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  activation: i32, rows: i32, columns: i32,
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
  const bytes = <usize>channels << 2;
  for (const end = pointers + <usize>taps * TAP; pointers < end; pointers += TAP) {
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
  }
  if (rows >= 6 && columns == 8 && activation <= Activation.Relu) {
    // The common end, without a branch for each vector.
    if (r != 0) {
      c00 = f32x4.add(c00, v128.load(r));
      c01 = f32x4.add(c01, v128.load(r, 16));
      r += strideR;
      c10 = f32x4.add(c10, v128.load(r));
      c11 = f32x4.add(c11, v128.load(r, 16));
      r += strideR;
      c20 = f32x4.add(c20, v128.load(r));
      c21 = f32x4.add(c21, v128.load(r, 16));
      r += strideR;
      c30 = f32x4.add(c30, v128.load(r));
      c31 = f32x4.add(c31, v128.load(r, 16));
      r += strideR;
      c40 = f32x4.add(c40, v128.load(r));
      c41 = f32x4.add(c41, v128.load(r, 16));
      r += strideR;
      c50 = f32x4.add(c50, v128.load(r));
      c51 = f32x4.add(c51, v128.load(r, 16));
    }
    if (activation == Activation.Relu) {
      const zero = f32x4.splat(0);
      c00 = f32x4.pmax(c00, zero);
      c01 = f32x4.pmax(c01, zero);
      c10 = f32x4.pmax(c10, zero);
      c11 = f32x4.pmax(c11, zero);
      c20 = f32x4.pmax(c20, zero);
      c21 = f32x4.pmax(c21, zero);
      c30 = f32x4.pmax(c30, zero);
      c31 = f32x4.pmax(c31, zero);
      c40 = f32x4.pmax(c40, zero);
      c41 = f32x4.pmax(c41, zero);
      c50 = f32x4.pmax(c50, zero);
      c51 = f32x4.pmax(c51, zero);
    }
    v128.store(y, c00);
    v128.store(y, c01, 16);
    y += strideY;
    v128.store(y, c10);
    v128.store(y, c11, 16);
    y += strideY;
    v128.store(y, c20);
    v128.store(y, c21, 16);
    y += strideY;
    v128.store(y, c30);
    v128.store(y, c31, 16);
    y += strideY;
    v128.store(y, c40);
    v128.store(y, c41, 16);
    y += strideY;
    v128.store(y, c50);
    v128.store(y, c51, 16);
    return;
  }
  storePair(c00, c01, y, r, activation, columns);
  if (rows < 2) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storePair(c10, c11, y, r, activation, columns);
  if (rows < 3) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storePair(c20, c21, y, r, activation, columns);
  if (rows < 4) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storePair(c30, c31, y, r, activation, columns);
  if (rows < 5) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storePair(c40, c41, y, r, activation, columns);
  if (rows < 6) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storePair(c50, c51, y, r, activation, columns);
}

/** 4 rows by a panel of 8. */
export function tile4x8(
  pointers: usize, taps: i32, channels: i32, b: usize, bias: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  activation: i32, rows: i32, columns: i32,
): void {
  let c00 = v128.load(bias);
  let c01 = v128.load(bias, 16);
  let c10 = c00;
  let c11 = c01;
  let c20 = c00;
  let c21 = c01;
  let c30 = c00;
  let c31 = c01;
  const bytes = <usize>channels << 2;
  for (const end = pointers + <usize>taps * TAP; pointers < end; pointers += TAP) {
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
  }
  if (rows >= 4 && columns == 8 && activation <= Activation.Relu) {
    // The common end, without a branch for each vector.
    if (r != 0) {
      c00 = f32x4.add(c00, v128.load(r));
      c01 = f32x4.add(c01, v128.load(r, 16));
      r += strideR;
      c10 = f32x4.add(c10, v128.load(r));
      c11 = f32x4.add(c11, v128.load(r, 16));
      r += strideR;
      c20 = f32x4.add(c20, v128.load(r));
      c21 = f32x4.add(c21, v128.load(r, 16));
      r += strideR;
      c30 = f32x4.add(c30, v128.load(r));
      c31 = f32x4.add(c31, v128.load(r, 16));
    }
    if (activation == Activation.Relu) {
      const zero = f32x4.splat(0);
      c00 = f32x4.pmax(c00, zero);
      c01 = f32x4.pmax(c01, zero);
      c10 = f32x4.pmax(c10, zero);
      c11 = f32x4.pmax(c11, zero);
      c20 = f32x4.pmax(c20, zero);
      c21 = f32x4.pmax(c21, zero);
      c30 = f32x4.pmax(c30, zero);
      c31 = f32x4.pmax(c31, zero);
    }
    v128.store(y, c00);
    v128.store(y, c01, 16);
    y += strideY;
    v128.store(y, c10);
    v128.store(y, c11, 16);
    y += strideY;
    v128.store(y, c20);
    v128.store(y, c21, 16);
    y += strideY;
    v128.store(y, c30);
    v128.store(y, c31, 16);
    return;
  }
  storePair(c00, c01, y, r, activation, columns);
  if (rows < 2) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storePair(c10, c11, y, r, activation, columns);
  if (rows < 3) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storePair(c20, c21, y, r, activation, columns);
  if (rows < 4) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storePair(c30, c31, y, r, activation, columns);
}

/** 8 rows by a panel of 4. */
export function tile8x4(
  pointers: usize, taps: i32, channels: i32, b: usize, bias: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  activation: i32, rows: i32, columns: i32,
): void {
  let c00 = v128.load(bias);
  let c10 = c00;
  let c20 = c00;
  let c30 = c00;
  let c40 = c00;
  let c50 = c00;
  let c60 = c00;
  let c70 = c00;
  const bytes = <usize>channels << 2;
  for (const end = pointers + <usize>taps * TAP; pointers < end; pointers += TAP) {
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
  }
  if (rows >= 8 && columns == 4 && activation <= Activation.Relu) {
    // The common end, without a branch for each vector.
    if (r != 0) {
      c00 = f32x4.add(c00, v128.load(r));
      r += strideR;
      c10 = f32x4.add(c10, v128.load(r));
      r += strideR;
      c20 = f32x4.add(c20, v128.load(r));
      r += strideR;
      c30 = f32x4.add(c30, v128.load(r));
      r += strideR;
      c40 = f32x4.add(c40, v128.load(r));
      r += strideR;
      c50 = f32x4.add(c50, v128.load(r));
      r += strideR;
      c60 = f32x4.add(c60, v128.load(r));
      r += strideR;
      c70 = f32x4.add(c70, v128.load(r));
    }
    if (activation == Activation.Relu) {
      const zero = f32x4.splat(0);
      c00 = f32x4.pmax(c00, zero);
      c10 = f32x4.pmax(c10, zero);
      c20 = f32x4.pmax(c20, zero);
      c30 = f32x4.pmax(c30, zero);
      c40 = f32x4.pmax(c40, zero);
      c50 = f32x4.pmax(c50, zero);
      c60 = f32x4.pmax(c60, zero);
      c70 = f32x4.pmax(c70, zero);
    }
    v128.store(y, c00);
    y += strideY;
    v128.store(y, c10);
    y += strideY;
    v128.store(y, c20);
    y += strideY;
    v128.store(y, c30);
    y += strideY;
    v128.store(y, c40);
    y += strideY;
    v128.store(y, c50);
    y += strideY;
    v128.store(y, c60);
    y += strideY;
    v128.store(y, c70);
    return;
  }
  storeOne(c00, y, r, activation, columns);
  if (rows < 2) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c10, y, r, activation, columns);
  if (rows < 3) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c20, y, r, activation, columns);
  if (rows < 4) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c30, y, r, activation, columns);
  if (rows < 5) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c40, y, r, activation, columns);
  if (rows < 6) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c50, y, r, activation, columns);
  if (rows < 7) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c60, y, r, activation, columns);
  if (rows < 8) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c70, y, r, activation, columns);
}

// @ts-expect-error: decorator
@inline
function storePair(c0: v128, c1: v128, y: usize, r: usize, activation: i32, columns: i32): void {
  if (r != 0) {
    c0 = f32x4.add(c0, v128.load(r));
    c1 = f32x4.add(c1, v128.load(r, 16));
  }
  v128.store(y, activate(c0, activation));
  storeLanes(y + 16, activate(c1, activation), columns - 4);
}

// @ts-expect-error: decorator
@inline
function storeOne(c: v128, y: usize, r: usize, activation: i32, columns: i32): void {
  if (r != 0) c = f32x4.add(c, v128.load(r));
  storeLanes(y, activate(c, activation), columns);
}

/** One row by four panels of 8, `step` bytes apart. */
export function row1x32(
  pointers: usize, taps: i32, channels: i32, b0: usize, step: usize, bias: usize, y: usize, r: usize, activation: i32,
): void {
  let c0 = v128.load(bias);
  let c1 = v128.load(bias, 16);
  let c2 = v128.load(bias, 32);
  let c3 = v128.load(bias, 48);
  let c4 = v128.load(bias, 64);
  let c5 = v128.load(bias, 80);
  let c6 = v128.load(bias, 96);
  let c7 = v128.load(bias, 112);
  let b1 = b0 + step;
  let b2 = b1 + step;
  let b3 = b2 + step;
  for (let t = 0; t < taps; t++, pointers += TAP) {
    let a = <usize>load<u32>(pointers);
    for (const stop = a + (<usize>channels << 2); a < stop; a += 4, b0 += 32, b1 += 32, b2 += 32, b3 += 32) {
      const v = v128.load32_splat(a);
      c0 = madd(v, v128.load(b0), c0);
      c1 = madd(v, v128.load(b0, 16), c1);
      c2 = madd(v, v128.load(b1), c2);
      c3 = madd(v, v128.load(b1, 16), c3);
      c4 = madd(v, v128.load(b2), c4);
      c5 = madd(v, v128.load(b2, 16), c5);
      c6 = madd(v, v128.load(b3), c6);
      c7 = madd(v, v128.load(b3, 16), c7);
    }
  }
  storePair(c0, c1, y, r, activation, 8);
  storePair(c2, c3, y + 32, r == 0 ? 0 : r + 32, activation, 8);
  storePair(c4, c5, y + 64, r == 0 ? 0 : r + 64, activation, 8);
  storePair(c6, c7, y + 96, r == 0 ? 0 : r + 96, activation, 8);
}

/** One row by one panel of `columns`. */
export function row1x8(
  pointers: usize, taps: i32, channels: i32, b: usize, bias: usize, y: usize, r: usize, activation: i32, columns: i32,
): void {
  let c0 = v128.load(bias);
  let c1 = v128.load(bias, 16);
  const wide = columns > 4;
  for (let t = 0; t < taps; t++, pointers += TAP) {
    let a = <usize>load<u32>(pointers);
    const stop = a + (<usize>channels << 2);
    if (wide) {
      for (; a < stop; a += 4, b += 32) {
        const v = v128.load32_splat(a);
        c0 = madd(v, v128.load(b), c0);
        c1 = madd(v, v128.load(b, 16), c1);
      }
    } else {
      for (; a < stop; a += 4, b += 16) c0 = madd(v128.load32_splat(a), v128.load(b), c0);
    }
  }
  if (wide) storePair(c0, c1, y, r, activation, columns);
  else storeOne(c0, y, r, activation, columns);
}
