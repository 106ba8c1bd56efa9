import { arg } from './args';
import { first, last } from './share';

// Weights that change every step are packed when they are used, into the order in which the convolutions read them.

/**
 * Panels `[tap][inner][8]` of the outer dimension, the last of 4 when at most 4 are left (see conv.ts). The gradient of an input takes the input
 * channels as outer dimension and the taps from the end.
 * Arguments: 0 weight, 1 outer, 2 inner, 3 taps, 4-6 strides in floats over outer, inner and taps, 7 whether the taps are turned round, 8 y.
 */
export function packPanels(p: usize, tid: i32, threads: i32): void {
  const outer = arg(p, 1);
  const inner = arg(p, 2);
  const taps = arg(p, 3);
  const strideO = arg(p, 4);
  const strideI = arg(p, 5);
  const panels = (outer + 7) >> 3;
  const end = last(panels, 1, tid, threads);
  for (let panel = first(panels, 1, tid, threads); panel < end; panel++) {
    const used = min(8, outer - (panel << 3));
    const width = used > 4 ? 8 : 4;
    let y = <usize>arg(p, 8) + (<usize>(panel * taps * inner) << 5);
    for (let tap = 0; tap < taps; tap++) {
      const from = <usize>arg(p, 0) + <usize>(((arg(p, 7) != 0 ? taps - 1 - tap : tap) * arg(p, 6) + (panel << 3) * strideO) << 2);
      let i = 0;
      if (used == 8 && strideO == 1) {
        for (let w = from; i < inner; i++, y += 32, w += <usize>(strideI << 2)) {
          v128.store(y, v128.load(w));
          v128.store(y, v128.load(w, 16), 16);
        }
      } else if (used == 8 && strideI == 1) {
        const half = from + <usize>(strideO << 4);
        for (; i + 4 <= inner; i += 4, y += 128) {
          transpose4(from + (<usize>i << 2), <usize>(strideO << 2), y);
          transpose4(half + (<usize>i << 2), <usize>(strideO << 2), y + 16);
        }
      }
      for (; i < inner; i++, y += <usize>width << 2) {
        let w = from + <usize>((i * strideI) << 2);
        for (let j = 0; j < used; j++, w += <usize>(strideO << 2)) store<f32>(y + (<usize>j << 2), load<f32>(w));
      }
    }
  }
}

/** Four rows of four, `step` bytes apart, turned and stored 32 bytes apart. */
function transpose4(x: usize, step: usize, y: usize): void {
  const a = v128.load(x);
  const b = v128.load(x + step);
  const c = v128.load(x + (step << 1));
  const d = v128.load(x + step * 3);
  const ab0 = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const ab1 = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cd0 = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const cd1 = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(y, i64x2.shuffle(ab0, cd0, 0, 2));
  v128.store(y, i64x2.shuffle(ab0, cd0, 1, 3), 32);
  v128.store(y, i64x2.shuffle(ab1, cd1, 0, 2), 64);
  v128.store(y, i64x2.shuffle(ab1, cd1, 1, 3), 96);
}

/** `[channel / 4][bias, taps][4]`. Arguments: 0 weight `[C][taps]`, 1 C, 2 taps, 3 bias or 0, 4 whether the taps are turned round, 5 y. */
export function packDepthwise(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 1);
  const taps = arg(p, 2);
  const end = last(channels, 4, tid, threads);
  for (let c = first(channels, 4, tid, threads); c < end; c++) {
    const y = <usize>arg(p, 5) + <usize>(((c >> 2) * (taps + 1) * 4 + (c & 3)) << 2);
    store<f32>(y, arg(p, 3) == 0 ? 0 : load<f32>(<usize>arg(p, 3) + (<usize>c << 2)));
    for (let tap = 0; tap < taps; tap++) {
      const from = arg(p, 4) != 0 ? taps - 1 - tap : tap;
      store<f32>(y + <usize>((tap + 1) << 4), load<f32>(<usize>arg(p, 0) + <usize>((c * taps + from) << 2)));
    }
  }
}

/** Spreads rows with zeros between them. Arguments: 0 x, 1 its row stride, 2 y (dense), 3 N, 4 H, 5 W, 6 C, 7 8 stride, 9 OH, 10 OW. */
export function dilate(p: usize, tid: i32, threads: i32): void {
  const channels = <usize>arg(p, 6) << 2;
  const outHeight = arg(p, 9);
  const outWidth = arg(p, 10);
  const rows = arg(p, 3) * outHeight;
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const image = row / outHeight;
    const oy = row - image * outHeight;
    let y = <usize>arg(p, 2) + <usize>(row * outWidth) * channels;
    const iy = oy / arg(p, 7);
    const here = oy % arg(p, 7) == 0 && iy < arg(p, 4);
    for (let ox = 0; ox < outWidth; ox++, y += channels) {
      const ix = ox / arg(p, 8);
      if (here && ox % arg(p, 8) == 0 && ix < arg(p, 5)) {
        memory.copy(y, <usize>arg(p, 0) + <usize>(((image * arg(p, 4) + iy) * arg(p, 5) + ix) * arg(p, 1) * 4), channels);
      } else {
        memory.fill(y, 0, channels);
      }
    }
  }
}
