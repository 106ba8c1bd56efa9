import { arg, floatArg } from './args';
import { loadHigh, multiplyHigh, storeBytes } from './int8-vector';
import { first, last } from './share';

// Sums, gates and means of int8 activations. Products are 16 bits wide, with `shift` digits behind the point until the end.

// @ts-expect-error: decorator
@inline
function clamped(v: v128, shift: i32, low: v128, high: v128): v128 {
  v = i16x8.shr_s(v, shift);
  return i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(v, v), low), high);
}

/**
 * `(a * its multiplier / 2^7 + b * its multiplier / 2^7 + bias) / 2^shift`, rounded as in int8-depthwise.ts.
 * Arguments: 0 a, 1 its row stride, 2 b, 3 its row stride, 4 y, 5 its row stride, 6 rows, 7 channels, 8 and 9 multipliers of a and b, 10 bias,
 * 11 shift, 12 least and 13 most of y.
 */
export function int8Add(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 7);
  const ma = i16x8.splat(<i16>arg(p, 8));
  const mb = i16x8.splat(<i16>arg(p, 9));
  const bias = i16x8.splat(<i16>arg(p, 10));
  const shift = arg(p, 11);
  const low = i8x16.splat(<i8>arg(p, 12));
  const high = i8x16.splat(<i8>arg(p, 13));
  const end = last(arg(p, 6), 1, tid, threads);
  for (let row = first(arg(p, 6), 1, tid, threads); row < end; row++) {
    let a = <usize>arg(p, 0) + <usize>(row * arg(p, 1));
    let b = <usize>arg(p, 2) + <usize>(row * arg(p, 3));
    let y = <usize>arg(p, 4) + <usize>(row * arg(p, 5));
    for (let c = 0; c < channels; c += 8, a += 8, b += 8, y += 8) {
      const v = i16x8.add_sat_s(multiplyHigh(loadHigh(a), ma), bias);
      const w = i16x8.add_sat_s(v, multiplyHigh(loadHigh(b), mb));
      storeBytes(y, clamped(w, shift, low, high), channels - c);
    }
  }
}

/**
 * Every channel times its gate: `((x - zero point) * gate * factor / 2^8 + bias) / 2^shift`. The product of gate and factor is rounded to 16 bits.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 channels, 6 pixels, 7 gates `[N,C]` (f32), 8 their row stride, 9 factor (f32),
 * 10 zero point of x, 11 bias, 12 shift, 13 least and 14 most of y, 15 scratch, 16 its bytes for each thread.
 */
export function int8Gate(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 5);
  const pixels = arg(p, 6);
  const zero = i16x8.splat(<i16>arg(p, 10));
  const bias = i16x8.splat(<i16>arg(p, 11));
  const shift = arg(p, 12);
  const low = i8x16.splat(<i8>arg(p, 13));
  const high = i8x16.splat(<i8>arg(p, 14));
  const multipliers = <usize>arg(p, 15) + <usize>tid * <usize>arg(p, 16);
  const rows = arg(p, 4) * pixels;
  const end = last(rows, 1, tid, threads);
  let known = -1;
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const image = row / pixels;
    if (image != known) gateMultipliers(p, image, multipliers);
    known = image;
    let x = <usize>arg(p, 0) + <usize>(row * arg(p, 1));
    let y = <usize>arg(p, 2) + <usize>(row * arg(p, 3));
    let m = multipliers;
    for (let c = 0; c < channels; c += 8, x += 8, y += 8, m += 16) {
      const v = i16x8.shl(i16x8.sub(v128.load8x8_s(x), zero), 7);
      const w = i16x8.add_sat_s(multiplyHigh(v, v128.load(m)), bias);
      storeBytes(y, clamped(w, shift, low, high), channels - c);
    }
  }
}

/** One image's gates times the factor, as 16 bits. */
function gateMultipliers(p: usize, image: i32, to: usize): void {
  const channels = arg(p, 5);
  const factor = f32x4.splat(floatArg(p, 9));
  const most = f32x4.splat(32767);
  let gate = <usize>arg(p, 7) + (<usize>(image * arg(p, 8)) << 2);
  for (let c = 0; c < channels; c += 8, gate += 32, to += 16) {
    const a = f32x4.nearest(f32x4.pmin(most, f32x4.mul(v128.load(gate), factor)));
    const b = f32x4.nearest(f32x4.pmin(most, f32x4.mul(v128.load(gate + <usize>(channels - c > 4 ? 16 : 0)), factor)));
    v128.store(to, i16x8.narrow_i32x4_s(i32x4.trunc_sat_f32x4_s(a), i32x4.trunc_sat_f32x4_s(b)));
  }
}

/**
 * The mean over all pixels, `round(sum * multiplier + offset)`, shared by channels.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 channels, 6 pixels, 7 multiplier, 8 offset (both f32), 9 least and 10 most of y.
 */
export function int8GlobalAveragePool(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 5);
  const pixels = arg(p, 6);
  const stride = <usize>arg(p, 1);
  const multiplier = f32x4.splat(floatArg(p, 7));
  const offset = f32x4.splat(floatArg(p, 8));
  const low = i8x16.splat(<i8>arg(p, 9));
  const high = i8x16.splat(<i8>arg(p, 10));
  const to = last(channels, 8, tid, threads);
  for (let image = 0; image < arg(p, 4); image++) {
    for (let c = first(channels, 8, tid, threads); c < to; c += 8) {
      let x = <usize>arg(p, 0) + <usize>(image * pixels) * stride + <usize>c;
      let s0 = i32x4.splat(0);
      let s1 = s0;
      for (let left = pixels; left > 0; left -= 256) {
        // 256 bytes are the most whose sum fits into 16 bits.
        let sum = i16x8.splat(0);
        for (let i = min(256, left); i > 0; i--, x += stride) sum = i16x8.add(sum, v128.load8x8_s(x));
        s0 = i32x4.add(s0, i32x4.extend_low_i16x8_s(sum));
        s1 = i32x4.add(s1, i32x4.extend_high_i16x8_s(sum));
      }
      const a = f32x4.nearest(f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(s0), multiplier), offset));
      const b = f32x4.nearest(f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(s1), multiplier), offset));
      const v = i16x8.narrow_i32x4_s(i32x4.trunc_sat_f32x4_s(a), i32x4.trunc_sat_f32x4_s(b));
      const y = <usize>arg(p, 2) + <usize>(image * arg(p, 3) + c);
      storeBytes(y, i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(v, v), low), high), to - c);
    }
  }
}
