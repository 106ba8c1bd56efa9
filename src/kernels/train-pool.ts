import { arg } from './args';
import { first, last } from './share';
import { storeLanes } from './vector';

/**
 * The gradient of a pooling's input: to the first maximum of every window, or evenly. Threads share the images.
 * Arguments: 0 x, 1 its row stride, 2 gradient, 3 its row stride, 4 y, 5 its row stride, 6 N, 7 C, 8 H, 9 W, 10 OH, 11 OW, 12 13 kernel,
 * 14 15 stride, 16 17 padding top and left, 18 whether maximum, 19 whether padding counts in a mean.
 */
export function poolGradient(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 7);
  const pixels = arg(p, 8) * arg(p, 9);
  const outputs = arg(p, 10) * arg(p, 11);
  const end = last(arg(p, 6), 1, tid, threads);
  for (let image = first(arg(p, 6), 1, tid, threads); image < end; image++) {
    const y = <usize>arg(p, 4) + <usize>(image * pixels * arg(p, 5) * 4);
    for (let i = 0; i < pixels; i++) memory.fill(y + <usize>(i * arg(p, 5) * 4), 0, <usize>channels << 2);
    for (let i = 0; i < outputs; i++) window(p, image, i);
  }
}

function window(p: usize, image: i32, output: i32): void {
  const channels = arg(p, 7);
  const width = arg(p, 9);
  const top = (output / arg(p, 11)) * arg(p, 14) - arg(p, 16);
  const left = (output % arg(p, 11)) * arg(p, 15) - arg(p, 17);
  const y0 = max(top, 0);
  const y1 = min(top + arg(p, 12), arg(p, 8));
  const x0 = max(left, 0);
  const x1 = min(left + arg(p, 13), width);
  const g = <usize>arg(p, 2) + <usize>((image * arg(p, 10) * arg(p, 11) + output) * arg(p, 3) * 4);
  const count = arg(p, 19) != 0 ? arg(p, 12) * arg(p, 13) : (y1 - y0) * (x1 - x0);
  const share = f32x4.splat(1 / <f32>count);
  for (let c = 0; c < channels; c += 4) {
    const at = <usize>c << 2;
    const d = v128.load(g + at);
    let most = f32x4.splat(-Infinity);
    if (arg(p, 18) != 0) {
      for (let iy = y0; iy < y1; iy++) {
        for (let ix = x0; ix < x1; ix++) most = f32x4.pmax(most, v128.load(place(p, 0, image, iy * width + ix) + at));
      }
    }
    let open = i32x4.splat(-1);
    for (let iy = y0; iy < y1; iy++) {
      for (let ix = x0; ix < x1; ix++) {
        const y = place(p, 4, image, iy * width + ix) + at;
        let add = f32x4.mul(d, share);
        if (arg(p, 18) != 0) {
          const hit = v128.and(open, f32x4.eq(v128.load(place(p, 0, image, iy * width + ix) + at), most));
          open = v128.andnot(open, hit);
          add = v128.and(d, hit);
        }
        storeLanes(y, f32x4.add(v128.load(y), add), channels - c);
      }
    }
  }
}

// @ts-expect-error: decorator
@inline
function place(p: usize, operand: i32, image: i32, pixel: i32): usize {
  return <usize>arg(p, operand) + <usize>((image * arg(p, 8) * arg(p, 9) + pixel) * arg(p, operand + 1) * 4);
}
