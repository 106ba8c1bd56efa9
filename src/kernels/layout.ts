import { arg } from './args';
import { first, last } from './share';

/** Copies rows. Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels. */
export function copy(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const bytes = <usize>arg(p, 5) << 2;
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    memory.copy(<usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4), <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4), bytes);
  }
}

/** `[N,C,pixels]` to rows of channels. Arguments: 0 x, 1 y, 2 its row stride, 3 N, 4 C, 5 pixels. */
export function toChannelsLast(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 4);
  const pixels = arg(p, 5);
  const rows = arg(p, 3) * pixels;
  const step = <usize>pixels << 2;
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; ) {
    const image = row / pixels;
    const stop = min(end, (image + 1) * pixels);
    let x = <usize>arg(p, 0) + <usize>((image * channels * pixels + row - image * pixels) * 4);
    let y = <usize>arg(p, 1) + <usize>(row * arg(p, 2) * 4);
    if (channels == 3 && arg(p, 2) == 3) {
      for (; row + 4 <= stop; row += 4, x += 16, y += 48) fourPixels(x, step, y);
    }
    for (; row < stop; row++, x += 4, y += <usize>arg(p, 2) << 2) {
      let from = x;
      for (let c = 0; c < channels; c++, from += step) store<f32>(y + (<usize>c << 2), load<f32>(from));
    }
  }
}

/** Four neighbouring pixels of three planes, `step` bytes apart, side by side. */
// @ts-expect-error: decorator
@inline
function fourPixels(x: usize, step: usize, y: usize): void {
  const r = v128.load(x);
  const g = v128.load(x + step);
  const b = v128.load(x + (step << 1));
  const front = i32x4.shuffle(r, g, 0, 4, 1, 5);
  const back = i32x4.shuffle(r, g, 2, 6, 3, 7);
  v128.store(y, i32x4.shuffle(front, b, 0, 1, 4, 2));
  v128.store(y, i32x4.shuffle(i32x4.shuffle(front, b, 3, 5, 0, 0), back, 0, 1, 4, 5), 16);
  v128.store(y, i32x4.shuffle(back, b, 6, 2, 3, 7), 32);
}

/** Rows of channels to `[N,C,pixels]`. Arguments: 0 x, 1 its row stride, 2 y, 3 N, 4 C, 5 pixels. */
export function toChannelsFirst(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 4);
  const pixels = arg(p, 5);
  const rows = arg(p, 3) * pixels;
  const step = <usize>pixels << 2;
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const image = row / pixels;
    let x = <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4);
    let y = <usize>arg(p, 2) + <usize>((image * channels * pixels + row - image * pixels) * 4);
    for (let c = 0; c < channels; c++, x += 4, y += step) store<f32>(y, load<f32>(x));
  }
}
