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
    for (; panel + 2 <= panels; panel += 2, x += 64, sums += 2 * TILE_BYTES) outer<2>(g, stepG, x, stepX, count, sums);
  }
  for (; panel < panels; panel++, x += 32, sums += TILE_BYTES) outer<1>(g, stepG, x, stepX, count, sums);
}

/** Eight sums for a panel of inputs, so that they and their inputs fit into the registers; two panels for vectors of 256 bits (see tiles.ts). */
function outer<PANELS extends number>(g: usize, stepG: usize, x: usize, stepX: usize, count: i32, sums: usize): void {
  let c: Registers<v128>;
  unroll: for (let panel = 0; panel < PANELS; panel++) {
    unroll: for (let i = 0; i < 4; i++) {
      unroll: for (let j = 0; j < 2; j++) c[i][2 * panel + j] = v128.load(sums, 128 * panel + 32 * i + 16 * j);
    }
  }
  for (; count > 0; count--, g += stepG, x += stepX) {
    let b: Registers<v128>;
    unroll: for (let j = 0; j < 2 * PANELS; j++) b[j] = v128.load(x, 16 * j);
    unroll: for (let i = 0; i < 4; i++) {
      const a = v128.load32_splat(g, 4 * i);
      unroll: for (let j = 0; j < 2 * PANELS; j++) c[i][j] = madd(a, b[j], c[i][j]);
    }
  }
  unroll: for (let panel = 0; panel < PANELS; panel++) {
    unroll: for (let i = 0; i < 4; i++) {
      unroll: for (let j = 0; j < 2; j++) v128.store(sums, c[i][2 * panel + j], 128 * panel + 32 * i + 16 * j);
    }
  }
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
      for (; c + 8 <= channels; c += 8, from += TILE_BYTES) addChunks<2>(p, from, step, y + (<usize>c << 2), 8);
      for (; c < channels; c += 4, from += 16) addChunks<1>(p, from, step, y + (<usize>c << 2), channels - c);
    }
  }
}

/** Adds `VECTORS` of sums at `from` in all chunks, `step` bytes apart. */
// @ts-expect-error: decorator
@inline
function addChunks<VECTORS extends number>(p: usize, from: usize, step: usize, y: usize, lanes: i32): void {
  let sum: Registers<v128>;
  let q = from;
  unroll: for (let n = 0; n < VECTORS; n++) sum[n] = v128.load(q, 16 * n);
  for (let chunk = 1; chunk < arg(p, 1); chunk++) {
    q += step;
    unroll: for (let n = 0; n < VECTORS; n++) sum[n] = f32x4.add(sum[n], v128.load(q, 16 * n));
  }
  if (VECTORS == 1) storeLanes(y, sum[0], lanes);
  else unroll: for (let n = 0; n < VECTORS; n++) v128.store(y, sum[n], 16 * n);
}
