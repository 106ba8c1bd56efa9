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
        if (single) sumTap<4, 1>(pointers, bytes, weights, sums);
        else sumTap<2, 4>(pointers, bytes, weights, sums);
        weights += single ? bytes : bytes << 2;
      }
      if (single) finishColumn(p, sums, row + i, min(4, count - i));
      else for (let j = 0; j < min(2, count - i); j++) finishRow(p, sums + (<usize>j << 6), row + i + j);
    }
  }
}

/** `ROWS` by `OUTPUTS`, over one tap. */
function sumTap<ROWS extends number, OUTPUTS extends number>(pointers: usize, bytes: usize, b: usize, sums: usize): void {
  let a: Registers<usize>;
  let c: Registers<v128>;
  unroll: for (let i = 0; i < ROWS; i++) {
    unroll: for (let j = 0; j < OUTPUTS; j++) c[i][j] = v128.load(sums, 16 * (i * OUTPUTS + j));
  }
  unroll: for (let i = 0; i < ROWS; i++) a[i] = <usize>load<u32>(pointers, 4 * i);
  for (const stop = a[0] + bytes; a[0] < stop; b += 16 * OUTPUTS) {
    let x: Registers<v128>;
    let w: v128;
    unroll: for (let i = 0; i < ROWS; i++) x[i] = v128.load(a[i]);
    unroll: for (let j = 0; j < OUTPUTS; j++) {
      w = v128.load(b, 16 * j);
      unroll: for (let i = 0; i < ROWS; i++) c[i][j] = madd(x[i], w, c[i][j]);
    }
    unroll: for (let i = 0; i < ROWS; i++) a[i] += 16;
  }
  unroll: for (let i = 0; i < ROWS; i++) {
    unroll: for (let j = 0; j < OUTPUTS; j++) v128.store(sums, c[i][j], 16 * (i * OUTPUTS + j));
  }
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
