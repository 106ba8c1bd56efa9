import { Activation } from './opcodes';
import { activate, madd, storeLanes } from './vector';

/**
 * The inner loop of a convolution: `ROWS`, given by their pointers at one tap (see indirection.ts), times `PANELS` packed panels of output channels,
 * each of `VECTORS` and `stride` bytes behind the one before. The sums start from `from` (the bias, or the sums of the taps before; `step` bytes from row
 * to row; a second panel's `second` bytes behind the first's) and end at `to`, row by row, `apart` bytes from panel to panel; {@link finish} writes them
 * out. `DIRECT` is for a single tap: from the bias of both panels at `from` on and all the way to the output's rows, `apart` bytes from one to the
 * next; nothing is below `least`. It also touches four bytes a step and panel from `second` on: weights of the panels behind, which come from main memory
 * while there is enough else to do, and are in the cache when it is their turn. That took 4 % off RepGhostNet 1.0x, whose weights no cache keeps.
 *
 * Sums and output are apart because V8 keeps 12 sums, 2 weights and 1 input in registers only where little else is alive: with the output's arguments
 * in the same function older ones run the loop at two thirds of the speed, and with several steps at a time or with 12 sums on plain SIMD it spills. Where
 * they are together, rows go from the last to the first: V8 11 (Node 20) orders the sums backwards then, and with the inputs forwards would
 * read all of them before the first sum. Six rows (five, where that leaves none over) are for fused multiply-add, four for plain SIMD.
 *
 * Two panels are for vectors of 256 bits, which V8 makes of two adjacent ones of 128 (--experimental-wasm-revectorize): it starts from stores that lie
 * side by side and goes up to what was loaded side by side. The two have to have one address and offsets that differ by 16, with no load between the
 * stores and no store between the loads; an address that is a constant does not count. The 24 sums are then 12, which with two weights and an input
 * fit into the registers; as vectors of 128 bits they do not.
 */
export function tile<ROWS extends number, VECTORS extends number, PANELS extends number, DIRECT extends boolean>(
  pointers: usize, bytes: usize, b: usize, stride: usize, from: usize, second: usize, step: usize, to: usize, apart: usize, least: f32,
): void {
  let a: Registers<usize>;
  let c: Registers<v128>;
  let d = b + stride;
  let more = DIRECT ? second : from + second;
  unroll: for (let i = 0; i < ROWS; i++) {
    unroll: for (let n = 0; n < PANELS; n++) {
      unroll: for (let j = 0; j < VECTORS; j++) {
        if (!DIRECT) c[i][n][j] = v128.load(n == 0 ? from : more, 16 * j);
        else if (i == 0) c[i][n][j] = v128.load(from, 32 * n + 16 * j);
        else c[i][n][j] = c[0][n][j];
      }
    }
    if (!DIRECT && i < ROWS - 1) {
      from += step;
      more += step;
    }
  }
  unroll: for (let i = 0; i < ROWS; i++) a[i] = <usize>load<u32>(pointers, 4 * i);
  for (const stop = a[0] + bytes; a[0] < stop; b += 16 * VECTORS, d += 16 * VECTORS) {
    let w: Registers<v128>;
    let v: v128;
    unroll: for (let n = 0; n < PANELS; n++) {
      unroll: for (let j = 0; j < VECTORS; j++) w[n][j] = v128.load(n == 0 ? b : d, 16 * j);
    }
    unroll: for (let i = 0; i < ROWS; i++) {
      const row = DIRECT ? ROWS - 1 - i : i;
      v = v128.load32_splat(a[row]);
      unroll: for (let n = 0; n < PANELS; n++) {
        unroll: for (let j = 0; j < VECTORS; j++) c[row][n][j] = madd(v, w[n][j], c[row][n][j]);
      }
    }
    if (DIRECT) {
      load<u32>(more);
      more += 4 * PANELS;
    }
    unroll: for (let i = 0; i < ROWS; i++) a[i] += 4;
  }
  if (DIRECT) {
    const low = f32x4.splat(least);
    unroll: for (let i = 0; i < ROWS; i++) {
      unroll: for (let n = 0; n < PANELS; n++) {
        unroll: for (let j = 0; j < VECTORS; j++) v128.store(to, f32x4.pmax(c[i][n][j], low), 32 * n + 16 * j);
      }
      if (i < ROWS - 1) to += apart;
    }
  } else {
    unroll: for (let n = 0; n < PANELS; n++) {
      unroll: for (let i = 0; i < ROWS; i++) {
        unroll: for (let j = 0; j < VECTORS; j++) v128.store(to, c[i][n][j], 16 * (i * VECTORS + j));
      }
      if (n < PANELS - 1) to += apart;
    }
  }
}

/** The sums of one panel; `from`, `step` and `sums` as `from`, `step` and `to` of {@link tile}. */
// @ts-expect-error: decorator
@inline
export function sumTile<ROWS extends number, VECTORS extends number>(
  pointers: usize, bytes: usize, b: usize, from: usize, step: usize, sums: usize,
): void {
  tile<ROWS, VECTORS, 1, false>(pointers, bytes, b, 0, from, 0, step, sums, 0, 0);
}

/** The sums of one row by four panels of 8, `stride` bytes apart: as fast as the weights are read. */
export function sumFourPanels(pointers: usize, bytes: usize, b: usize, stride: usize, from: usize, sums: usize): void {
  let c: Registers<v128>;
  let w: Registers<usize>;
  unroll: for (let j = 0; j < 8; j++) c[j] = v128.load(from, 16 * j);
  w[0] = b;
  unroll: for (let n = 1; n < 4; n++) w[n] = w[n - 1] + stride;
  let a = <usize>load<u32>(pointers);
  let at: usize = 0;
  for (const stop = a + bytes; a < stop; a += 4, at += 32) {
    const v = v128.load32_splat(a);
    unroll: for (let j = 0; j < 8; j++) c[j] = madd(v, v128.load(w[j >> 1] + at, 16 * (j & 1)), c[j]);
  }
  unroll: for (let j = 0; j < 8; j++) v128.store(sums, c[j], 16 * j);
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
