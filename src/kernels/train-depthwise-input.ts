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
    fourTaps(p, g, pixel, line, w, nextTapX, nextTapY, y, stepY, r, stepR, count);
    return;
  }
  if (countX * countY == 2) {
    const across = countX == 2;
    twoTaps(p, g, pixel, across ? pixel : line, w, across ? nextTapX : nextTapY, y, stepY, r, stepR, count);
    return;
  }
  if (countX * countY == 1) {
    oneTap(p, g, pixel, w, y, stepY, r, stepR, count);
    return;
  }
  for (; count >= 4; count -= 4, g += pixel << 2, y += stepY << 2, r += stepR << 2) {
    four(p, g, pixel, line, w, nextTapX, nextTapY, countX, countY, y, stepY, r, stepR);
  }
  for (; count > 0; count--, g += pixel, y += stepY, r += stepR) any(p, g, pixel, line, w, nextTapX, nextTapY, countX, countY, y, r);
}

// With few taps their weights stay in registers for a whole line of pixels.

function oneTap(p: usize, g: usize, pixel: usize, w: usize, y: usize, stepY: usize, r: usize, stepR: usize, count: i32): void {
  const next = vectorBytes(p);
  let lanes = arg(p, 7);
  for (; lanes >= 8; lanes -= 8, g += 32, y += 32, r += 32, w += next << 1) {
    const k = v128.load(w);
    const l = v128.load(w + next);
    let q = g;
    let to = y;
    let plus = r;
    for (let i = count; i > 0; i--, q += pixel, to += stepY, plus += stepR) {
      const c = madd(v128.load(q), k, v128.load(plus));
      const d = madd(v128.load(q, 16), l, v128.load(plus, 16));
      v128.store(to, c);
      v128.store(to, d, 16);
    }
  }
  for (; lanes > 0; lanes -= 4, g += 16, y += 16, r += 16, w += next) {
    const k = v128.load(w);
    let q = g;
    let to = y;
    let plus = r;
    for (let i = count; i > 0; i--, q += pixel, to += stepY, plus += stepR) {
      storeLanes(to, madd(v128.load(q), k, v128.load(plus)), lanes);
    }
  }
}

function twoTaps(
  p: usize, g: usize, pixel: usize, before: usize, w: usize, nextTap: usize, y: usize, stepY: usize, r: usize, stepR: usize, count: i32,
): void {
  const next = vectorBytes(p);
  let lanes = arg(p, 7);
  for (; lanes >= 8; lanes -= 8, g += 32, y += 32, r += 32, w += next << 1) {
    const k0 = v128.load(w);
    const l0 = v128.load(w + next);
    const k1 = v128.load(w + nextTap);
    const l1 = v128.load(w + nextTap + next);
    let q = g;
    let to = y;
    let plus = r;
    for (let i = count; i > 0; i--, q += pixel, to += stepY, plus += stepR) {
      const last = q - before;
      const c = madd(v128.load(last), k1, madd(v128.load(q), k0, v128.load(plus)));
      const d = madd(v128.load(last, 16), l1, madd(v128.load(q, 16), l0, v128.load(plus, 16)));
      v128.store(to, c);
      v128.store(to, d, 16);
    }
  }
  for (; lanes > 0; lanes -= 4, g += 16, y += 16, r += 16, w += next) {
    const k0 = v128.load(w);
    const k1 = v128.load(w + nextTap);
    let q = g;
    let to = y;
    let plus = r;
    for (let i = count; i > 0; i--, q += pixel, to += stepY, plus += stepR) {
      storeLanes(to, madd(v128.load(q - before), k1, madd(v128.load(q), k0, v128.load(plus))), lanes);
    }
  }
}

/** Two by two. */
function fourTaps(
  p: usize, g: usize, pixel: usize, line: usize, w: usize, nextTapX: usize, nextTapY: usize, y: usize, stepY: usize, r: usize,
  stepR: usize, count: i32,
): void {
  const next = vectorBytes(p);
  let lanes = arg(p, 7);
  for (; lanes >= 8; lanes -= 8, g += 32, y += 32, r += 32, w += next << 1) {
    const other = w + next;
    const k00 = v128.load(w);
    const l00 = v128.load(other);
    const k01 = v128.load(w + nextTapX);
    const l01 = v128.load(other + nextTapX);
    const k10 = v128.load(w + nextTapY);
    const l10 = v128.load(other + nextTapY);
    const k11 = v128.load(w + nextTapY + nextTapX);
    const l11 = v128.load(other + nextTapY + nextTapX);
    let q0 = g;
    let q1 = g - line;
    let to = y;
    let plus = r;
    for (let i = count; i > 0; i--, q0 += pixel, q1 += pixel, to += stepY, plus += stepR) {
      const p0 = q0 - pixel;
      const p1 = q1 - pixel;
      let c = madd(v128.load(p0), k01, madd(v128.load(q0), k00, v128.load(plus)));
      let d = madd(v128.load(p0, 16), l01, madd(v128.load(q0, 16), l00, v128.load(plus, 16)));
      c = madd(v128.load(p1), k11, madd(v128.load(q1), k10, c));
      d = madd(v128.load(p1, 16), l11, madd(v128.load(q1, 16), l10, d));
      v128.store(to, c);
      v128.store(to, d, 16);
    }
  }
  for (; lanes > 0; lanes -= 4, g += 16, y += 16, r += 16, w += next) {
    const k00 = v128.load(w);
    const k01 = v128.load(w + nextTapX);
    const k10 = v128.load(w + nextTapY);
    const k11 = v128.load(w + nextTapY + nextTapX);
    let q0 = g;
    let q1 = g - line;
    let to = y;
    let plus = r;
    for (let i = count; i > 0; i--, q0 += pixel, q1 += pixel, to += stepY, plus += stepR) {
      let c = madd(v128.load(q0 - pixel), k01, madd(v128.load(q0), k00, v128.load(plus)));
      c = madd(v128.load(q1 - pixel), k11, madd(v128.load(q1), k10, c));
      storeLanes(to, c, lanes);
    }
  }
}

/** One pixel. */
function any(
  p: usize, g: usize, pixel: usize, line: usize, w: usize, nextTapX: usize, nextTapY: usize, countX: i32, countY: i32, y: usize, r: usize,
): void {
  const next = vectorBytes(p);
  for (let lanes = arg(p, 7); lanes > 0; lanes -= 4, g += 16, y += 16, r += 16, w += next) {
    let c = v128.load(r);
    let row = g;
    let tapRow = w;
    for (let i = countY; i > 0; i--, row -= line, tapRow += nextTapY) {
      let q = row;
      let tap = tapRow;
      for (let j = countX; j > 0; j--, q -= pixel, tap += nextTapX) c = madd(v128.load(q), v128.load(tap), c);
    }
    storeLanes(y, c, lanes);
  }
}

/** Four pixels, `stepY` bytes apart, which met neighbouring gradients. */
function four(
  p: usize, g: usize, pixel: usize, line: usize, w: usize, nextTapX: usize, nextTapY: usize, countX: i32, countY: i32, y: usize,
  stepY: usize, r: usize, stepR: usize,
): void {
  const next = vectorBytes(p);
  let lanes = arg(p, 7);
  for (; lanes >= 8; lanes -= 8, g += 32, y += 32, r += 32, w += next << 1) {
    let q = r;
    let c0 = v128.load(q);
    let d0 = v128.load(q, 16);
    q += stepR;
    let c1 = v128.load(q);
    let d1 = v128.load(q, 16);
    q += stepR;
    let c2 = v128.load(q);
    let d2 = v128.load(q, 16);
    q += stepR;
    let c3 = v128.load(q);
    let d3 = v128.load(q, 16);
    let row = g;
    let tapRow = w;
    for (let i = countY; i > 0; i--, row -= line, tapRow += nextTapY) {
      let at = row;
      let tap = tapRow;
      for (let j = countX; j > 0; j--, at -= pixel, tap += nextTapX) {
        const k = v128.load(tap);
        const l = v128.load(tap + next);
        q = at;
        c0 = madd(v128.load(q), k, c0);
        d0 = madd(v128.load(q, 16), l, d0);
        q += pixel;
        c1 = madd(v128.load(q), k, c1);
        d1 = madd(v128.load(q, 16), l, d1);
        q += pixel;
        c2 = madd(v128.load(q), k, c2);
        d2 = madd(v128.load(q, 16), l, d2);
        q += pixel;
        c3 = madd(v128.load(q), k, c3);
        d3 = madd(v128.load(q, 16), l, d3);
      }
    }
    q = y;
    v128.store(q, c0);
    v128.store(q, d0, 16);
    q += stepY;
    v128.store(q, c1);
    v128.store(q, d1, 16);
    q += stepY;
    v128.store(q, c2);
    v128.store(q, d2, 16);
    q += stepY;
    v128.store(q, c3);
    v128.store(q, d3, 16);
  }
  for (; lanes > 0; lanes -= 4, g += 16, y += 16, r += 16, w += next) {
    let c0 = v128.load(r);
    let c1 = v128.load(r + stepR);
    let c2 = v128.load(r + (stepR << 1));
    let c3 = v128.load(r + stepR * 3);
    let row = g;
    let tapRow = w;
    for (let i = countY; i > 0; i--, row -= line, tapRow += nextTapY) {
      let q = row;
      let tap = tapRow;
      for (let j = countX; j > 0; j--, q -= pixel, tap += nextTapX) {
        const k = v128.load(tap);
        c0 = madd(v128.load(q), k, c0);
        c1 = madd(v128.load(q + pixel), k, c1);
        c2 = madd(v128.load(q + (pixel << 1)), k, c2);
        c3 = madd(v128.load(q + pixel * 3), k, c3);
      }
    }
    storeFour(y, stepY, c0, c1, c2, c3, lanes);
  }
}
