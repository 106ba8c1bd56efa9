import { arg } from './args';
import { loadHigh, multiplyHigh, storeBytes } from './int8-vector';

// The end of an int8 depthwise convolution: sums of 16 bits become bytes. `head` is a vector's packed multipliers and biases, 8 channels each. The
// arguments are those of int8-depthwise.ts; what is the same for all pixels stands in vectors at the start of the thread's scratch, `k`: zeros, the
// least and the most result, the residual's multiplier.

/** Bytes of these vectors. */
export const CONSTANTS: usize = 64;

/** The shift of most layers: by a constant it is one instruction. */
const USUAL_SHIFT: i32 = 6;

export function storeConstants(p: usize, k: usize): void {
  v128.store(k, i8x16.splat(0));
  v128.store(k, i8x16.splat(<i8>arg(p, 20)), 16);
  v128.store(k, i8x16.splat(<i8>arg(p, 21)), 32);
  v128.store(k, i16x8.splat(<i16>arg(p, 24)), 48);
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

// @ts-expect-error: decorator
@inline
function shifted(v: v128, shift: i32): v128 {
  return shift == USUAL_SHIFT ? i16x8.shr_s(v, USUAL_SHIFT) : i16x8.shr_s(v, shift);
}

// @ts-expect-error: decorator
@inline
function bytesOf(k: usize, shift: i32, a: v128, b: v128): v128 {
  const v = i8x16.narrow_i16x8_s(shifted(a, shift), shifted(b, shift));
  return i8x16.min_s(i8x16.max_s(v, v128.load(k, 16)), v128.load(k, 32));
}

/** Four neighbouring pixels, 8 channels. */
// @ts-expect-error: decorator
@inline
export function endFour(p: usize, k: usize, head: usize, y: usize, r: usize, c0: v128, c1: v128, c2: v128, c3: v128): void {
  const multiplier = v128.load(head);
  const bias = v128.load(head, 16);
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
  const shift = arg(p, 19);
  let v = bytesOf(k, shift, c0, c1);
  v128.store64_lane(y, v, 0);
  v128.store64_lane(y + stride, v, 1);
  v = bytesOf(k, shift, c2, c3);
  y += stride << 1;
  v128.store64_lane(y, v, 0);
  v128.store64_lane(y + stride, v, 1);
}

/** One pixel, up to 8 channels. */
// @ts-expect-error: decorator
@inline
export function endOne(p: usize, k: usize, head: usize, y: usize, r: usize, c: v128, count: i32): void {
  c = scaled(c, v128.load(head), v128.load(head, 16));
  if (arg(p, 22) != 0) c = withResidual(c, r, v128.load(k, 48));
  storeBytes(y, bytesOf(k, arg(p, 19), c, c), count);
}

/** Four residuals of 4 channels each. */
function loadQuads(r: usize, stride: usize, count: i32): v128 {
  let v = v128.load32_zero(r);
  if (count > 1) v = v128.load32_lane(r + stride, v, 1);
  if (count > 2) v = v128.load32_lane(r + (stride << 1), v, 2);
  if (count > 3) v = v128.load32_lane(r + stride * 3, v, 3);
  return v;
}

/** Up to four neighbouring pixels, 4 channels, from sums of 32 bits that fit into 16. */
// @ts-expect-error: decorator
@inline
export function endQuad(
  p: usize, k: usize, head: usize, y: usize, r: usize, c0: v128, c1: v128, c2: v128, c3: v128, count: i32,
): void {
  const multiplier = v128.load64_splat(head);
  const bias = v128.load64_splat(head, 16);
  let low = scaled(i16x8.narrow_i32x4_s(c0, c1), multiplier, bias);
  let high = scaled(i16x8.narrow_i32x4_s(c2, c3), multiplier, bias);
  if (arg(p, 22) != 0) {
    const rest = loadQuads(r, <usize>arg(p, 23), count);
    const factor = v128.load(k, 48);
    low = i16x8.add_sat_s(low, multiplyHigh(i16x8.shl(i16x8.extend_low_i8x16_s(rest), 8), factor));
    high = i16x8.add_sat_s(high, multiplyHigh(i16x8.shl(i16x8.extend_high_i8x16_s(rest), 8), factor));
  }
  const v = bytesOf(k, arg(p, 19), low, high);
  const stride = <usize>arg(p, 3);
  v128.store32_lane(y, v, 0);
  if (count > 3) {
    y += stride;
    v128.store32_lane(y, v, 1);
    y += stride;
    v128.store32_lane(y, v, 2);
    v128.store32_lane(y + stride, v, 3);
    return;
  }
  if (count > 1) v128.store32_lane(y + stride, v, 1);
  if (count > 2) v128.store32_lane(y + (stride << 1), v, 2);
}
