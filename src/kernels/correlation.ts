import { arg } from './args';
import { first, last } from './share';
import { exp, madd } from './vector';

// Colours by correlation: every chosen pixel of one picture gets the mean of the values at the chosen pixels of another, weighted with a
// softmax over how alike their features are. The chosen pixels of the other picture are packed once (panels of eight, as a convolution's
// weights); then four pixels at a time are multiplied with all panels, so that of the matrix of correlations only four rows exist for each
// thread at any time.

/** Keeps a pixel without features from being divided by zero; the original's. */
const EPSILON: f32 = 1e-8;
/** Floats from one packed pixel's values to the next one's. */
const VALUES: usize = 4;
const ROWS: i32 = 4;

// @ts-expect-error: decorator
@inline
function isChosen(mask: usize, pixel: i32): bool {
  return load<f32>(mask + (<usize>pixel << 2)) != 0;
}

function countChosen(mask: usize, pixels: i32): i32 {
  let count = 0;
  for (let i = 0; i < pixels; i++) count += <i32>isChosen(mask, i);
  return count;
}

/** The chosen pixel after `pixel`; there must be one. */
// @ts-expect-error: decorator
@inline
function nextChosen(mask: usize, pixel: i32): i32 {
  do pixel++;
  while (!isChosen(mask, pixel));
  return pixel;
}

/**
 * Writes `(x - mean) / (|x| + epsilon)`, `step` bytes from element to element. The squares are summed one after another in single precision, as
 * the products are: under the temperature of the original the last digits count, and these are PyTorch's.
 */
function normalize(x: usize, channels: i32, y: usize, step: usize): void {
  let sum: f64 = 0;
  let squares: f32 = 0;
  for (let c = 0; c < channels; c++) {
    const v = load<f32>(x + (<usize>c << 2));
    sum += <f64>v;
    squares += v * v;
  }
  const mean = <f32>(sum / <f64>channels);
  const norm = sqrt(squares) + EPSILON;
  for (let c = 0; c < channels; c++, y += step) store<f32>(y, (load<f32>(x + (<usize>c << 2)) - mean) / norm);
}

/**
 * Packs the normalised features of the chosen pixels as `[pixel / 8][channel][8]` and their values as `[pixel][4]`.
 * Arguments: 0 features, 1 their row stride, 2 mask, 3 pixels, 4 C, 5 values, 6 their row stride, 7 V (at most 4), 8 packed features,
 * 9 packed values.
 */
export function correlationPack(p: usize, tid: i32, threads: i32): void {
  const mask = <usize>arg(p, 2);
  const channels = arg(p, 4);
  const count = arg(p, 7);
  const chosen = countChosen(mask, arg(p, 3));
  const end = last(chosen, 8, tid, threads);
  const begin = first(chosen, 8, tid, threads);
  for (let i = 0, pixel = -1; i < end; i++) {
    pixel = nextChosen(mask, pixel);
    if (i < begin) continue;
    const panel = <usize>arg(p, 8) + ((<usize>(i >> 3) * <usize>channels) << 5);
    normalize(<usize>arg(p, 0) + <usize>(pixel * arg(p, 1) * 4), channels, panel + (<usize>(i & 7) << 2), 32);
    const from = <usize>arg(p, 5) + <usize>(pixel * arg(p, 6) * 4);
    const to = <usize>arg(p, 9) + ((<usize>i * VALUES) << 2);
    v128.store(to, f32x4.splat(0));
    for (let k: usize = 0; k < <usize>count; k++) store<f32>(to + (k << 2), load<f32>(from + (k << 2)));
  }
}

/**
 * The weighted means of the packed values for the chosen pixels; zeros for the others.
 * Arguments: 0 features, 1 their row stride, 2 mask, 3 pixels, 4 C, 5 packed features, 6 packed values, 7 the mask they were chosen with,
 * 8 its pixels, 9 y, 10 its row stride, 11 V, 12 1 / temperature (float), 13 scratch, 14 its floats for each thread.
 */
export function correlation(p: usize, tid: i32, threads: i32): void {
  const mask = <usize>arg(p, 2);
  const pixels = arg(p, 3);
  const channels = arg(p, 4);
  const columns = countChosen(<usize>arg(p, 7), arg(p, 8));
  const count = arg(p, 11);
  const y = <usize>arg(p, 9);
  const strideY = <usize>arg(p, 10) << 2;
  zeroOthers(mask, y, strideY, count, first(pixels, 1, tid, threads), last(pixels, 1, tid, threads));

  // Scratch: the normalised features of the rows, behind them their correlations.
  const rows = <usize>arg(p, 13) + <usize>tid * (<usize>arg(p, 14) << 2);
  const rowBytes = <usize>channels << 2;
  const scores = rows + <usize>ROWS * rowBytes;
  const scoreBytes = <usize>((columns + 7) & ~7) << 2;
  const chosen = countChosen(mask, pixels);
  const end = last(chosen, ROWS, tid, threads);
  let pixel = -1;
  let i = 0;
  for (const begin = first(chosen, ROWS, tid, threads); i < begin; i++) pixel = nextChosen(mask, pixel);
  while (i < end) {
    const height = min(ROWS, end - i);
    const before = pixel;
    for (let k = 0; k < height; k++) {
      pixel = nextChosen(mask, pixel);
      normalize(<usize>arg(p, 0) + <usize>(pixel * arg(p, 1) * 4), channels, rows + <usize>k * rowBytes, 4);
    }
    let panel = <usize>arg(p, 5);
    for (let j = 0; j < columns; j += 8, panel += rowBytes << 3) {
      products(rows, rowBytes, panel, scores + (<usize>j << 2), scoreBytes);
    }
    let at = before;
    for (let k = 0; k < height; k++) {
      at = nextChosen(mask, at);
      mean(scores + <usize>k * scoreBytes, columns, load<f32>(p + 48), <usize>arg(p, 6), y + <usize>at * strideY, count);
    }
    i += height;
  }
}

function zeroOthers(mask: usize, y: usize, strideY: usize, count: i32, from: i32, to: i32): void {
  for (let pixel = from; pixel < to; pixel++) {
    if (!isChosen(mask, pixel)) memory.fill(y + <usize>pixel * strideY, 0, <usize>count << 2);
  }
}

/** Four rows times a panel of eight columns. */
function products(rows: usize, rowBytes: usize, b: usize, y: usize, strideY: usize): void {
  let at: Registers<usize>;
  let c: Registers<v128>;
  unroll: for (let i = 0; i < 4; i++) {
    unroll: for (let j = 0; j < 2; j++) c[i][j] = f32x4.splat(0);
  }
  at[0] = rows;
  unroll: for (let i = 1; i < 4; i++) at[i] = at[i - 1] + rowBytes;
  for (const stop = at[1]; at[0] < stop; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    unroll: for (let i = 0; i < 4; i++) {
      const a = v128.load32_splat(at[i]);
      c[i][0] = madd(a, b0, c[i][0]);
      c[i][1] = madd(a, b1, c[i][1]);
    }
    unroll: for (let i = 0; i < 4; i++) at[i] += 4;
  }
  unroll: for (let i = 0; i < 4; i++) {
    v128.store(y, c[i][0]);
    v128.store(y, c[i][1], 16);
    if (i < 3) y += strideY;
  }
}

/** The values' mean, weighted with the softmax of a row of scores, which it overwrites. Without columns zeros. */
function mean(scores: usize, columns: i32, factor: f32, values: usize, y: usize, count: i32): void {
  let most: f32 = -Infinity;
  for (let j = 0; j < columns; j++) most = max(most, load<f32>(scores + (<usize>j << 2)));
  // Behind the last column stand products with whatever was in memory: they are computed with, in lanes that are not read.
  for (let j = 0; j < columns; j += 4) {
    const at = scores + (<usize>j << 2);
    v128.store(at, exp(f32x4.mul(f32x4.sub(v128.load(at), f32x4.splat(most)), f32x4.splat(factor))));
  }
  let sum: f32 = 0;
  let total = f32x4.splat(0);
  for (let j = 0; j < columns; j++) {
    const at = scores + (<usize>j << 2);
    sum += load<f32>(at);
    total = madd(v128.load32_splat(at), v128.load(values + ((<usize>j * VALUES) << 2)), total);
  }
  const result = f32x4.mul(total, f32x4.splat(sum == 0 ? 0 : 1 / sum));
  v128.store_lane<f32>(y, result, 0);
  unroll: for (let k = 1; k < 4; k++) if (count > k) v128.store_lane<f32>(y, result, k, 4 * k);
}
