import { arg } from './args';
import { first, last } from './share';
import { madd, storeLanes } from './vector';

// The gradients of convolutions. That of a stride-1 input is a convolution itself, with the weights packed the other way round (see
// train-pack.ts), those of depthwise weights are in train-depthwise.ts; here are the others.

/** A tile of the weight's gradient: output channels by input channels. */
const OUTPUTS: i32 = 4;
const TILE_BYTES: usize = 128;
/** Rows that are summed before the sums go back to memory. */
const RUN: i32 = 64;

/**
 * The gradient of a weight, as partial sums `[chunk][tile of 4 outputs][tap][panel of 8 inputs][4][8]`: an outer product of output gradients and
 * inputs for every pixel. Threads share chunks and tiles.
 *
 * Arguments: 0 x, 1 its row stride, 2 gradient, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 O, 11 kH, 12 kW, 13 14 stride,
 * 15 16 padding top and left, 17 18 dilation, 19 partial sums, 20 chunks.
 */
export function convWeightGradient(p: usize, tid: i32, threads: i32): void {
  const tiles = (arg(p, 10) + OUTPUTS - 1) / OUTPUTS;
  const panels = (arg(p, 7) + 7) >> 3;
  const taps = arg(p, 11) * arg(p, 12);
  const chunks = arg(p, 20);
  const pointwise = taps == 1 && arg(p, 13) == 1 && arg(p, 14) == 1 && arg(p, 8) == arg(p, 5) && arg(p, 9) == arg(p, 6);
  // Pointwise, the pixels are one long row; otherwise chunks are made of whole lines of output pixels.
  const lines = pointwise ? arg(p, 4) * arg(p, 8) * arg(p, 9) : arg(p, 4) * arg(p, 8);
  const end = last(chunks * tiles, 1, tid, threads);
  const bytes = <usize>(taps * panels) * TILE_BYTES;
  for (let unit = first(chunks * tiles, 1, tid, threads); unit < end; ) {
    const chunk = unit / tiles;
    const tile = unit - chunk * tiles;
    const count = min(tiles - tile, end - unit);
    const sums = <usize>arg(p, 19) + <usize>unit * bytes;
    memory.fill(sums, 0, <usize>count * bytes);
    const from = <i32>((<i64>lines * chunk) / chunks);
    const to = <i32>((<i64>lines * (chunk + 1)) / chunks);
    const g = <usize>arg(p, 2) + <usize>(tile * OUTPUTS * 4);
    // All tiles of a few pixels, then the next ones: pixels are read from memory once, and are in the nearest cache for the other tiles.
    const step = pointwise ? RUN : 1;
    for (let line = from; line < to; line += step) {
      if (pointwise) {
        const rows = min(RUN, to - line);
        const x = <usize>arg(p, 0) + <usize>(line * arg(p, 1) * 4);
        for (let i = 0; i < count; i++) {
          run(p, x, 1, g + <usize>((line * arg(p, 3) + i * OUTPUTS) * 4), rows, sums + <usize>i * bytes, panels);
        }
      } else {
        for (let i = 0; i < count; i++) lineGradient(p, line, g + <usize>(i * OUTPUTS * 4), sums + <usize>i * bytes, panels);
      }
    }
    unit += count;
  }
}

/** One line of output pixels: for every tap the run of pixels whose input lies inside the image. */
function lineGradient(p: usize, line: i32, g: usize, sums: usize, panels: i32): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const strideX = arg(p, 14);
  const image = line / outHeight;
  const top = (line - image * outHeight) * arg(p, 13) - arg(p, 15);
  for (let ky = 0; ky < arg(p, 11); ky++) {
    const iy = top + ky * arg(p, 17);
    for (let kx = 0; kx < arg(p, 12); kx++, sums += <usize>panels * TILE_BYTES) {
      if (iy < 0 || iy >= height) continue;
      const shift = kx * arg(p, 18) - arg(p, 16);
      const low = shift >= 0 ? 0 : (strideX - 1 - shift) / strideX;
      const high = min(outWidth, shift >= width ? 0 : (width - 1 - shift) / strideX + 1);
      const x = <usize>arg(p, 0) + <usize>(((image * height + iy) * width + shift) * arg(p, 1) * 4);
      for (let ox = low; ox < high; ox += RUN) {
        const from = x + <usize>(ox * strideX * arg(p, 1) * 4);
        run(p, from, strideX, g + <usize>((line * outWidth + ox) * arg(p, 3) * 4), min(RUN, high - ox), sums, panels);
      }
    }
  }
}

// @ts-expect-error: decorator
@inline
function run(p: usize, x: usize, strideX: i32, g: usize, count: i32, sums: usize, panels: i32): void {
  const stepX = <usize>(arg(p, 1) * strideX) << 2;
  const stepG = <usize>arg(p, 3) << 2;
  let panel = 0;
  if (WIDE_SIMD) {
    for (; panel + 2 <= panels; panel += 2, x += 64, sums += 2 * TILE_BYTES) outer4x16(g, stepG, x, stepX, count, sums);
  }
  for (; panel < panels; panel++, x += 32, sums += TILE_BYTES) {
    outer4x8(g, stepG, x, stepX, count, sums);
  }
}

/** Eight sums, so that they and their inputs fit into the registers. */
function outer4x8(g: usize, stepG: usize, x: usize, stepX: usize, count: i32, sums: usize): void {
  let c00 = v128.load(sums);
  let c01 = v128.load(sums, 16);
  let c10 = v128.load(sums, 32);
  let c11 = v128.load(sums, 48);
  let c20 = v128.load(sums, 64);
  let c21 = v128.load(sums, 80);
  let c30 = v128.load(sums, 96);
  let c31 = v128.load(sums, 112);
  for (; count > 0; count--, g += stepG, x += stepX) {
    const b0 = v128.load(x);
    const b1 = v128.load(x, 16);
    let a = v128.load32_splat(g);
    c00 = madd(a, b0, c00);
    c01 = madd(a, b1, c01);
    a = v128.load32_splat(g, 4);
    c10 = madd(a, b0, c10);
    c11 = madd(a, b1, c11);
    a = v128.load32_splat(g, 8);
    c20 = madd(a, b0, c20);
    c21 = madd(a, b1, c21);
    a = v128.load32_splat(g, 12);
    c30 = madd(a, b0, c30);
    c31 = madd(a, b1, c31);
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

/** Two panels of inputs at once, for vectors of 256 bits (see tiles-wide.ts). */
function outer4x16(g: usize, stepG: usize, x: usize, stepX: usize, count: i32, sums: usize): void {
  let c00 = v128.load(sums);
  let c01 = v128.load(sums, 16);
  let c10 = v128.load(sums, 32);
  let c11 = v128.load(sums, 48);
  let c20 = v128.load(sums, 64);
  let c21 = v128.load(sums, 80);
  let c30 = v128.load(sums, 96);
  let c31 = v128.load(sums, 112);
  let c02 = v128.load(sums, 128);
  let c03 = v128.load(sums, 144);
  let c12 = v128.load(sums, 160);
  let c13 = v128.load(sums, 176);
  let c22 = v128.load(sums, 192);
  let c23 = v128.load(sums, 208);
  let c32 = v128.load(sums, 224);
  let c33 = v128.load(sums, 240);
  for (; count > 0; count--, g += stepG, x += stepX) {
    const b0 = v128.load(x);
    const b1 = v128.load(x, 16);
    const b2 = v128.load(x, 32);
    const b3 = v128.load(x, 48);
    let a = v128.load32_splat(g);
    c00 = madd(a, b0, c00);
    c01 = madd(a, b1, c01);
    c02 = madd(a, b2, c02);
    c03 = madd(a, b3, c03);
    a = v128.load32_splat(g, 4);
    c10 = madd(a, b0, c10);
    c11 = madd(a, b1, c11);
    c12 = madd(a, b2, c12);
    c13 = madd(a, b3, c13);
    a = v128.load32_splat(g, 8);
    c20 = madd(a, b0, c20);
    c21 = madd(a, b1, c21);
    c22 = madd(a, b2, c22);
    c23 = madd(a, b3, c23);
    a = v128.load32_splat(g, 12);
    c30 = madd(a, b0, c30);
    c31 = madd(a, b1, c31);
    c32 = madd(a, b2, c32);
    c33 = madd(a, b3, c33);
  }
  v128.store(sums, c00);
  v128.store(sums, c01, 16);
  v128.store(sums, c10, 32);
  v128.store(sums, c11, 48);
  v128.store(sums, c20, 64);
  v128.store(sums, c21, 80);
  v128.store(sums, c30, 96);
  v128.store(sums, c31, 112);
  v128.store(sums, c02, 128);
  v128.store(sums, c03, 144);
  v128.store(sums, c12, 160);
  v128.store(sums, c13, 176);
  v128.store(sums, c22, 192);
  v128.store(sums, c23, 208);
  v128.store(sums, c32, 224);
  v128.store(sums, c33, 240);
}

/**
 * Adds the chunks of {@link convWeightGradient} to a weight `[O][tap][C]`.
 * Arguments: 0 partial sums, 1 chunks, 2 O, 3 taps, 4 C, 5 y.
 */
export function convWeightGradientEnd(p: usize, tid: i32, threads: i32): void {
  const outputs = arg(p, 2);
  const taps = arg(p, 3);
  const channels = arg(p, 4);
  const panels = (channels + 7) >> 3;
  const tiles = (outputs + OUTPUTS - 1) / OUTPUTS;
  const step = <usize>(tiles * taps * panels) * TILE_BYTES;
  const end = last(outputs, 1, tid, threads);
  for (let o = first(outputs, 1, tid, threads); o < end; o++) {
    for (let tap = 0; tap < taps; tap++) {
      const y = <usize>arg(p, 5) + <usize>((o * taps + tap) * channels * 4);
      const tile = (o / OUTPUTS) * taps + tap;
      let from = <usize>arg(p, 0) + <usize>(tile * panels) * TILE_BYTES + <usize>((o % OUTPUTS) * 32);
      let c = 0;
      for (; c + 8 <= channels; c += 8, from += TILE_BYTES) {
        let q = from;
        let sum0 = v128.load(q);
        let sum1 = v128.load(q, 16);
        for (let chunk = 1; chunk < arg(p, 1); chunk++) {
          q += step;
          sum0 = f32x4.add(sum0, v128.load(q));
          sum1 = f32x4.add(sum1, v128.load(q, 16));
        }
        v128.store(y + (<usize>c << 2), sum0);
        v128.store(y + (<usize>c << 2), sum1, 16);
      }
      for (; c < channels; c += 4, from += 16) {
        let q = from;
        let sum = v128.load(q);
        for (let chunk = 1; chunk < arg(p, 1); chunk++) {
          q += step;
          sum = f32x4.add(sum, v128.load(q));
        }
        storeLanes(y + (<usize>c << 2), sum, channels - c);
      }
    }
  }
}
