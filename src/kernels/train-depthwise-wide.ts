import { arg } from './args';
import { madd } from './vector';

// Rows of windows as in train-depthwise.ts, of two vectors of channels at a time, for vectors of 256 bits (see tiles-wide.ts). The sums of a tap
// are `[8]`, one tap behind the other.

/** Bytes from one pixel of a block's copy to the next: four vectors of channels. */
export const PIXEL: usize = 64;

/** Two rows of three. */
export function pairRows3(p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const length = <usize>arg(p, 9) * stepG;
  let s0 = v128.load(y);
  let t0 = v128.load(y, 16);
  let s1 = v128.load(y, 32);
  let t1 = v128.load(y, 48);
  let s2 = v128.load(y, 64);
  let t2 = v128.load(y, 80);
  let s3 = v128.load(y, 96);
  let t3 = v128.load(y, 112);
  let s4 = v128.load(y, 128);
  let t4 = v128.load(y, 144);
  let s5 = v128.load(y, 160);
  let t5 = v128.load(y, 176);
  for (; images > 0; images--, x += skip) {
    for (let line = lines; line > 0; line--, x += stepY) {
      let r = x;
      let q = x + rowBytes;
      for (const stop = g + length; g < stop; g += stepG, r += stepX, q += stepX) {
        const d = v128.load(g);
        const e = v128.load(g, 16);
        s0 = madd(v128.load(r), d, s0);
        t0 = madd(v128.load(r, 16), e, t0);
        s1 = madd(v128.load(r, PIXEL), d, s1);
        t1 = madd(v128.load(r, PIXEL + 16), e, t1);
        s2 = madd(v128.load(r, 2 * PIXEL), d, s2);
        t2 = madd(v128.load(r, 2 * PIXEL + 16), e, t2);
        s3 = madd(v128.load(q), d, s3);
        t3 = madd(v128.load(q, 16), e, t3);
        s4 = madd(v128.load(q, PIXEL), d, s4);
        t4 = madd(v128.load(q, PIXEL + 16), e, t4);
        s5 = madd(v128.load(q, 2 * PIXEL), d, s5);
        t5 = madd(v128.load(q, 2 * PIXEL + 16), e, t5);
      }
    }
  }
  v128.store(y, s0);
  v128.store(y, t0, 16);
  v128.store(y, s1, 32);
  v128.store(y, t1, 48);
  v128.store(y, s2, 64);
  v128.store(y, t2, 80);
  v128.store(y, s3, 96);
  v128.store(y, t3, 112);
  v128.store(y, s4, 128);
  v128.store(y, t4, 144);
  v128.store(y, s5, 160);
  v128.store(y, t5, 176);
}

/** One row of three; two pixels at a time, with sums of their own: three alone would wait for each other. */
export function pairRow3(p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const width = arg(p, 9);
  let s0 = v128.load(y);
  let t0 = v128.load(y, 16);
  let s1 = v128.load(y, 32);
  let t1 = v128.load(y, 48);
  let s2 = v128.load(y, 64);
  let t2 = v128.load(y, 80);
  let a0 = f32x4.splat(0);
  let b0 = a0;
  let a1 = a0;
  let b1 = a0;
  let a2 = a0;
  let b2 = a0;
  for (; images > 0; images--, x += skip) {
    for (let line = lines; line > 0; line--, x += stepY) {
      let r = x;
      let i = width;
      for (; i > 1; i -= 2) {
        const d = v128.load(g);
        const e = v128.load(g, 16);
        s0 = madd(v128.load(r), d, s0);
        t0 = madd(v128.load(r, 16), e, t0);
        s1 = madd(v128.load(r, PIXEL), d, s1);
        t1 = madd(v128.load(r, PIXEL + 16), e, t1);
        s2 = madd(v128.load(r, 2 * PIXEL), d, s2);
        t2 = madd(v128.load(r, 2 * PIXEL + 16), e, t2);
        g += stepG;
        r += stepX;
        const f = v128.load(g);
        const h = v128.load(g, 16);
        a0 = madd(v128.load(r), f, a0);
        b0 = madd(v128.load(r, 16), h, b0);
        a1 = madd(v128.load(r, PIXEL), f, a1);
        b1 = madd(v128.load(r, PIXEL + 16), h, b1);
        a2 = madd(v128.load(r, 2 * PIXEL), f, a2);
        b2 = madd(v128.load(r, 2 * PIXEL + 16), h, b2);
        g += stepG;
        r += stepX;
      }
      if (i > 0) {
        const d = v128.load(g);
        const e = v128.load(g, 16);
        s0 = madd(v128.load(r), d, s0);
        t0 = madd(v128.load(r, 16), e, t0);
        s1 = madd(v128.load(r, PIXEL), d, s1);
        t1 = madd(v128.load(r, PIXEL + 16), e, t1);
        s2 = madd(v128.load(r, 2 * PIXEL), d, s2);
        t2 = madd(v128.load(r, 2 * PIXEL + 16), e, t2);
        g += stepG;
      }
    }
  }
  v128.store(y, f32x4.add(s0, a0));
  v128.store(y, f32x4.add(t0, b0), 16);
  v128.store(y, f32x4.add(s1, a1), 32);
  v128.store(y, f32x4.add(t1, b1), 48);
  v128.store(y, f32x4.add(s2, a2), 64);
  v128.store(y, f32x4.add(t2, b2), 80);
}

/** One row of five. */
export function pairRow5(p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const length = <usize>arg(p, 9) * stepG;
  let s0 = v128.load(y);
  let t0 = v128.load(y, 16);
  let s1 = v128.load(y, 32);
  let t1 = v128.load(y, 48);
  let s2 = v128.load(y, 64);
  let t2 = v128.load(y, 80);
  let s3 = v128.load(y, 96);
  let t3 = v128.load(y, 112);
  let s4 = v128.load(y, 128);
  let t4 = v128.load(y, 144);
  for (; images > 0; images--, x += skip) {
    for (let line = lines; line > 0; line--, x += stepY) {
      let r = x;
      for (const stop = g + length; g < stop; g += stepG, r += stepX) {
        const d = v128.load(g);
        const e = v128.load(g, 16);
        s0 = madd(v128.load(r), d, s0);
        t0 = madd(v128.load(r, 16), e, t0);
        s1 = madd(v128.load(r, PIXEL), d, s1);
        t1 = madd(v128.load(r, PIXEL + 16), e, t1);
        s2 = madd(v128.load(r, 2 * PIXEL), d, s2);
        t2 = madd(v128.load(r, 2 * PIXEL + 16), e, t2);
        s3 = madd(v128.load(r, 3 * PIXEL), d, s3);
        t3 = madd(v128.load(r, 3 * PIXEL + 16), e, t3);
        s4 = madd(v128.load(r, 4 * PIXEL), d, s4);
        t4 = madd(v128.load(r, 4 * PIXEL + 16), e, t4);
      }
    }
  }
  v128.store(y, s0);
  v128.store(y, t0, 16);
  v128.store(y, s1, 32);
  v128.store(y, t1, 48);
  v128.store(y, s2, 64);
  v128.store(y, t2, 80);
  v128.store(y, s3, 96);
  v128.store(y, t3, 112);
  v128.store(y, s4, 128);
  v128.store(y, t4, 144);
}

/** A window of another shape or dilation, tap by tap. */
export function pairOfAny(p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const length = <usize>arg(p, 9) * stepG;
  for (let ky = 0; ky < arg(p, 10); ky++) {
    for (let kx = 0; kx < arg(p, 11); kx++, y += 32) {
      let row = x + <usize>(ky * arg(p, 16)) * rowBytes + <usize>(kx * arg(p, 17)) * PIXEL;
      let d = g;
      let s = v128.load(y);
      let t = v128.load(y, 16);
      for (let image = images; image > 0; image--, row += skip) {
        for (let line = lines; line > 0; line--, row += stepY) {
          let r = row;
          for (const stop = d + length; d < stop; d += stepG, r += stepX) {
            s = madd(v128.load(r), v128.load(d), s);
            t = madd(v128.load(r, 16), v128.load(d, 16), t);
          }
        }
      }
      v128.store(y, s);
      v128.store(y, t, 16);
    }
  }
}
