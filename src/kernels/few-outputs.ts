import { arg } from './args';
import { BLOCK, indirection, TAP } from './indirection';
import { first, last } from './share';
import { activate, madd, storeLanes } from './vector';

// Convolutions to at most four channels, such as the last one to colours: a panel of output channels would be mostly empty, so the vectors
// lie along the input channels, and their lanes are added up at the end. Four rows at a time for one output, two for more.
//
// Arguments as in conv.ts, with C a multiple of 4 and no scale. Weights are `[tap][C / 4][output][4]`, four outputs unless it is one.

/** Bytes of a tile's sums, at the start of the scratch. */
const SUMS: usize = 256;

export function fewOutputs(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4) * arg(p, 8) * arg(p, 9);
  const single = arg(p, 10) == 1;
  const height = single ? 4 : 2;
  const taps = arg(p, 11) * arg(p, 12);
  const bytes = <usize>arg(p, 7) << 2;
  const sums = <usize>arg(p, 27) + <usize>tid * <usize>arg(p, 28);
  const table = sums + SUMS;
  const end = last(rows, 12, tid, threads);
  for (let row = first(rows, 12, tid, threads); row < end; row += BLOCK) {
    const count = min(BLOCK, end - row);
    indirection(p, table, row, count);
    for (let i = 0; i < count; i += height) {
      let pointers = table + (<usize>i << 2);
      let weights = <usize>arg(p, 19);
      memory.fill(sums, 0, 128);
      for (let tap = 0; tap < taps; tap++, pointers += TAP) {
        if (single) sum4x1(pointers, bytes, weights, sums);
        else sum2x4(pointers, bytes, weights, sums);
        weights += single ? bytes : bytes << 2;
      }
      if (single) finishColumn(p, sums, row + i, min(4, count - i));
      else for (let j = 0; j < min(2, count - i); j++) finishRow(p, sums + (<usize>j << 6), row + i + j);
    }
  }
}

/** Four rows by one output, over one tap. */
function sum4x1(pointers: usize, bytes: usize, b: usize, sums: usize): void {
  let c0 = v128.load(sums);
  let c1 = v128.load(sums, 16);
  let c2 = v128.load(sums, 32);
  let c3 = v128.load(sums, 48);
  let a0 = <usize>load<u32>(pointers);
  let a1 = <usize>load<u32>(pointers, 4);
  let a2 = <usize>load<u32>(pointers, 8);
  let a3 = <usize>load<u32>(pointers, 12);
  for (const stop = a0 + bytes; a0 < stop; b += 16) {
    const w = v128.load(b);
    c0 = madd(v128.load(a0), w, c0);
    c1 = madd(v128.load(a1), w, c1);
    c2 = madd(v128.load(a2), w, c2);
    c3 = madd(v128.load(a3), w, c3);
    a0 += 16;
    a1 += 16;
    a2 += 16;
    a3 += 16;
  }
  v128.store(sums, c0);
  v128.store(sums, c1, 16);
  v128.store(sums, c2, 32);
  v128.store(sums, c3, 48);
}

/** Two rows by four outputs, over one tap. */
function sum2x4(pointers: usize, bytes: usize, b: usize, sums: usize): void {
  let c00 = v128.load(sums);
  let c01 = v128.load(sums, 16);
  let c02 = v128.load(sums, 32);
  let c03 = v128.load(sums, 48);
  let c10 = v128.load(sums, 64);
  let c11 = v128.load(sums, 80);
  let c12 = v128.load(sums, 96);
  let c13 = v128.load(sums, 112);
  let a0 = <usize>load<u32>(pointers);
  let a1 = <usize>load<u32>(pointers, 4);
  for (const stop = a0 + bytes; a0 < stop; b += 64) {
    const x0 = v128.load(a0);
    const x1 = v128.load(a1);
    let w = v128.load(b);
    c00 = madd(x0, w, c00);
    c10 = madd(x1, w, c10);
    w = v128.load(b, 16);
    c01 = madd(x0, w, c01);
    c11 = madd(x1, w, c11);
    w = v128.load(b, 32);
    c02 = madd(x0, w, c02);
    c12 = madd(x1, w, c12);
    w = v128.load(b, 48);
    c03 = madd(x0, w, c03);
    c13 = madd(x1, w, c13);
    a0 += 16;
    a1 += 16;
  }
  v128.store(sums, c00);
  v128.store(sums, c01, 16);
  v128.store(sums, c02, 32);
  v128.store(sums, c03, 48);
  v128.store(sums, c10, 64);
  v128.store(sums, c11, 80);
  v128.store(sums, c12, 96);
  v128.store(sums, c13, 112);
}

/** The sums over the lanes of four vectors, side by side. */
// @ts-expect-error: decorator
@inline
function acrossLanes(sums: usize): v128 {
  const a = v128.load(sums);
  const b = v128.load(sums, 16);
  const c = v128.load(sums, 32);
  const d = v128.load(sums, 48);
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** One row of up to four outputs. */
function finishRow(p: usize, sums: usize, row: i32): void {
  let v = f32x4.add(acrossLanes(sums), v128.load(<usize>arg(p, 20)));
  if (arg(p, 21) != 0) v = f32x4.add(v, v128.load(<usize>arg(p, 21) + <usize>row * (<usize>arg(p, 22) << 2)));
  storeLanes(<usize>arg(p, 2) + <usize>row * (<usize>arg(p, 3) << 2), activate(v, arg(p, 25)), arg(p, 10));
}

/** Up to four rows of one output. */
function finishColumn(p: usize, sums: usize, row: i32, count: i32): void {
  let v = f32x4.add(acrossLanes(sums), v128.load32_splat(<usize>arg(p, 20)));
  if (arg(p, 21) != 0) {
    for (let i = 0; i < count; i++) {
      store<f32>(sums + (<usize>i << 2), load<f32>(<usize>arg(p, 21) + <usize>(row + i) * (<usize>arg(p, 22) << 2)));
    }
    v = f32x4.add(v, v128.load(sums));
  }
  v128.store(sums, activate(v, arg(p, 25)));
  let y = <usize>arg(p, 2) + <usize>row * (<usize>arg(p, 3) << 2);
  for (let i = 0; i < count; i++, y += <usize>arg(p, 3) << 2) store<f32>(y, load<f32>(sums + (<usize>i << 2)));
}
