import { BLOCK, indirection } from './indirection';
import { first, last } from './share';
import { row1x32, row1x8, tile4x8, tile6x8, tile8x4 } from './tiles';

// Convolution as an indirect matrix product (Dukhan, "The Indirect Convolution Algorithm", 2019): every output pixel has one pointer
// for each tap of the kernel, to the input pixel under it or to zeros outside the image, so pointwise, strided, padded and dilated
// convolutions and linear layers are one kernel. Weights are packed in panels of 8 output channels, `[tap][input channel][8]`, the last panel
// of 4 when at most 4 channels are left.
//
// Arguments (4 bytes each): 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 O, 11 kH, 12 kW,
// 13 14 stride, 15 16 padding top and left, 17 18 dilation, 19 weights, 20 bias, 21 residual or 0, 22 its row stride,
// 23 scale [N,C] or 0, 24 its row stride, 25 activation, 26 zeros (at least C), 27 scratch, 28 its bytes for each thread.

/** Whether tiles are six rows high: worth it only where multiply and add are one instruction. */
const WIDE: bool = ASC_FEATURE_RELAXED_SIMD;

// @ts-expect-error: decorator
@inline
function arg(p: usize, i: i32): i32 {
  return load<i32>(p + (i << 2));
}

export function conv(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4) * arg(p, 8) * arg(p, 9);
  const outputs = arg(p, 10);
  const panels = (outputs + 7) >> 3;
  let row = 0;
  let rowEnd = rows;
  let panel = 0;
  let panelEnd = panels;
  // Few rows (squeeze-excite, classifiers): the threads share the output channels instead.
  if (rows < 12 * threads) {
    panel = first(panels, 1, tid, threads);
    panelEnd = last(panels, 1, tid, threads);
    if (panel == panelEnd) return;
  } else {
    row = first(rows, 12, tid, threads);
    rowEnd = last(rows, 12, tid, threads);
  }
  const scratch = <usize>arg(p, 27) + <usize>tid * <usize>arg(p, 28);
  for (; row < rowEnd; row += BLOCK) {
    const count = min(BLOCK, rowEnd - row);
    indirection(p, scratch, row, count);
    if (rows < 3) vectorBlock(p, scratch, row, count, panel, panelEnd);
    else block(p, scratch, row, count, panel, panelEnd);
  }
}

/** All panels over one block of rows. */
function block(p: usize, table: usize, row: i32, count: i32, panel: i32, panelEnd: i32): void {
  const taps = arg(p, 11) * arg(p, 12);
  const channels = arg(p, 7);
  const outputs = arg(p, 10);
  const strideY = <usize>arg(p, 3) << 2;
  const strideR = <usize>arg(p, 22) << 2;
  const residual = <usize>arg(p, 21);
  const activation = arg(p, 25);
  const step = <usize>(taps * channels) << 5;
  for (; panel < panelEnd; panel++) {
    const columns = min(8, outputs - (panel << 3));
    const offset = <usize>panel << 5;
    const weights = <usize>arg(p, 19) + <usize>panel * step;
    const bias = <usize>arg(p, 20) + offset;
    let y = <usize>arg(p, 2) + <usize>row * strideY + offset;
    let r: usize = residual == 0 ? 0 : residual + <usize>row * strideR + offset;
    let pointers = table;
    if (columns > 4) {
      for (let i = 0; i < count; ) {
        const left = count - i;
        const height = WIDE && left > 4 ? 6 : 4;
        if (height == 6) tile6x8(pointers, taps, channels, weights, bias, y, strideY, r, strideR, activation, left, columns);
        else tile4x8(pointers, taps, channels, weights, bias, y, strideY, r, strideR, activation, left, columns);
        i += height;
        pointers += <usize>height << 2;
        y += <usize>height * strideY;
        if (r != 0) r += <usize>height * strideR;
      }
    } else {
      for (let i = 0; i < count; i += 8) {
        tile8x4(pointers, taps, channels, weights, bias, y, strideY, r, strideR, activation, count - i, columns);
        pointers += 32;
        y += strideY << 3;
        if (r != 0) r += strideR << 3;
      }
    }
  }
}

/** One or two rows: the product is as fast as the weights are read, so four panels are read at once. */
function vectorBlock(p: usize, table: usize, row: i32, count: i32, panel: i32, panelEnd: i32): void {
  const taps = arg(p, 11) * arg(p, 12);
  const channels = arg(p, 7);
  const outputs = arg(p, 10);
  const residual = <usize>arg(p, 21);
  const activation = arg(p, 25);
  const step = <usize>(taps * channels) << 5;
  for (let i = 0; i < count; i++) {
    const pointers = table + (<usize>i << 2);
    const y = <usize>arg(p, 2) + <usize>((row + i) * arg(p, 3) * 4);
    const r: usize = residual == 0 ? 0 : residual + <usize>((row + i) * arg(p, 22) * 4);
    let at = panel;
    while (at < panelEnd) {
      const offset = <usize>at << 5;
      const weights = <usize>arg(p, 19) + <usize>at * step;
      const bias = <usize>arg(p, 20) + offset;
      const left = outputs - (at << 3);
      const rest: usize = r == 0 ? 0 : r + offset;
      if (at + 4 <= panelEnd && left >= 32) {
        row1x32(pointers, taps, channels, weights, step, bias, y + offset, rest, activation);
        at += 4;
      } else {
        row1x8(pointers, taps, channels, weights, bias, y + offset, rest, activation, min(8, left));
        at++;
      }
    }
  }
}
