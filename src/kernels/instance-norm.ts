import { arg } from './args';
import { first, last } from './share';
import { activate, madd, storeLanes } from './vector';

// Instance normalisation in two calls. The first sums the pixels of every channel in chunks of a fixed size, the second adds the chunks
// up in their order and normalises. What is summed together does not depend on who sums it, so neither does the result on the number
// of threads. A chunk's sums are `[channel / 4][x x x x, squares of the same]` in double precision.

/** Pixels of one chunk; keep `CHUNK` of ops/instance-norm.ts the same. */
const CHUNK: i32 = 1024;
/** Pixels that are summed in single precision, around their own mean: their 16 channels stay in the first cache for both passes. */
const BLOCK: i32 = 64;

/** Sums and sums of squares. Arguments: 0 x, 1 its row stride, 2 sums, 3 N, 4 pixels, 5 C. */
export function instanceStatistics(p: usize, tid: i32, threads: i32): void {
  const pixels = arg(p, 4);
  const vectors = (arg(p, 5) + 3) >> 2;
  const groups = (vectors + 3) >> 2;
  const chunks = (pixels + CHUNK - 1) / CHUNK;
  const stride = <usize>arg(p, 1) << 2;
  const units = arg(p, 3) * chunks * groups;
  const end = last(units, 1, tid, threads);
  for (let unit = first(units, 1, tid, threads); unit < end; unit++) {
    const chunk = unit / groups;
    const vector = (unit - chunk * groups) << 2;
    const image = chunk / chunks;
    const from = (chunk - image * chunks) * CHUNK;
    const to = min(from + CHUNK, pixels);
    const count = min(4, vectors - vector);
    const sums = <usize>arg(p, 2) + (<usize>(chunk * vectors + vector) << 6);
    memory.fill(sums, 0, <usize>count << 6);
    let x = <usize>arg(p, 0) + <usize>(image * pixels + from) * stride + (<usize>vector << 4);
    for (let i = from; i < to; i += BLOCK, x += <usize>BLOCK * stride) {
      for (let v = 0; v < count; v++) sumBlock(x + (<usize>v << 4), stride, min(BLOCK, to - i), sums + (<usize>v << 6));
    }
  }
}

/** Adds one vector of channels over up to `BLOCK` pixels to the sums. */
function sumBlock(x: usize, stride: usize, count: i32, sums: usize): void {
  let even = f32x4.splat(0);
  let odd = even;
  let q = x;
  for (let i = 1; i < count; i += 2, q += stride << 1) {
    even = f32x4.add(even, v128.load(q));
    odd = f32x4.add(odd, v128.load(q + stride));
  }
  if (count & 1) even = f32x4.add(even, v128.load(q));
  const sum = f32x4.add(even, odd);
  const mean = f32x4.mul(sum, f32x4.splat(1 / <f32>count));
  even = f32x4.splat(0);
  odd = even;
  q = x;
  for (let i = 1; i < count; i += 2, q += stride << 1) {
    const a = f32x4.sub(v128.load(q), mean);
    const b = f32x4.sub(v128.load(q + stride), mean);
    even = madd(a, a, even);
    odd = madd(b, b, odd);
  }
  if (count & 1) {
    const a = f32x4.sub(v128.load(q), mean);
    even = madd(a, a, even);
  }
  const squares = f32x4.add(even, odd);
  addSums(sums, f64x2.promote_low_f32x4(sum), f64x2.promote_low_f32x4(mean), f64x2.promote_low_f32x4(squares), count);
  addSums(sums + 16, high(sum), high(mean), high(squares), count);
}

// @ts-expect-error: decorator
@inline
function high(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<u64>(v, v, 1, 0));
}

/** With m the block's mean as it was rounded: sum of x^2 = sum of (x - m)^2 + 2 m sum of x - n m^2. */
// @ts-expect-error: decorator
@inline
function addSums(at: usize, sum: v128, mean: v128, squares: v128, count: i32): void {
  const around = f64x2.sub(f64x2.add(sum, sum), f64x2.mul(mean, f64x2.splat(<f64>count)));
  v128.store(at, f64x2.add(v128.load(at), sum));
  v128.store(at, f64x2.add(v128.load(at, 32), f64x2.add(squares, f64x2.mul(mean, around))), 32);
}

/**
 * `activation((x - mean) / sqrt(variance + epsilon) * scale + shift)`.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 sums, 5 N, 6 pixels, 7 C, 8 scale or 0, 9 its stride by image,
 * 10 shift or 0, 11 its stride by image, 12 epsilon (float), 13 activation, 14 scratch, 15 its bytes for each thread.
 */
export function instanceNorm(p: usize, tid: i32, threads: i32): void {
  const pixels = arg(p, 6);
  const channels = arg(p, 7);
  const activation = arg(p, 13);
  const factors = <usize>arg(p, 14) + <usize>tid * <usize>arg(p, 15);
  const offsets = factors + (<usize>arg(p, 15) >> 1);
  const rows = arg(p, 5) * pixels;
  const end = last(rows, 1, tid, threads);
  let image = -1;
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    if (image < 0 || row == (image + 1) * pixels) {
      image = row / pixels;
      coefficients(p, image, factors, offsets);
    }
    const x = <usize>arg(p, 0) + <usize>row * (<usize>arg(p, 1) << 2);
    const y = <usize>arg(p, 2) + <usize>row * (<usize>arg(p, 3) << 2);
    for (let c = 0; c < channels; c += 4) {
      const at = <usize>c << 2;
      const v = madd(v128.load(x + at), v128.load(factors + at), v128.load(offsets + at));
      storeLanes(y + at, activate(v, activation), channels - c);
    }
  }
}

/** What an image's channels are multiplied with and what is added. */
function coefficients(p: usize, image: i32, factors: usize, offsets: usize): void {
  const pixels = arg(p, 6);
  const channels = arg(p, 7);
  const vectors = (channels + 3) >> 2;
  const chunks = (pixels + CHUNK - 1) / CHUNK;
  const scale = <usize>arg(p, 8);
  const shift = <usize>arg(p, 10);
  const epsilon = <f64>load<f32>(p + 48);
  for (let c = 0; c < channels; c++) {
    let at = <usize>arg(p, 4) + (<usize>(image * chunks * vectors + (c >> 2)) << 6) + (<usize>(c & 3) << 3);
    let sum: f64 = 0;
    let squares: f64 = 0;
    for (let k = 0; k < chunks; k++, at += <usize>vectors << 6) {
      sum += load<f64>(at);
      squares += load<f64>(at, 32);
    }
    const mean = sum / <f64>pixels;
    const variance = max(squares / <f64>pixels - mean * mean, 0);
    let factor = 1 / sqrt(variance + epsilon);
    if (scale != 0) factor *= <f64>load<f32>(scale + <usize>((image * arg(p, 9) + c) * 4));
    let offset = -mean * factor;
    if (shift != 0) offset += <f64>load<f32>(shift + <usize>((image * arg(p, 11) + c) * 4));
    store<f32>(factors + (<usize>c << 2), <f32>factor);
    store<f32>(offsets + (<usize>c << 2), <f32>offset);
  }
}
