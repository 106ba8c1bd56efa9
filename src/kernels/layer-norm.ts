import { arg } from './args';
import { first, last } from './share';
import { madd, storeLanes } from './vector';

/**
 * `(x - mean) / sqrt(variance + epsilon) * scale + shift` of every row.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels, 6 scale, 7 shift, both whole vectors, 8 epsilon (float).
 */
export function layerNorm(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const channels = arg(p, 5);
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const x = <usize>arg(p, 0) + <usize>row * (<usize>arg(p, 1) << 2);
    const y = <usize>arg(p, 2) + <usize>row * (<usize>arg(p, 3) << 2);
    const mean = f32x4.splat(total(x, channels, f32x4.splat(0), false) / <f32>channels);
    const variance = total(x, channels, mean, true) / <f32>channels;
    const factor = f32x4.splat(1 / sqrt<f32>(variance + load<f32>(p, 32)));
    for (let c = 0; c < channels; c += 4) {
      const at = <usize>c << 2;
      const v = f32x4.mul(f32x4.sub(v128.load(x + at), mean), factor);
      storeLanes(y + at, madd(v, v128.load(<usize>arg(p, 6) + at), v128.load(<usize>arg(p, 7) + at)), channels - c);
    }
  }
}

/** The sum of a row, or of the squares of what is over `mean`. */
function total(x: usize, channels: i32, mean: v128, squared: bool): f32 {
  let even = f32x4.splat(0);
  let odd = even;
  let c = 0;
  for (; c + 8 <= channels; c += 8, x += 32) {
    even = plus(even, f32x4.sub(v128.load(x), mean), squared);
    odd = plus(odd, f32x4.sub(v128.load(x, 16), mean), squared);
  }
  if (c + 4 <= channels) {
    even = plus(even, f32x4.sub(v128.load(x), mean), squared);
    c += 4;
    x += 16;
  }
  const sums = f32x4.add(even, odd);
  let sum = f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1) + (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
  for (; c < channels; c++, x += 4) {
    const v = load<f32>(x) - f32x4.extract_lane(mean, 0);
    sum += squared ? v * v : v;
  }
  return sum;
}

// @ts-expect-error: decorator
@inline
function plus(sum: v128, v: v128, squared: bool): v128 {
  return f32x4.add(sum, squared ? f32x4.mul(v, v) : v);
}
