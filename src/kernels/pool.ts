import { arg } from './args';
import { first, last } from './share';
import { storeLanes } from './vector';

/**
 * Windows of maxima or means.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 C, 6 H, 7 W, 8 OH, 9 OW, 10 11 kernel, 12 13 stride,
 * 14 15 padding top and left, 16 whether maximum, 17 whether padding counts in a mean.
 */
export function pool(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 5);
  const height = arg(p, 6);
  const width = arg(p, 7);
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const maximum = arg(p, 16) != 0;
  const rows = arg(p, 4) * outHeight * outWidth;
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const ox = row % outWidth;
    const image = row / (outWidth * outHeight);
    const oy = row / outWidth - image * outHeight;
    const top = oy * arg(p, 12) - arg(p, 14);
    const left = ox * arg(p, 13) - arg(p, 15);
    const y0 = max(top, 0);
    const y1 = min(top + arg(p, 10), height);
    const x0 = max(left, 0);
    const x1 = min(left + arg(p, 11), width);
    const count = arg(p, 17) != 0 ? arg(p, 10) * arg(p, 11) : (y1 - y0) * (x1 - x0);
    const factor = f32x4.splat(1 / <f32>count);
    const y = <usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4);
    for (let c = 0; c < channels; c += 4) {
      let v = f32x4.splat(maximum ? -Infinity : 0);
      for (let iy = y0; iy < y1; iy++) {
        for (let ix = x0; ix < x1; ix++) {
          const x = v128.load(<usize>arg(p, 0) + <usize>((((image * height + iy) * width + ix) * arg(p, 1) + c) * 4));
          v = maximum ? f32x4.max(v, x) : f32x4.add(v, x);
        }
      }
      storeLanes(y + (<usize>c << 2), maximum ? v : f32x4.mul(v, factor), channels - c);
    }
  }
}

/**
 * The mean over all pixels, shared by channels so that each sum has one order.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 C, 6 pixels.
 */
export function globalAveragePool(p: usize, tid: i32, threads: i32): void {
  const images = arg(p, 4);
  const channels = arg(p, 5);
  const pixels = arg(p, 6);
  const stride = <usize>arg(p, 1) << 2;
  const factor = f32x4.splat(1 / <f32>pixels);
  const to = last(channels, 16, tid, threads);
  const from = first(channels, 16, tid, threads);
  for (let image = 0; image < images; image++) {
    for (let c = from; c < to; c += 16) {
      let x = <usize>arg(p, 0) + <usize>(image * pixels) * stride + (<usize>c << 2);
      const y = <usize>arg(p, 2) + <usize>((image * arg(p, 3) + c) * 4);
      let sum: Registers<v128>;
      unroll: for (let j = 0; j < 4; j++) sum[j] = f32x4.splat(0);
      for (let i = 0; i < pixels; i++, x += stride) {
        unroll: for (let j = 0; j < 4; j++) sum[j] = f32x4.add(sum[j], v128.load(x, 16 * j));
      }
      unroll: for (let j = 0; j < 4; j++) {
        if (j == 0 || to - c > 4 * j) storeLanes(y + 16 * j, f32x4.mul(sum[j], factor), to - c - 4 * j);
      }
    }
  }
}
