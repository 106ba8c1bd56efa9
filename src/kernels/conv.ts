import { arg } from './args';
import { BLOCK, gathers, indirection, TAP } from './indirection';
import { Activation } from './opcodes';
import { first, last } from './share';
import { finish, sumFourPanels, sumTile, tile } from './tiles';

// Convolution as an indirect matrix product (Dukhan, "The Indirect Convolution Algorithm", 2019): every output pixel has one pointer
// for each tap of the kernel, to the input pixel under it or to zeros outside the image, so pointwise, strided, padded and dilated
// convolutions and linear layers are one kernel. Weights are packed in panels of 8 output channels, `[tap][input channel][8]`, the last panel
// of 4 when at most 4 channels are left.
//
// Arguments (4 bytes each): 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 O, 11 kH, 12 kW,
// 13 14 stride, 15 16 padding top and left, 17 18 dilation, 19 weights, 20 bias, 21 residual or 0, 22 its row stride,
// 23 scale [N,C] or 0, 24 its row stride, 25 activation, 26 zeros (at least C), 27 scratch, 28 its bytes for each thread.

/** Whether tiles are six rows high: worth it only where multiply and add are one instruction. */
const SIX_ROWS: bool = ASC_FEATURE_RELAXED_SIMD;
/** Bytes of a tile's sums, at the start of the scratch. */
const SUMS: usize = 384;
/** From the sums of a panel to those of the one beside it, in a tile of both. */
const PAIR: usize = 192;

export function conv(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4) * arg(p, 8) * arg(p, 9);
  const outputs = arg(p, 10);
  const panels = (outputs + 7) >> 3;
  let row = 0;
  let rowEnd = rows;
  let panel = 0;
  let panelEnd = panels;
  // Few rows: the threads share the output channels instead, and each reads only its own weights, which are then more than the inputs.
  if (rows < 12 * threads || outputs > rows) {
    panel = first(panels, 1, tid, threads);
    panelEnd = last(panels, 1, tid, threads);
    if (panel == panelEnd) return;
  } else {
    row = first(rows, 12, tid, threads);
    rowEnd = last(rows, 12, tid, threads);
  }
  const sums = <usize>arg(p, 27) + <usize>tid * <usize>arg(p, 28);
  const pointers = sums + SUMS;
  for (; row < rowEnd; row += BLOCK) {
    const count = min(BLOCK, rowEnd - row);
    indirection(p, pointers, row, count);
    if (rows < 3) vectorBlock(p, pointers, sums, row, count, panel, panelEnd);
    else block(p, pointers, sums, row, count, panel, panelEnd);
  }
}

/** All panels over one block of rows. */
function block(p: usize, table: usize, sums: usize, row: i32, count: i32, panel: i32, panelEnd: i32): void {
  const gather = gathers(p);
  const taps = gather ? 1 : arg(p, 11) * arg(p, 12);
  const channels = gather ? arg(p, 7) * arg(p, 11) * arg(p, 12) : arg(p, 7);
  const strideY = <usize>arg(p, 3) << 2;
  const strideR = <usize>arg(p, 22) << 2;
  const activation = arg(p, 25);
  // The sums of a single tap need not be stored in between.
  const direct = SIX_ROWS && taps == 1 && arg(p, 21) == 0 && activation <= Activation.Relu;
  const least: f32 = activation == Activation.Relu ? 0 : -Infinity;
  const inner = <usize>channels << 2;
  if (WIDE_SIMD) {
    const bytes = <usize>(taps * channels) << 5;
    // The second panel of a pair has to be one of 8.
    for (; panel + 2 <= panelEnd && arg(p, 10) - (panel << 3) > 12; panel += 2) {
      const columns = min(8, arg(p, 10) - (panel << 3) - 8);
      const offset = <usize>panel << 5;
      const weights = <usize>arg(p, 19) + <usize>panel * bytes;
      const bias = <usize>arg(p, 20) + offset;
      let y = <usize>arg(p, 2) + <usize>row * strideY + offset;
      let r: usize = arg(p, 21) == 0 ? 0 : <usize>arg(p, 21) + <usize>row * strideR + offset;
      let i = 0;
      if (direct && columns == 8) {
        i = directTiles<2>(table, count, inner, weights, bias, arg(p, 10) - (panel << 3), y, strideY, least);
        y += <usize>i * strideY;
      }
      for (; i < count; i += 6) {
        pair(table + (<usize>i << 2), taps, channels, weights, bytes, bias, sums);
        const height = min(6, count - i);
        finish(sums, 8, y, strideY, r, strideR, activation, height, 8);
        finish(sums + PAIR, 8, y + 32, strideY, r == 0 ? 0 : r + 32, strideR, activation, height, columns);
        y += 6 * strideY;
        if (r != 0) r += 6 * strideR;
      }
    }
  }
  for (; panel < panelEnd; panel++) {
    const columns = min(8, arg(p, 10) - (panel << 3));
    const offset = <usize>panel << 5;
    const width = columns > 4 ? 8 : 4;
    const weights = <usize>arg(p, 19) + offset * <usize>(taps * channels);
    const bias = <usize>arg(p, 20) + offset;
    let y = <usize>arg(p, 2) + <usize>row * strideY + offset;
    let r: usize = arg(p, 21) == 0 ? 0 : <usize>arg(p, 21) + <usize>row * strideR + offset;
    let i = 0;
    if (direct && columns == 8) {
      i = directTiles<1>(table, count, inner, weights, bias, arg(p, 10) - (panel << 3), y, strideY, least);
      y += <usize>i * strideY;
    }
    while (i < count) {
      const left = count - i;
      const height = width == 4 ? 8 : SIX_ROWS && left > 4 ? 6 : 4;
      oneTile(height, table + (<usize>i << 2), taps, channels, weights, bias, sums);
      finish(sums, width, y, strideY, r, strideR, activation, min(height, left), columns);
      i += height;
      y += <usize>height * strideY;
      if (r != 0) r += <usize>height * strideR;
    }
  }
}

/**
 * Rows of a single tap all the way to the output, by `PANELS` of which there are `outputs` and more; returns how many: all but some of less than 25.
 */
function directTiles<PANELS extends number>(
  table: usize, count: i32, inner: usize, weights: usize, bias: usize, outputs: i32, y: usize, strideY: usize, least: f32,
): i32 {
  const bytes = inner << 3;
  // Eight tiles touch the panels behind, if those are as many and whole; else these, again.
  const next = outputs > 16 * PANELS - 4 ? weights + bytes * PANELS : weights;
  const end = next + bytes * PANELS;
  let ahead = next;
  // Fives, where with them there are no rows left over.
  const missing = (6 - count % 6) % 6;
  const sixes = 5 * missing <= count ? count - 5 * missing : count - 5;
  let i = 0;
  while (i + 5 <= count) {
    const pointers = table + (<usize>i << 2);
    let height = 5;
    if (i < sixes) {
      tile<6, 2, PANELS, true>(pointers, inner, weights, bytes, bias, ahead, 0, y, strideY, least);
      height = 6;
    } else {
      tile<5, 2, PANELS, true>(pointers, inner, weights, bytes, bias, ahead, 0, y, strideY, least);
    }
    i += height;
    y += <usize>height * strideY;
    ahead += inner * PANELS;
    if (ahead >= end) ahead = next;
  }
  return i;
}

/** The sums of one tile over all taps. */
// @ts-expect-error: decorator
@inline
function oneTile(height: i32, pointers: usize, taps: i32, channels: i32, weights: usize, bias: usize, sums: usize): void {
  const bytes = <usize>channels << 2;
  let from = bias;
  let step: usize = 0;
  for (let tap = 0; tap < taps; tap++, pointers += TAP) {
    if (height == 8) {
      sumTile<8, 1>(pointers, bytes, weights, from, step, sums);
      step = 16;
      weights += bytes << 2;
    } else {
      if (SIX_ROWS && height == 6) sumTile<6, 2>(pointers, bytes, weights, from, step, sums);
      else sumTile<4, 2>(pointers, bytes, weights, from, step, sums);
      step = 32;
      weights += bytes << 3;
    }
    from = sums;
  }
}

/** The sums of six rows by two panels over all taps. */
// @ts-expect-error: decorator
@inline
function pair(pointers: usize, taps: i32, channels: i32, weights: usize, stride: usize, bias: usize, sums: usize): void {
  const bytes = <usize>channels << 2;
  let from = bias;
  let second: usize = 32;
  let step: usize = 0;
  for (let tap = 0; tap < taps; tap++, pointers += TAP, weights += bytes << 3) {
    tile<6, 2, 2, false>(pointers, bytes, weights, stride, from, second, step, sums, PAIR, 0);
    from = sums;
    second = PAIR;
    step = 32;
  }
}

/** One or two rows: the product is as fast as the weights are read, so four panels are read at once. */
function vectorBlock(p: usize, table: usize, sums: usize, row: i32, count: i32, panel: i32, panelEnd: i32): void {
  const gather = gathers(p);
  const taps = gather ? 1 : arg(p, 11) * arg(p, 12);
  const channels = gather ? arg(p, 7) * arg(p, 11) * arg(p, 12) : arg(p, 7);
  const bytes = <usize>channels << 2;
  const stride = <usize>taps * bytes << 3;
  const activation = arg(p, 25);
  for (let i = 0; i < count; i++) {
    const y = <usize>arg(p, 2) + <usize>((row + i) * arg(p, 3) * 4);
    const r: usize = arg(p, 21) == 0 ? 0 : <usize>arg(p, 21) + <usize>((row + i) * arg(p, 22) * 4);
    let at = panel;
    while (at < panelEnd) {
      const offset = <usize>at << 5;
      const left = arg(p, 10) - (at << 3);
      const four = at + 4 <= panelEnd && left >= 32;
      const width = four || left > 4 ? 8 : 4;
      let from = <usize>arg(p, 20) + offset;
      let weights = <usize>arg(p, 19) + <usize>at * stride;
      let pointers = table + (<usize>i << 2);
      for (let tap = 0; tap < taps; tap++, pointers += TAP) {
        if (four) sumFourPanels(pointers, bytes, weights, stride, from, sums);
        else if (width == 8) sumTile<1, 2>(pointers, bytes, weights, from, 0, sums);
        else sumTile<1, 1>(pointers, bytes, weights, from, 0, sums);
        weights += bytes * <usize>width;
        from = sums;
      }
      const rest: usize = r == 0 ? 0 : r + offset;
      // Four panels of one row are written like four rows that lie 8 channels apart.
      finish(sums, width, y + offset, 32, rest, 32, activation, four ? 4 : 1, min(8, left));
      at += four ? 4 : 1;
    }
  }
}
