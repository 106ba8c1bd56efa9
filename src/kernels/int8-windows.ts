import { arg } from './args';

/**
 * Copies the windows of `count` output pixels from `row` on into rows of `[tap][channel]`, `rowBytes` apart, with the zero point where a window
 * reaches outside of the image. The arguments are those of int8-conv.ts. Up to 15 bytes behind the last row are written too.
 */
export function gatherWindows(p: usize, to: usize, row: i32, count: i32, rowBytes: i32): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const outHeight = arg(p, 8);
  const outWidth = arg(p, 9);
  const kernelHeight = arg(p, 11);
  const kernelWidth = arg(p, 12);
  const pixel = arg(p, 1);
  const reachY = (kernelHeight - 1) * arg(p, 17);
  const reachX = (kernelWidth - 1) * arg(p, 18);
  // Without gaps between pixels a row of the window is one run.
  const dense = pixel == arg(p, 7) && arg(p, 18) == 1;
  const run = <usize>(kernelWidth * pixel);
  const stepY = <usize>(arg(p, 17) * width * pixel);
  let image = row / (outHeight * outWidth);
  let oy = row / outWidth - image * outHeight;
  let ox = row % outWidth;
  const strideX = arg(p, 14);
  const next = <usize>(strideX * pixel);
  let left = ox * strideX - arg(p, 16);
  let top = oy * arg(p, 13) - arg(p, 15);
  let x = <usize>arg(p, 0) + <usize>(((image * height + top) * width + left) * pixel);
  while (count > 0) {
    // How many windows from here on lie inside of the image, without gaps between their pixels.
    let inside = 0;
    if (dense && top >= 0 && left >= 0 && top + reachY < height && left + reachX < width) {
      inside = min(min(count, outWidth - ox), (width - 1 - reachX - left) / strideX + 1);
      copyWindows(x, next, stepY, to, <usize>rowBytes, run, kernelHeight, inside);
    } else gatherWindow(p, x, stepY, to, top, left);
    const done = max(1, inside);
    count -= done;
    to += <usize>(done * rowBytes);
    ox += done;
    x += <usize>done * next;
    left += done * strideX;
    if (ox == outWidth) {
      ox = 0;
      if (++oy == outHeight) {
        oy = 0;
        image++;
      }
      left = -arg(p, 16);
      top = oy * arg(p, 13) - arg(p, 15);
      x = <usize>arg(p, 0) + <usize>(((image * height + top) * width + left) * pixel);
    }
  }
}

/** `count` windows that lie inside of the image, `next` bytes apart. */
function copyWindows(
  x: usize, next: usize, stepY: usize, to: usize, rowBytes: usize, run: usize, rows: i32, count: i32,
): void {
  if (run <= 16 && rows == 3) {
    // The stem's windows: nothing to count.
    const last = stepY << 1;
    const end = run << 1;
    for (; count > 0; count--, x += next, to += rowBytes) {
      v128.store(to, v128.load(x));
      v128.store(to + run, v128.load(x + stepY));
      v128.store(to + end, v128.load(x + last));
    }
    return;
  }
  for (; count > 0; count--, x += next, to += rowBytes) {
    let from = x;
    let at = to;
    for (let i = rows; i > 0; i--, from += stepY, at += run) copyBytes(from, at, run);
  }
}

/** Any window, tap by tap. */
function gatherWindow(p: usize, x: usize, stepY: usize, to: usize, top: i32, left: i32): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const kernelHeight = arg(p, 11);
  const kernelWidth = arg(p, 12);
  const dilationY = arg(p, 17);
  const dilationX = arg(p, 18);
  const stepX = <usize>(dilationX * arg(p, 1));
  const bytes = <usize>arg(p, 7);
  const outside = i8x16.splat(<i8>arg(p, 24));
  for (let ky = 0; ky < kernelHeight; ky++, x += stepY) {
    const iy = top + ky * dilationY;
    const inside = iy >= 0 && iy < height;
    let source = x;
    for (let kx = 0; kx < kernelWidth; kx++, source += stepX, to += bytes) {
      const ix = left + kx * dilationX;
      if (inside && ix >= 0 && ix < width) copyBytes(source, to, bytes);
      else for (let c: usize = 0; c < bytes; c += 16) v128.store(to + c, outside);
    }
  }
}

/** In whole vectors: what is written too far is overwritten by what follows. */
// @ts-expect-error: decorator
@inline
function copyBytes(from: usize, to: usize, bytes: usize): void {
  for (let c: usize = 0; c < bytes; c += 16) v128.store(to + c, v128.load(from + c));
}
