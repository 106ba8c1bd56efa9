import { arg } from './args';
import { storeFour } from './depthwise-rows';
import { first, last } from './share';
import { madd, storeLanes } from './vector';

// The gradient of the input of a strided depthwise convolution. Each input pixel was seen by few taps of the window, a fourth of them on the average
// where the stride is 2; the others are not multiplied by zeros but left out.
//
// Arguments (4 bytes each): 0 gradient, 1 its row stride, 2 y, 3 its row stride, 4 N, 5 OH, 6 OW, 7 C, 8 H, 9 W, 10 kH, 11 kW, 12 13 stride,
// 14 15 padding top and left, 16 weights `[channel / 4][bias, taps][4]`, 17 what is added, or C zeros, 18 its row stride (0 for zeros).

export function depthwiseInputGradient(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4) * arg(p, 8);
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) inputRow(p, row);
}

/** The first tap along an axis that saw the pixel at `at` (padding included): one whose output begins at or before the last one. */
// @ts-expect-error: decorator
@inline
function firstTap(at: i32, stride: i32, outputs: i32): i32 {
  const tap = at % stride;
  const output = at / stride;
  return output < outputs ? tap : tap + (output - outputs + 1) * stride;
}

/** How many taps saw it: every `stride`th from the first on whose output is not before the first one. */
// @ts-expect-error: decorator
@inline
function tapCount(at: i32, tap: i32, stride: i32, kernel: i32): i32 {
  const reach = min(kernel - 1, at);
  return tap > reach ? 0 : (reach - tap) / stride + 1;
}

function inputRow(p: usize, row: i32): void {
  const height = arg(p, 8);
  const width = arg(p, 9);
  const outHeight = arg(p, 5);
  const outWidth = arg(p, 6);
  const strideY = arg(p, 12);
  const strideX = arg(p, 13);
  const image = row / height;
  const iy = row - image * height + arg(p, 14);
  const ky = firstTap(iy, strideY, outHeight);
  const countY = tapCount(iy, ky, strideY, arg(p, 10));
  const pixel = <usize>arg(p, 1) << 2;
  const line = <usize>outWidth * pixel;
  // The window's next row belongs to the output row before.
  const g = <usize>arg(p, 0) + <usize>(image * outHeight + (iy - ky) / strideY) * line;
  const nextTapY = <usize>(strideY * arg(p, 11)) << 4;
  const nextTapX = <usize>strideX << 4;
  const stepY = <usize>arg(p, 3) << 2;
  const stepR = <usize>arg(p, 18) << 2;
  let y = <usize>arg(p, 2) + <usize>(row * width) * stepY;
  let r = <usize>arg(p, 17) + <usize>(row * width) * stepR;
  // Every `strideX`th pixel was seen by the same taps, but for those at the line's ends.
  const low = min(width, max(0, arg(p, 11) - 1 - arg(p, 15)));
  const high = max(low, min(width, outWidth * strideX - arg(p, 15)));
  for (let x = 0; x < width; x++) {
    const inside = x >= low && x < high;
    const ix = x + arg(p, 15);
    const kx = firstTap(ix, strideX, outWidth);
    const countX = tapCount(ix, kx, strideX, arg(p, 11));
    const from = g + <usize>((ix - kx) / strideX) * pixel;
    const w = <usize>arg(p, 16) + (<usize>(ky * arg(p, 11) + kx + 1) << 4);
    const count = inside ? (high - x + strideX - 1) / strideX : 1;
    pixels(p, from, pixel, line, w, nextTapX, nextTapY, countX, countY, y, <usize>strideX * stepY, r, <usize>strideX * stepR, count);
    // Behind the last of these lines of pixels come those that are at the end.
    const step = inside && (x == low + strideX - 1 || x == high - 1) ? high - x : 1;
    x += step - 1;
    y += <usize>step * stepY;
    r += <usize>step * stepR;
  }
}

/** Bytes from the weights of four channels to those of the next. */
// @ts-expect-error: decorator
@inline
function vectorBytes(p: usize): usize {
  return <usize>(arg(p, 10) * arg(p, 11) + 1) << 4;
}

/**
 * `count` pixels, `stepY` bytes apart, which met neighbouring gradients: `g` is the one that the first tap `w` met for the first of them; the next
 * taps met those before, `pixel` and `line` bytes apart.
 */
function pixels(
  p: usize, g: usize, pixel: usize, line: usize, w: usize, nextTapX: usize, nextTapY: usize, countX: i32, countY: i32, y: usize,
  stepY: usize, r: usize, stepR: usize, count: i32,
): void {
  if (countX == 2 && countY == 2) {
    fewTaps<2, 2>(p, g, pixel, 0, line, w, nextTapX, nextTapY, y, stepY, r, stepR, count);
  } else if (countX * countY == 2) {
    const across = countX == 2;
    fewTaps<1, 2>(p, g, pixel, across ? pixel : line, 0, w, across ? nextTapX : nextTapY, 0, y, stepY, r, stepR, count);
  } else if (countX * countY == 1) {
    fewTaps<1, 1>(p, g, pixel, 0, 0, w, 0, 0, y, stepY, r, stepR, count);
  } else {
    for (; count >= 4; count -= 4, g += pixel << 2, y += stepY << 2, r += stepR << 2) {
      manyTaps<4>(p, g, pixel, line, w, nextTapX, nextTapY, countX, countY, y, stepY, r, stepR);
    }
    for (; count > 0; count--, g += pixel, y += stepY, r += stepR) {
      manyTaps<1>(p, g, pixel, line, w, nextTapX, nextTapY, countX, countY, y, stepY, r, stepR);
    }
  }
}

/**
 * One tap, two, or two by two: with so few their weights stay in registers for a whole line of pixels. Two alone met gradients that are `apart` bytes
 * apart, be it across or down.
 */
function fewTaps<ROWS extends number, COLUMNS extends number>(
  p: usize, g: usize, pixel: usize, apart: usize, line: usize, w: usize, nextTap: usize, nextRow: usize, y: usize, stepY: usize, r: usize,
  stepR: usize, count: i32,
): void {
  const next = vectorBytes(p);
  let lanes = arg(p, 7);
  // Two vectors of channels at a time, then one.
  unroll: for (let vectors = 2; vectors > 0; vectors--) {
    for (; lanes >= (vectors == 2 ? 8 : 1); lanes -= 4 * vectors, g += 16 * vectors, y += 16 * vectors, r += 16 * vectors, w += next * vectors) {
      let k: Registers<v128>;
      let q: Registers<usize>;
      unroll: for (let row = 0; row < ROWS; row++) {
        unroll: for (let column = 0; column < COLUMNS; column++) {
          unroll: for (let n = 0; n < vectors; n++) k[row][column][n] = v128.load(w + n * next + row * nextRow + column * nextTap);
        }
        q[row] = g - row * line;
      }
      let to = y;
      let plus = r;
      for (let i = count; i > 0; i--, to += stepY, plus += stepR) {
        let c: Registers<v128>;
        unroll: for (let n = 0; n < vectors; n++) c[n] = v128.load(plus, 16 * n);
        unroll: for (let row = 0; row < ROWS; row++) {
          const before = q[row] - (ROWS == 2 ? pixel : apart);
          unroll: for (let n = 0; n < vectors; n++) {
            c[n] = madd(v128.load(q[row], 16 * n), k[row][0][n], c[n]);
            if (COLUMNS == 2) c[n] = madd(v128.load(before, 16 * n), k[row][1][n], c[n]);
          }
        }
        if (vectors == 1) storeLanes(to, c[0], lanes);
        else unroll: for (let n = 0; n < vectors; n++) v128.store(to, c[n], 16 * n);
        unroll: for (let row = 0; row < ROWS; row++) q[row] += pixel;
      }
    }
  }
}

/** Any number of taps for one pixel, or four, `stepY` bytes apart, which met neighbouring gradients. */
function manyTaps<PIXELS extends number>(
  p: usize, g: usize, pixel: usize, line: usize, w: usize, nextTapX: usize, nextTapY: usize, countX: i32, countY: i32, y: usize,
  stepY: usize, r: usize, stepR: usize,
): void {
  const next = vectorBytes(p);
  let lanes = arg(p, 7);
  // Of four pixels two vectors of channels at a time.
  unroll: for (let vectors = PIXELS == 4 ? 2 : 1; vectors > 0; vectors--) {
    for (; lanes >= (vectors == 2 ? 8 : 1); lanes -= 4 * vectors, g += 16 * vectors, y += 16 * vectors, r += 16 * vectors, w += next * vectors) {
      let c: Registers<v128>;
      let q = r;
      unroll: for (let i = 0; i < PIXELS; i++) {
        unroll: for (let n = 0; n < vectors; n++) c[i][n] = v128.load(q, 16 * n);
        if (i < PIXELS - 1) q += stepR;
      }
      let row = g;
      let tapRow = w;
      for (let ky = countY; ky > 0; ky--, row -= line, tapRow += nextTapY) {
        let at = row;
        let tap = tapRow;
        for (let kx = countX; kx > 0; kx--, at -= pixel, tap += nextTapX) {
          let k: Registers<v128>;
          unroll: for (let n = 0; n < vectors; n++) k[n] = v128.load(tap + n * next);
          q = at;
          unroll: for (let i = 0; i < PIXELS; i++) {
            unroll: for (let n = 0; n < vectors; n++) c[i][n] = madd(v128.load(q, 16 * n), k[n], c[i][n]);
            if (i < PIXELS - 1) q += pixel;
          }
        }
      }
      if (PIXELS == 1) storeLanes(y, c[0][0], lanes);
      else if (vectors == 1) storeFour(y, stepY, c[0][0], c[1][0], c[2][0], c[3][0], lanes);
      else {
        q = y;
        unroll: for (let i = 0; i < PIXELS; i++) {
          unroll: for (let n = 0; n < vectors; n++) v128.store(q, c[i][n], 16 * n);
          if (i < PIXELS - 1) q += stepY;
        }
      }
    }
  }
}
