import { arg } from './args';
import { dotsToTrust, FUSED, NO_DOTS, prefersWords } from './int8-check';
import { Fused, Halves, Words } from './int8-dot';
import { ENDS, storeEnds } from './int8-ends';
import { finishBytes, finishFloats } from './int8-finish';
import { pairs1x8, pairs4x4 } from './int8-pairs';
import { sumRow, sumTile, tile } from './int8-tiles';
import { gatherWindows } from './int8-windows';
import { sumWords, wordTiles } from './int8-words';
import { first, last } from './share';

// Convolution of int8 activations as a matrix product: pointwise ones read their rows where they are, others copy the windows of a block of
// pixels into rows first. Weights are packed in panels of 8 output channels, `[row / 4][8][4]`, the last one filled up with zeros, as are
// rows to a multiple of 8.
// The sum of a row and an output, from a bias of 32 bits on, times that output's multiplier is the result; see int8-finish.ts for its end.
//
// Arguments (4 bytes each): 0 x, 1 its row stride, 2 y, 3 its row stride (in its elements), 4 N, 5 H, 6 W, 7 C, a multiple of 4, 8 OH, 9 OW, 10 O,
// 11 kH, 12 kW, 13 14 stride, 15 16 padding top and left, 17 18 dilation, 19 weights, 20 biases (i32), 21 multipliers (f32), both for whole panels,
// 22 scratch, 23 its bytes for each thread, 24 what stands outside of the image, 25 whether y is float, 26 activation of a float y, or of bytes whether
// their sums may be made of words (int8-words.ts), 27 output channels that may be written, 28 least and 29 most of an int8 y, 30 zero point of y
// (f32), 31 residual or 0, 32 its row stride, 33 its multiplier (f32).

/** The most rows of one block, a multiple of the tiles' heights. */
const BLOCK: i32 = 60;
/** Bytes of a block's sums, at the start of the scratch; behind them stand the vectors of int8-ends.ts. */
const SUMS: usize = 1920;
/** Bytes of a block's activations, which stay in the first cache while all panels pass over them. */
const BLOCK_BYTES: i32 = 32768;

export function int8Conv(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4) * arg(p, 8) * arg(p, 9);
  const panels = (arg(p, 10) + 7) >> 3;
  let row = 0;
  let rowEnd = rows;
  let panel = 0;
  let panelEnd = panels;
  // As in conv.ts: few rows are not divided.
  if (rows < 12 * threads || arg(p, 10) > rows) {
    panel = first(panels, 1, tid, threads);
    panelEnd = last(panels, 1, tid, threads);
    if (panel == panelEnd) return;
  } else {
    row = first(rows, 12, tid, threads);
    rowEnd = last(rows, 12, tid, threads);
  }
  const bytes = (arg(p, 7) * arg(p, 11) * arg(p, 12) + 7) & ~7;
  const sums = <usize>arg(p, 22) + <usize>tid * <usize>arg(p, 23);
  const gathered = sums + SUMS + ENDS;
  const dots = dotsToTrust(sums);
  // Widened, they take twice the room.
  const step = blockRows(dots != NO_DOTS ? bytes : bytes << 1);
  storeEnds(p, sums + SUMS);
  for (; row < rowEnd; row += step) {
    const count = min(step, rowEnd - row);
    let a = gathered;
    let stride = <usize>bytes;
    if (isPointwise(p)) {
      stride = <usize>arg(p, 1);
      a = <usize>arg(p, 0) + <usize>row * stride;
    } else gatherWindows(p, gathered, row, count, bytes);
    if (dots == NO_DOTS) {
      // Behind the gathered rows, which are widened in their turn.
      const wide = (gathered + <usize>(step * bytes) + 15) & ~15;
      widen(a, stride, <usize>bytes, wide, count);
      a = wide;
      stride = <usize>bytes << 1;
    }
    if (count < 4) singles(p, a, stride, bytes, sums, row, count, panel, panelEnd, dots);
    else block(p, a, stride, bytes, sums, row, count, panel, panelEnd, dots);
  }
}

/** Rows of one block, by the bytes of one; ops/quantized-lowering.ts knows it too. */
// @ts-expect-error: decorator
@inline
function blockRows(bytes: i32): i32 {
  return max(12, min(BLOCK, (BLOCK_BYTES / bytes / 12) * 12));
}

// @ts-expect-error: decorator
@inline
function isPointwise(p: usize): bool {
  return arg(p, 11) * arg(p, 12) == 1 && arg(p, 13) == 1 && arg(p, 14) == 1 && arg(p, 8) == arg(p, 5) && arg(p, 9) == arg(p, 6);
}

/** Rows of bytes become rows of 16 bits. */
function widen(a: usize, stride: usize, bytes: usize, to: usize, count: i32): void {
  for (; count > 0; count--, a += stride) {
    let from = a;
    for (const stop = a + bytes; from < stop; from += 8, to += 16) v128.store(to, v128.load8x8_s(from));
    // What is too much of a row's last vector is overwritten by the next row.
    to -= (from - a - bytes) << 1;
  }
}

/** All panels over one block of at least four rows. */
function block(
  p: usize, a: usize, stride: usize, bytes: i32, sums: usize, row: i32, count: i32, panel: i32, panelEnd: i32, dots: i32,
): void {
  const length = dots != NO_DOTS ? <usize>bytes : <usize>bytes << 1;
  const panelBytes = <usize>bytes << 3;
  const words = prefersWords() && arg(p, 25) == 0 && arg(p, 26) == 1;
  for (; panel < panelEnd; panel++) {
    const weights = <usize>arg(p, 19) + <usize>panel * panelBytes;
    const bias = <usize>arg(p, 20) + (<usize>panel << 5);
    if (ASC_FEATURE_RELAXED_SIMD && dots != NO_DOTS && count >= 6 && isPlain(p, panel)) {
      if (words) wholePanel<Words>(p, a, stride, length, weights, bias, sums + SUMS, row, count, panel);
      else if (dots == FUSED) wholePanel<Fused>(p, a, stride, length, weights, bias, sums + SUMS, row, count, panel);
      else wholePanel<Halves>(p, a, stride, length, weights, bias, sums + SUMS, row, count, panel);
      continue;
    }
    for (let i = 0; i < count; ) {
      const left = count - i;
      const height = dots == FUSED && !words && left > 4 && count >= 6 ? 6 : 4;
      // The last tile goes back to rows that are done already rather than past the end.
      i = min(i, count - height);
      const from = a + <usize>i * stride;
      const to = sums + (<usize>i << 5);
      if (ASC_FEATURE_RELAXED_SIMD && dots != NO_DOTS) {
        if (words) sumWords(from, stride, length, weights, bias, to);
        else if (height == 6) sumTile<Fused, 6>(from, stride, length, weights, bias, to);
        else if (dots == FUSED) sumTile<Fused, 4>(from, stride, length, weights, bias, to);
        else sumTile<Halves, 4>(from, stride, length, weights, bias, to);
      } else {
        pairs4x4(from, stride, length, weights, bias, to);
        pairs4x4(from, stride, length, weights + 16, bias + 16, to + 16);
      }
      i += height;
    }
    finish(p, sums, row, count, panel, 1);
  }
}

/** Whether the results of a panel are bytes of all its outputs, and nothing is added to them. */
// @ts-expect-error: decorator
@inline
function isPlain(p: usize, panel: i32): bool {
  return arg(p, 25) == 0 && arg(p, 31) == 0 && arg(p, 27) - (panel << 3) >= 8;
}

/** A plain panel over one block of at least six rows: its sums are not stored in between. */
function wholePanel<T>(
  p: usize, a: usize, stride: usize, length: usize, weights: usize, bias: usize, k: usize, row: i32, count: i32, panel: i32,
): void {
  const strideY = <usize>arg(p, 3);
  const y = <usize>arg(p, 2) + <usize>row * strideY + (<usize>panel << 3);
  const m = <usize>arg(p, 21) + (<usize>panel << 5);
  let i = 0;
  if (sizeof<T>() == sizeof<Fused>()) {
    const rest = count % 6;
    // Seven rows are two tiles of four rather than two of six.
    const whole = rest == 1 && count > 6 ? count - 7 : count - rest;
    for (; i < whole; i += 6) {
      tile<T, 6, true>(a + <usize>i * stride, stride, length, weights, bias, m, k, y + <usize>i * strideY, strideY);
    }
    // As in `block`, the last tile goes back.
    if (rest == 5) {
      i = count - 6;
      tile<T, 6, true>(a + <usize>i * stride, stride, length, weights, bias, m, k, y + <usize>i * strideY, strideY);
      return;
    }
  }
  if (sizeof<T>() == sizeof<Words>()) {
    wordTiles<true>(a, stride, length, weights, bias, m, k, y, strideY, count >> 2);
    if ((count & 3) == 0) return;
    i = count - 4;
    wordTiles<true>(a + <usize>i * stride, stride, length, weights, bias, m, k, y + <usize>i * strideY, strideY, 1);
    return;
  }
  for (; i < count; i += 4) {
    i = min(i, count - 4);
    tile<T, 4, true>(a + <usize>i * stride, stride, length, weights, bias, m, k, y + <usize>i * strideY, strideY);
  }
}

/** Up to three rows, one by one. */
function singles(
  p: usize, a: usize, stride: usize, bytes: i32, sums: usize, row: i32, count: i32, panel: i32, panelEnd: i32, dots: i32,
): void {
  const panelBytes = <usize>bytes << 3;
  for (let i = 0; i < count; i++, a += stride) {
    for (let at = panel; at < panelEnd; ) {
      const weights = <usize>arg(p, 19) + <usize>at * panelBytes;
      const bias = <usize>arg(p, 20) + (<usize>at << 5);
      if (ASC_FEATURE_RELAXED_SIMD && dots != NO_DOTS) {
        if (at + 4 <= panelEnd) {
          if (dots == FUSED) sumRow<Fused, 4>(a, <usize>bytes, weights, panelBytes, bias, sums);
          else sumRow<Halves, 4>(a, <usize>bytes, weights, panelBytes, bias, sums);
          finish(p, sums, row + i, 1, at, 4);
          at += 4;
          continue;
        }
        if (dots == FUSED) sumRow<Fused, 1>(a, <usize>bytes, weights, 0, bias, sums);
        else sumRow<Halves, 1>(a, <usize>bytes, weights, 0, bias, sums);
      } else pairs1x8(a, <usize>bytes << 1, weights, bias, sums);
      finish(p, sums, row + i, 1, at, 1);
      at++;
    }
  }
}

/** Writes the sums of `height` rows by one panel, or of one row by `panels`. */
// @ts-expect-error: decorator
@inline
function finish(p: usize, sums: usize, row: i32, height: i32, panel: i32, panels: i32): void {
  const k = sums + SUMS;
  for (let i = 0; i < panels; i++, panel++, sums += 32) {
    if (arg(p, 25) != 0) finishFloats(p, sums, row, height, panel);
    else finishBytes(p, k, sums, row, height, panel);
  }
}
