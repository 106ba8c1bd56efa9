import { first, last } from './share';
import { activate, madd, storeLanes } from './vector';

// Convolution as an indirect matrix product (Dukhan, "The Indirect Convolution Algorithm", 2019): every output pixel has one pointer
// for each tap of the kernel, to the input pixel under it or to zeros outside the image, so pointwise, strided, padded and dilated
// convolutions and linear layers are one kernel. Weights are packed in panels of 8 output channels, `[tap][input channel][8]`, the last panel
// of 4 when at most 4 channels are left.
//
// Arguments (4 bytes each): 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 O, 11 kH, 12 kW,
// 13 14 stride, 15 16 padding top and left, 17 18 dilation, 19 weights, 20 bias, 21 residual or 0, 22 its row stride,
// 23 scale [N,C] or 0, 24 its row stride, 25 activation, 26 zeros (at least C), 27 scratch, 28 its bytes for each thread.

/** Rows of one block: its pointers and inputs stay in the cache while all panels pass over it. */
const BLOCK: i32 = 64;

// @ts-ignore: decorator
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
  if (rows < 8 * threads) {
    panel = first(panels, 1, tid, threads);
    panelEnd = last(panels, 1, tid, threads);
    if (panel == panelEnd) return;
  } else {
    row = first(rows, 4, tid, threads);
    rowEnd = last(rows, 4, tid, threads);
  }
  const scratch = <usize>arg(p, 27) + <usize>tid * <usize>arg(p, 28);
  for (; row < rowEnd; row += BLOCK) {
    const count = min(BLOCK, rowEnd - row);
    indirection(p, scratch, row, count);
    if (rows < 3) vectorBlock(p, scratch, row, count, panel, panelEnd);
    else block(p, scratch, row, count, panel, panelEnd);
  }
}

/** Writes the pointers of `count` rows from `row`, `[tile of 4 rows][tap][4]`; rows past the end repeat the last one. */
function indirection(p: usize, table: usize, row: i32, count: i32): void {
  const x = <usize>arg(p, 0);
  const stride = arg(p, 1) << 2;
  const height = arg(p, 5);
  const width = arg(p, 6);
  const channels = arg(p, 7);
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const kernelHeight = arg(p, 11);
  const kernelWidth = arg(p, 12);
  const strideY = arg(p, 13);
  const strideX = arg(p, 14);
  const top = arg(p, 15);
  const left = arg(p, 16);
  const dilationY = arg(p, 17);
  const dilationX = arg(p, 18);
  const scale = <usize>arg(p, 23);
  const zeros = <usize>arg(p, 26);
  const taps = kernelHeight * kernelWidth;
  const tiles = (count + 3) >> 2;
  // Scaled input rows stand behind the pointers (pointwise convolutions only).
  let scaled = table + <usize>(tiles * taps * 16);
  for (let i = 0; i < tiles * 4; i++) {
    const at = row + min(i, count - 1);
    const image = at / (outHeight * outWidth);
    const pixel = at - image * outHeight * outWidth;
    const oy = pixel / outWidth;
    const ox = pixel - oy * outWidth;
    let slot = table + <usize>((i >> 2) * taps * 16 + (i & 3) * 4);
    for (let ky = 0; ky < kernelHeight; ky++) {
      const iy = oy * strideY - top + ky * dilationY;
      const line = x + <usize>((image * height + iy) * width * stride);
      for (let kx = 0; kx < kernelWidth; kx++) {
        const ix = ox * strideX - left + kx * dilationX;
        const inside = iy >= 0 && iy < height && ix >= 0 && ix < width;
        let source = inside ? line + <usize>(ix * stride) : zeros;
        if (scale != 0) {
          if (i < count) scaleRow(source, scale + <usize>(image * arg(p, 24) * 4), scaled, channels);
          else scaled -= <usize>(channels << 2);
          source = scaled;
          scaled += <usize>(channels << 2);
        }
        store<u32>(slot, <u32>source);
        slot += 16;
      }
    }
  }
}

function scaleRow(x: usize, scale: usize, y: usize, channels: i32): void {
  const end = y + <usize>(channels << 2);
  for (; y + 16 <= end; y += 16, x += 16, scale += 16) v128.store(y, f32x4.mul(v128.load(x), v128.load(scale)));
  for (; y < end; y += 4, x += 4, scale += 4) store<f32>(y, load<f32>(x) * load<f32>(scale));
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
    const tile = <usize>taps << 4;
    if (columns > 4) {
      for (let i = 0; i < count; i += 4) {
        tile4x8(pointers, taps, channels, weights, bias, y, strideY, r, strideR, activation, count - i, columns);
        pointers += tile;
        y += strideY << 2;
        if (r != 0) r += strideR << 2;
      }
    } else {
      for (let i = 0; i < count; i += 8) {
        // The last tile may have no second half: it computes the first again and stores nothing of it.
        const second = count - i > 4 ? pointers + tile : pointers;
        tile8x4(pointers, second, taps, channels, weights, bias, y, strideY, r, strideR, activation, count - i, columns);
        pointers += tile << 1;
        y += strideY << 3;
        if (r != 0) r += strideR << 3;
      }
    }
  }
}

function tile4x8(
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
  for (const end = pointers + (<usize>taps << 4); pointers < end; pointers += 16) {
    let a0 = <usize>load<u32>(pointers);
    let a1 = <usize>load<u32>(pointers, 4);
    let a2 = <usize>load<u32>(pointers, 8);
    let a3 = <usize>load<u32>(pointers, 12);
    const stop = a0 + bytes;
    for (; a0 + 16 <= stop; a0 += 16, a1 += 16, a2 += 16, a3 += 16, b += 128) {
      let b0 = v128.load(b);
      let b1 = v128.load(b, 16);
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

      b0 = v128.load(b, 32);
      b1 = v128.load(b, 48);
      a = v128.load32_splat(a0, 4);
      c00 = madd(a, b0, c00);
      c01 = madd(a, b1, c01);
      a = v128.load32_splat(a1, 4);
      c10 = madd(a, b0, c10);
      c11 = madd(a, b1, c11);
      a = v128.load32_splat(a2, 4);
      c20 = madd(a, b0, c20);
      c21 = madd(a, b1, c21);
      a = v128.load32_splat(a3, 4);
      c30 = madd(a, b0, c30);
      c31 = madd(a, b1, c31);

      b0 = v128.load(b, 64);
      b1 = v128.load(b, 80);
      a = v128.load32_splat(a0, 8);
      c00 = madd(a, b0, c00);
      c01 = madd(a, b1, c01);
      a = v128.load32_splat(a1, 8);
      c10 = madd(a, b0, c10);
      c11 = madd(a, b1, c11);
      a = v128.load32_splat(a2, 8);
      c20 = madd(a, b0, c20);
      c21 = madd(a, b1, c21);
      a = v128.load32_splat(a3, 8);
      c30 = madd(a, b0, c30);
      c31 = madd(a, b1, c31);

      b0 = v128.load(b, 96);
      b1 = v128.load(b, 112);
      a = v128.load32_splat(a0, 12);
      c00 = madd(a, b0, c00);
      c01 = madd(a, b1, c01);
      a = v128.load32_splat(a1, 12);
      c10 = madd(a, b0, c10);
      c11 = madd(a, b1, c11);
      a = v128.load32_splat(a2, 12);
      c20 = madd(a, b0, c20);
      c21 = madd(a, b1, c21);
      a = v128.load32_splat(a3, 12);
      c30 = madd(a, b0, c30);
      c31 = madd(a, b1, c31);
    }
    for (; a0 < stop; a0 += 4, a1 += 4, a2 += 4, a3 += 4, b += 32) {
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
    }
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

// @ts-ignore: decorator
@inline
function storePair(c0: v128, c1: v128, y: usize, r: usize, activation: i32, columns: i32): void {
  if (r != 0) {
    c0 = f32x4.add(c0, v128.load(r));
    c1 = f32x4.add(c1, v128.load(r, 16));
  }
  v128.store(y, activate(c0, activation));
  storeLanes(y + 16, activate(c1, activation), columns - 4);
}

function tile8x4(
  pointers: usize, second: usize, taps: i32, channels: i32, b: usize, bias: usize, y: usize, strideY: usize, r: usize,
  strideR: usize, activation: i32, rows: i32, columns: i32,
): void {
  let c0 = v128.load(bias);
  let c1 = c0;
  let c2 = c0;
  let c3 = c0;
  let c4 = c0;
  let c5 = c0;
  let c6 = c0;
  let c7 = c0;
  const bytes = <usize>channels << 2;
  for (const end = pointers + (<usize>taps << 4); pointers < end; pointers += 16, second += 16) {
    let a0 = <usize>load<u32>(pointers);
    let a1 = <usize>load<u32>(pointers, 4);
    let a2 = <usize>load<u32>(pointers, 8);
    let a3 = <usize>load<u32>(pointers, 12);
    let a4 = <usize>load<u32>(second);
    let a5 = <usize>load<u32>(second, 4);
    let a6 = <usize>load<u32>(second, 8);
    let a7 = <usize>load<u32>(second, 12);
    for (const stop = a0 + bytes; a0 < stop; b += 16) {
      const b0 = v128.load(b);
      c0 = madd(v128.load32_splat(a0), b0, c0);
      c1 = madd(v128.load32_splat(a1), b0, c1);
      c2 = madd(v128.load32_splat(a2), b0, c2);
      c3 = madd(v128.load32_splat(a3), b0, c3);
      c4 = madd(v128.load32_splat(a4), b0, c4);
      c5 = madd(v128.load32_splat(a5), b0, c5);
      c6 = madd(v128.load32_splat(a6), b0, c6);
      c7 = madd(v128.load32_splat(a7), b0, c7);
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
  storeOne(c0, y, r, activation, columns);
  if (rows < 2) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c1, y, r, activation, columns);
  if (rows < 3) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c2, y, r, activation, columns);
  if (rows < 4) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c3, y, r, activation, columns);
  if (rows < 5) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c4, y, r, activation, columns);
  if (rows < 6) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c5, y, r, activation, columns);
  if (rows < 7) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c6, y, r, activation, columns);
  if (rows < 8) return;
  y += strideY;
  r = r == 0 ? 0 : r + strideR;
  storeOne(c7, y, r, activation, columns);
}

// @ts-ignore: decorator
@inline
function storeOne(c: v128, y: usize, r: usize, activation: i32, columns: i32): void {
  if (r != 0) c = f32x4.add(c, v128.load(r));
  storeLanes(y, activate(c, activation), columns);
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

function row1x32(
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
  for (let t = 0; t < taps; t++, pointers += 16) {
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

function row1x8(
  pointers: usize, taps: i32, channels: i32, b: usize, bias: usize, y: usize, r: usize, activation: i32, columns: i32,
): void {
  let c0 = v128.load(bias);
  let c1 = v128.load(bias, 16);
  const wide = columns > 4;
  for (let t = 0; t < taps; t++, pointers += 16) {
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
