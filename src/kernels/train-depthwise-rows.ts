import { arg } from './args';
import { madd } from './vector';

// The inner loops of the gradient of depthwise weights: rows of the windows. `x` is the first input row that they see, `skip` the bytes from behind an
// image's last row that a window begins in to the next image, `g` the gradient of the first output pixel, `y` the sums. V8 reads all that a loop needs
// before it multiplies, so there are no more sums in one than leave room for their inputs.
//
// `VECTORS` of channels go at a time, their sums side by side for each tap: two where V8 makes one of 256 bits of them (see tiles.ts).

/** Bytes from one pixel of a block's copy to the next: four vectors of channels. */
export const PIXEL: usize = 64;

/** One or two rows of windows that are `WIDTH` wide. */
export function tapRows<ROWS extends number, WIDTH extends number, VECTORS extends number>(
  p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize,
): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const length = <usize>arg(p, 9) * stepG;
  let s: Registers<v128>;
  unroll: for (let tap = 0; tap < ROWS * WIDTH; tap++) {
    unroll: for (let n = 0; n < VECTORS; n++) s[tap][n] = v128.load(y, 16 * (tap * VECTORS + n));
  }
  for (; images > 0; images--, x += skip) {
    for (let line = lines; line > 0; line--, x += stepY) {
      let r: Registers<usize>;
      r[0] = x;
      if (ROWS == 2) r[1] = x + rowBytes;
      for (const stop = g + length; g < stop; g += stepG) {
        let d: Registers<v128>;
        unroll: for (let n = 0; n < VECTORS; n++) d[n] = v128.load(g, 16 * n);
        unroll: for (let row = 0; row < ROWS; row++) {
          unroll: for (let column = 0; column < WIDTH; column++) {
            const tap = row * WIDTH + column;
            unroll: for (let n = 0; n < VECTORS; n++) s[tap][n] = madd(v128.load(r[row], column * PIXEL + 16 * n), d[n], s[tap][n]);
          }
          r[row] += stepX;
        }
      }
    }
  }
  unroll: for (let tap = 0; tap < ROWS * WIDTH; tap++) {
    unroll: for (let n = 0; n < VECTORS; n++) v128.store(y, s[tap][n], 16 * (tap * VECTORS + n));
  }
}

/** One row of three; two pixels at a time, with sums of their own: three alone would wait for each other. */
export function threeTaps<VECTORS extends number>(
  p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize,
): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const width = arg(p, 9);
  let s: Registers<v128>;
  let d: Registers<v128>;
  unroll: for (let tap = 0; tap < 3; tap++) {
    unroll: for (let n = 0; n < VECTORS; n++) {
      s[0][tap][n] = v128.load(y, 16 * (tap * VECTORS + n));
      s[1][tap][n] = f32x4.splat(0);
    }
  }
  for (; images > 0; images--, x += skip) {
    for (let line = lines; line > 0; line--, x += stepY) {
      let r = x;
      let i = width;
      for (; i > 1; i -= 2) {
        unroll: for (let pixel = 0; pixel < 2; pixel++) {
          unroll: for (let n = 0; n < VECTORS; n++) d[n] = v128.load(g, 16 * n);
          unroll: for (let tap = 0; tap < 3; tap++) {
            unroll: for (let n = 0; n < VECTORS; n++) s[pixel][tap][n] = madd(v128.load(r, tap * PIXEL + 16 * n), d[n], s[pixel][tap][n]);
          }
          g += stepG;
          r += stepX;
        }
      }
      if (i > 0) {
        unroll: for (let n = 0; n < VECTORS; n++) d[n] = v128.load(g, 16 * n);
        unroll: for (let tap = 0; tap < 3; tap++) {
          unroll: for (let n = 0; n < VECTORS; n++) s[0][tap][n] = madd(v128.load(r, tap * PIXEL + 16 * n), d[n], s[0][tap][n]);
        }
        g += stepG;
      }
    }
  }
  unroll: for (let tap = 0; tap < 3; tap++) {
    unroll: for (let n = 0; n < VECTORS; n++) v128.store(y, f32x4.add(s[0][tap][n], s[1][tap][n]), 16 * (tap * VECTORS + n));
  }
}

/** Windows of another shape or dilation, tap by tap. */
export function anyTaps<VECTORS extends number>(
  p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize,
): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const length = <usize>arg(p, 9) * stepG;
  for (let ky = 0; ky < arg(p, 10); ky++) {
    for (let kx = 0; kx < arg(p, 11); kx++, y += 16 * VECTORS) {
      let row = x + <usize>(ky * arg(p, 16)) * rowBytes + <usize>(kx * arg(p, 17)) * PIXEL;
      let d = g;
      let s: Registers<v128>;
      unroll: for (let n = 0; n < VECTORS; n++) s[n] = v128.load(y, 16 * n);
      for (let image = images; image > 0; image--, row += skip) {
        for (let line = lines; line > 0; line--, row += stepY) {
          let r = row;
          for (const stop = d + length; d < stop; d += stepG, r += stepX) {
            unroll: for (let n = 0; n < VECTORS; n++) s[n] = madd(v128.load(r, 16 * n), v128.load(d, 16 * n), s[n]);
          }
        }
      }
      unroll: for (let n = 0; n < VECTORS; n++) v128.store(y, s[n], 16 * n);
    }
  }
}
