import { arg, floatArg } from './args';
import { storeBytes } from './int8-vector';
import { first, last } from './share';
import { storeLanes } from './vector';

// From floats to bytes and back. A float `x` is the byte `round(x / scale + zero point)`, clamped to a range.

/** 1.5 * 2^23: added to a small float, it leaves the nearest integer in the lowest bits. */
const MAGIC: f32 = 12582912;

/** The magic number, as a vector that is computed: V8 makes a constant anew, in several instructions, wherever it is used. */
// @ts-expect-error: decorator
@inline
function magicOf(zero: f32): v128 {
  return f32x4.splat(MAGIC + zero - zero);
}

/** Clamped first, so that the sum with the magic number is exact for any input; a NaN becomes the least. */
// @ts-expect-error: decorator
@inline
function integers(v: v128, inverse: v128, zero: v128, low: v128, high: v128, magic: v128): v128 {
  v = f32x4.pmin(high, f32x4.pmax(low, f32x4.add(f32x4.mul(v, inverse), zero)));
  return i32x4.sub(f32x4.add(v, magic), magic);
}

/**
 * `[N,C,pixels]` floats to rows of bytes.
 * Arguments: 0 x, 1 y, 2 its row stride, 3 N, 4 C, 5 pixels, 6 1 / scale, 7 zero point, 8 least, 9 most (all four f32).
 */
export function int8FromPlanes(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 4);
  const pixels = arg(p, 5);
  const rows = arg(p, 3) * pixels;
  const stride = <usize>arg(p, 2);
  const plane = <usize>pixels << 2;
  const inverse = f32x4.splat(floatArg(p, 6));
  const zero = f32x4.splat(floatArg(p, 7));
  const low = f32x4.splat(floatArg(p, 8));
  const high = f32x4.splat(floatArg(p, 9));
  const magic = magicOf(floatArg(p, 7));
  const end = last(rows, 4, tid, threads);
  let row = first(rows, 4, tid, threads);
  while (row < end) {
    const image = row / pixels;
    const pixel = row - image * pixels;
    let x = <usize>arg(p, 0) + <usize>(image * channels * pixels + pixel) * 4;
    let y = <usize>arg(p, 1) + <usize>row * stride;
    const stop = min(end, (image + 1) * pixels);
    if (channels == 3 && stride == 4) {
      const mask = i32x4.splat(255);
      for (; row + 4 <= stop; row += 4, x += 16, y += 16) {
        const r = v128.and(integers(v128.load(x), inverse, zero, low, high, magic), mask);
        const g = v128.and(integers(v128.load(x + plane), inverse, zero, low, high, magic), mask);
        const b = v128.and(integers(v128.load(x + (plane << 1)), inverse, zero, low, high, magic), mask);
        v128.store(y, v128.or(v128.or(r, i32x4.shl(g, 8)), i32x4.shl(b, 16)));
      }
    }
    for (; row < stop; row++, x += 4, y += stride) {
      let from = x;
      for (let c = 0; c < channels; c++, from += plane) {
        store<i8>(y + <usize>c, i32x4.extract_lane(integers(v128.load32_splat(from), inverse, zero, low, high, magic), 0));
      }
    }
  }
}

/**
 * Rows of floats to rows of bytes.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels, 6 1 / scale, 7 zero point, 8 least, 9 most (all four f32).
 */
export function int8FromFloats(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const channels = arg(p, 5);
  const inverse = f32x4.splat(floatArg(p, 6));
  const zero = f32x4.splat(floatArg(p, 7));
  const low = f32x4.splat(floatArg(p, 8));
  const high = f32x4.splat(floatArg(p, 9));
  const magic = magicOf(floatArg(p, 7));
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    let x = <usize>arg(p, 0) + (<usize>(row * arg(p, 1)) << 2);
    let y = <usize>arg(p, 2) + <usize>(row * arg(p, 3));
    for (let c = 0; c < channels; c += 8, x += 32, y += 8) {
      const a = integers(v128.load(x), inverse, zero, low, high, magic);
      const b = integers(v128.load(x + <usize>(channels - c > 4 ? 16 : 0)), inverse, zero, low, high, magic);
      const v = i16x8.narrow_i32x4_s(a, b);
      storeBytes(y, i8x16.narrow_i16x8_s(v, v), channels - c);
    }
  }
}

/** Rows of bytes to rows of floats. Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels, 6 scale, 7 zero point (both f32). */
export function int8ToFloats(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const channels = arg(p, 5);
  const scale = f32x4.splat(floatArg(p, 6));
  const zero = f32x4.splat(floatArg(p, 7));
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    let x = <usize>arg(p, 0) + <usize>(row * arg(p, 1));
    let y = <usize>arg(p, 2) + (<usize>(row * arg(p, 3)) << 2);
    for (let c = 0; c < channels; c += 8, x += 8, y += 32) {
      const words = v128.load8x8_s(x);
      const a = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words));
      const b = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words));
      storeLanes(y, f32x4.mul(f32x4.sub(a, zero), scale), channels - c);
      if (channels - c > 4) storeLanes(y + 16, f32x4.mul(f32x4.sub(b, zero), scale), channels - c - 4);
    }
  }
}

/** Copies rows of bytes. Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 bytes. */
export function int8Copy(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    memory.copy(<usize>arg(p, 2) + <usize>(row * arg(p, 3)), <usize>arg(p, 0) + <usize>(row * arg(p, 1)), <usize>arg(p, 5));
  }
}

/** A function of single bytes. Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels, 6 its 256 results, that of -128 first. */
export function int8Table(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const channels = <usize>arg(p, 5);
  const table = <usize>arg(p, 6) + 128;
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    let x = <usize>arg(p, 0) + <usize>(row * arg(p, 1));
    let y = <usize>arg(p, 2) + <usize>(row * arg(p, 3));
    for (const stop = x + channels; x < stop; x++, y++) store<i8>(y, load<i8>(table + <isize>load<i8>(x)));
  }
}
