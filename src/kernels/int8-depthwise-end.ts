import { arg } from './args';
import { loadHigh, multiplyHigh, storeBytes } from './int8-vector';

// The end of an int8 depthwise convolution: sums of 16 bits become bytes. `head` is a vector's packed multipliers and biases, 8 channels each. The
// arguments are those of int8-depthwise.ts; what is the same for all pixels stands in vectors at the start of the thread's scratch, `k`: zeros, the
// least and the most result, the residual's multiplier, half a step and the factor that shifts.

/** Bytes of these vectors. */
export const CONSTANTS: usize = 96;

export function storeConstants(p: usize, k: usize): void {
  v128.store(k, i8x16.splat(0));
  v128.store(k, i8x16.splat(<i8>arg(p, 20)), 16);
  v128.store(k, i8x16.splat(<i8>arg(p, 21)), 32);
  v128.store(k, i16x8.splat(<i16>arg(p, 24)), 48);
  // Biases contain half a step, for results are rounded down. Without it a product that is rounded to nearest is the same, in one instruction; a
  // shift by what is no constant takes V8 five.
  const half: i32 = (1 << arg(p, 19)) >> 1;
  const factor: i32 = 0x8000 >> arg(p, 19);
  v128.store(k, i16x8.splat(<i16>half), 64);
  v128.store(k, i16x8.splat(<i16>factor), 80);
}

// @ts-expect-error: decorator
@inline
function biasOf(k: usize, head: usize): v128 {
  return i16x8.sub(v128.load(head, 16), v128.load(k, 64));
}

/** `sum * multiplier + bias`, with the shift's digits behind the point. */
// @ts-expect-error: decorator
@inline
function scaled(sum: v128, multiplier: v128, bias: v128): v128 {
  return i16x8.add_sat_s(multiplyHigh(sum, multiplier), bias);
}

// @ts-expect-error: decorator
@inline
function withResidual(v: v128, r: usize, factor: v128): v128 {
  return i16x8.add_sat_s(v, multiplyHigh(loadHigh(r), factor));
}

/** The sums of two pixels, shifted and clamped. */
// @ts-expect-error: decorator
@inline
function clamped(a: v128, b: v128, shift: v128, low: v128, high: v128): v128 {
  return i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(multiplyHigh(a, shift), multiplyHigh(b, shift)), low), high);
}

// @ts-expect-error: decorator
@inline
function bytesOf(k: usize, a: v128, b: v128): v128 {
  return clamped(a, b, v128.load(k, 80), v128.load(k, 16), v128.load(k, 32));
}

/** Four neighbouring pixels. */
// @ts-expect-error: decorator
@inline
function storeFour(y: usize, stride: usize, v: v128, w: v128): void {
  v128.store64_lane(y, v, 0);
  v128.store64_lane(y + stride, v, 1);
  y += stride << 1;
  v128.store64_lane(y, w, 0);
  v128.store64_lane(y + stride, w, 1);
}

/** Four neighbouring pixels, 8 channels. */
// @ts-expect-error: decorator
@inline
export function endFour(p: usize, k: usize, head: usize, y: usize, r: usize, c0: v128, c1: v128, c2: v128, c3: v128): void {
  const multiplier = v128.load(head);
  const bias = biasOf(k, head);
  c0 = scaled(c0, multiplier, bias);
  c1 = scaled(c1, multiplier, bias);
  c2 = scaled(c2, multiplier, bias);
  c3 = scaled(c3, multiplier, bias);
  const stride = <usize>arg(p, 3);
  if (arg(p, 22) != 0) {
    const factor = v128.load(k, 48);
    const strideR = <usize>arg(p, 23);
    c0 = withResidual(c0, r, factor);
    c1 = withResidual(c1, r + strideR, factor);
    c2 = withResidual(c2, r + (strideR << 1), factor);
    c3 = withResidual(c3, r + strideR * 3, factor);
  }
  storeFour(y, stride, bytesOf(k, c0, c1), bytesOf(k, c2, c3));
}

/** One pixel, up to 8 channels. */
// @ts-expect-error: decorator
@inline
export function endOne(p: usize, k: usize, head: usize, y: usize, r: usize, c: v128, count: i32): void {
  c = scaled(c, v128.load(head), biasOf(k, head));
  if (arg(p, 22) != 0) c = withResidual(c, r, v128.load(k, 48));
  storeBytes(y, bytesOf(k, c, c), count);
}

/** `tiles` times four neighbouring pixels, 8 channels; of two pixels the sums of four channels stand side by side. */
function wholeTiles<RESIDUAL extends boolean>(p: usize, k: usize, head: usize, y: usize, r: usize, sums: usize, tiles: i32): void {
  const multiplier = v128.load(head);
  const bias = biasOf(k, head);
  const low = v128.load(k, 16);
  const high = v128.load(k, 32);
  let factor: v128;
  if (RESIDUAL) factor = v128.load(k, 48);
  const shift = v128.load(k, 80);
  const stride = <usize>arg(p, 3);
  const strideR = RESIDUAL ? <usize>arg(p, 23) : 0;
  for (; tiles > 0; tiles--, sums += 64) {
    let s: Registers<v128>;
    let c: Registers<v128>;
    unroll: for (let i = 0; i < 4; i++) s[i] = v128.load(sums, 16 * i);
    unroll: for (let i = 0; i < 4; i++) {
      const two = i >> 1;
      const lane = i & 1;
      c[i] = scaled(v128.shuffle<i64>(s[two], s[2 + two], lane, 2 + lane), multiplier, bias);
      if (RESIDUAL) {
        c[i] = withResidual(c[i], lane == 0 ? r : r + strideR, factor);
        if (lane == 1) r += strideR << 1;
      }
    }
    storeFour(y, stride, clamped(c[0], c[1], shift, low, high), clamped(c[2], c[3], shift, low, high));
    y += stride << 2;
  }
}

/**
 * Up to 8 channels of `rows` rows of pixels, from the sums of tiles as int8-depthwise-sums.ts writes them. What the last tile of a row writes too far is
 * overwritten by the next row, unless it is the `last` one.
 */
export function endTiles(p: usize, k: usize, head: usize, y: usize, r: usize, sums: usize, rows: i32, channels: i32, last: bool): void {
  const width = arg(p, 9);
  const lineY = <usize>width * <usize>arg(p, 3);
  const lineR = <usize>width * <usize>arg(p, 23);
  const tiles = (width + 3) >> 2;
  for (; rows > 0; rows--, y += lineY, r += lineR, sums += <usize>tiles << 6) {
    const whole = channels < 8 ? 0 : last && rows == 1 ? width >> 2 : tiles;
    if (whole > 0) {
      if (arg(p, 22) != 0) wholeTiles<true>(p, k, head, y, r, sums, whole);
      else wholeTiles<false>(p, k, head, y, 0, sums, whole);
    }
    for (let i = whole << 2; i < width; i++) {
      const at = sums + (<usize>(i >> 2) << 6) + (<usize>(i & 2) << 3);
      const a = v128.load(at);
      const b = v128.load(at, 32);
      const c = (i & 1) == 0 ? v128.shuffle<i64>(a, b, 0, 2) : v128.shuffle<i64>(a, b, 1, 3);
      endOne(p, k, head, y + <usize>(i * arg(p, 3)), r + <usize>(i * arg(p, 23)), c, channels);
    }
  }
}
