import { arg } from './args';
import { endQuad } from './int8-depthwise-end';

// The inner loops of a depthwise convolution by dot products: four channels of `rows` rows of output pixels, four pixels at a time. `a` to `e` are
// what the kernel's rows read of the image, as int8-depthwise-dots.ts keeps it, `step` bytes from one pair of columns to the next and `slot` bytes from
// the rows of one output row to those of the next; `w` the weights, for each row of the kernel `[4 channels][4 taps]`, twice for five taps, zeros
// behind the last. A pixel at an odd column has the same weights one byte further on.

// @ts-expect-error: decorator
@inline
function dot(w: v128, x: v128, sum: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum);
  return sum;
}

/** 3x3. */
export function quad3(
  p: usize, k: usize, a: usize, b: usize, c: usize, step: usize, w: usize, head: usize, y: usize, r: usize,
  width: i32, rows: i32, slot: usize,
): void {
  const u0 = v128.load(w);
  const u1 = v128.load(w, 16);
  const u2 = v128.load(w, 32);
  const v0 = i32x4.shl(u0, 8);
  const v1 = i32x4.shl(u1, 8);
  const v2 = i32x4.shl(u2, 8);
  const zero = i32x4.splat(0);
  const strideY = <usize>arg(p, 3);
  const strideR = <usize>arg(p, 23);
  const lineY = <usize>width * strideY;
  const lineR = <usize>width * strideR;
  for (; rows > 0; rows--, y += lineY, r += lineR) {
    let q0 = a;
    let q1 = b;
    let q2 = c;
    let to = y;
    let rest = r;
    for (let count = width; count > 0; count -= 4) {
      let x = v128.load(q0);
      let c0 = dot(u0, x, zero);
      let c1 = dot(v0, x, zero);
      x = v128.load(q0 + step);
      let c2 = dot(u0, x, zero);
      let c3 = dot(v0, x, zero);
      q0 += step << 1;
      x = v128.load(q1);
      c0 = dot(u1, x, c0);
      c1 = dot(v1, x, c1);
      x = v128.load(q1 + step);
      c2 = dot(u1, x, c2);
      c3 = dot(v1, x, c3);
      q1 += step << 1;
      x = v128.load(q2);
      c0 = dot(u2, x, c0);
      c1 = dot(v2, x, c1);
      x = v128.load(q2 + step);
      c2 = dot(u2, x, c2);
      c3 = dot(v2, x, c3);
      q2 += step << 1;
      endQuad(p, k, head, to, rest, c0, c1, c2, c3, count);
      to += strideY << 2;
      rest += strideR << 2;
    }
    a += slot;
    b += slot;
    c += slot;
  }
}

/** 5x5. */
export function quad5(
  p: usize, k: usize, a: usize, b: usize, c: usize, d: usize, e: usize, step: usize, w: usize, head: usize, y: usize, r: usize,
  width: i32, rows: i32, slot: usize,
): void {
  const zero = i32x4.splat(0);
  const strideY = <usize>arg(p, 3);
  const strideR = <usize>arg(p, 23);
  const lineY = <usize>width * strideY;
  const lineR = <usize>width * strideR;
  for (; rows > 0; rows--, y += lineY, r += lineR) {
    let q0 = a;
    let q1 = b;
    let q2 = c;
    let q3 = d;
    let q4 = e;
    let to = y;
    let rest = r;
    for (let count = width; count > 0; count -= 4) {
      let c0 = zero;
      let c1 = zero;
      let c2 = zero;
      let c3 = zero;
      let u = v128.load(w);
      let t = v128.load(w, 16);
      let v = i32x4.shl(u, 8);
      let z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      let x = v128.load(q0);
      c0 = dot(u, x, c0);
      c1 = dot(v, x, c1);
      q0 += step;
      x = v128.load(q0);
      c2 = dot(u, x, c2);
      c3 = dot(v, x, c3);
      q0 += step;
      x = v128.load(q0);
      c0 = dot(t, x, c0);
      c1 = dot(z, x, c1);
      x = v128.load(q0 + step);
      c2 = dot(t, x, c2);
      c3 = dot(z, x, c3);
      u = v128.load(w, 32);
      t = v128.load(w, 48);
      v = i32x4.shl(u, 8);
      z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      x = v128.load(q1);
      c0 = dot(u, x, c0);
      c1 = dot(v, x, c1);
      q1 += step;
      x = v128.load(q1);
      c2 = dot(u, x, c2);
      c3 = dot(v, x, c3);
      q1 += step;
      x = v128.load(q1);
      c0 = dot(t, x, c0);
      c1 = dot(z, x, c1);
      x = v128.load(q1 + step);
      c2 = dot(t, x, c2);
      c3 = dot(z, x, c3);
      u = v128.load(w, 64);
      t = v128.load(w, 80);
      v = i32x4.shl(u, 8);
      z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      x = v128.load(q2);
      c0 = dot(u, x, c0);
      c1 = dot(v, x, c1);
      q2 += step;
      x = v128.load(q2);
      c2 = dot(u, x, c2);
      c3 = dot(v, x, c3);
      q2 += step;
      x = v128.load(q2);
      c0 = dot(t, x, c0);
      c1 = dot(z, x, c1);
      x = v128.load(q2 + step);
      c2 = dot(t, x, c2);
      c3 = dot(z, x, c3);
      u = v128.load(w, 96);
      t = v128.load(w, 112);
      v = i32x4.shl(u, 8);
      z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      x = v128.load(q3);
      c0 = dot(u, x, c0);
      c1 = dot(v, x, c1);
      q3 += step;
      x = v128.load(q3);
      c2 = dot(u, x, c2);
      c3 = dot(v, x, c3);
      q3 += step;
      x = v128.load(q3);
      c0 = dot(t, x, c0);
      c1 = dot(z, x, c1);
      x = v128.load(q3 + step);
      c2 = dot(t, x, c2);
      c3 = dot(z, x, c3);
      u = v128.load(w, 128);
      t = v128.load(w, 144);
      v = i32x4.shl(u, 8);
      z = v128.or(i32x4.shl(t, 8), i32x4.shr_u(u, 24));
      x = v128.load(q4);
      c0 = dot(u, x, c0);
      c1 = dot(v, x, c1);
      q4 += step;
      x = v128.load(q4);
      c2 = dot(u, x, c2);
      c3 = dot(v, x, c3);
      q4 += step;
      x = v128.load(q4);
      c0 = dot(t, x, c0);
      c1 = dot(z, x, c1);
      x = v128.load(q4 + step);
      c2 = dot(t, x, c2);
      c3 = dot(z, x, c3);
      endQuad(p, k, head, to, rest, c0, c1, c2, c3, count);
      to += strideY << 2;
      rest += strideR << 2;
    }
    a += slot;
    b += slot;
    c += slot;
    d += slot;
    e += slot;
  }
}
