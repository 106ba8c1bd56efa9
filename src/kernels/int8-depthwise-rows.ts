import { endFour } from './int8-depthwise-end';

// The inner loops of an int8 depthwise convolution: four neighbouring output pixels, all channels of a range, `rows` rows of the kernel, in 16-bit
// arithmetic. Each input is read once for all taps that it meets. Written out for each width and stride, as in depthwise-rows.ts.
//
// `x` is the first input pixel, `pixel` the bytes from one to the next, `skip` from the last one read in a row to the first of the next row; `w`
// the packed weights, `before` and `after` the bytes from a vector's start to its first row used, and from behind the last one used to the next
// vector; `k` the constants of the end; `from` what the sums start with and `step` from one vector of it to the next; `y` the outputs; `bytes` the channels.

/** Kernel width 3, stride 1. */
export function fourBytes3s1(
  p: usize, k: usize, x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, from: usize, step: usize, y: usize, r: usize,
  bytes: usize, rows: i32,
): void {
  let k0: v128;
  let k1: v128;
  let k2: v128;
  let v: v128;
  for (const end = y + bytes; y < end; y += 8, r += 8, x += 8, from += step) {
    const head = w;
    w += before;
    let c0 = v128.load(from);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let q = x;
    for (let i = rows; i > 0; i--) {
      k0 = v128.load8x8_s(w);
      k1 = v128.load8x8_s(w, 8);
      k2 = v128.load8x8_s(w, 16);
      w += 24;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k1));
      c1 = i16x8.add(c1, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k2));
      c1 = i16x8.add(c1, i16x8.mul(v, k1));
      c2 = i16x8.add(c2, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c1 = i16x8.add(c1, i16x8.mul(v, k2));
      c2 = i16x8.add(c2, i16x8.mul(v, k1));
      c3 = i16x8.add(c3, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c2 = i16x8.add(c2, i16x8.mul(v, k2));
      c3 = i16x8.add(c3, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c3 = i16x8.add(c3, i16x8.mul(v, k2));
      q += skip;
    }
    w += after;
    endFour(p, k, head, y, r, c0, c1, c2, c3);
  }
}

/** Kernel width 3, stride 2. */
export function fourBytes3s2(
  p: usize, k: usize, x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, from: usize, step: usize, y: usize, r: usize,
  bytes: usize, rows: i32,
): void {
  let k0: v128;
  let k1: v128;
  let k2: v128;
  let v: v128;
  for (const end = y + bytes; y < end; y += 8, r += 8, x += 8, from += step) {
    const head = w;
    w += before;
    let c0 = v128.load(from);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let q = x;
    for (let i = rows; i > 0; i--) {
      k0 = v128.load8x8_s(w);
      k1 = v128.load8x8_s(w, 8);
      k2 = v128.load8x8_s(w, 16);
      w += 24;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k2));
      c1 = i16x8.add(c1, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c1 = i16x8.add(c1, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c1 = i16x8.add(c1, i16x8.mul(v, k2));
      c2 = i16x8.add(c2, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c2 = i16x8.add(c2, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c2 = i16x8.add(c2, i16x8.mul(v, k2));
      c3 = i16x8.add(c3, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c3 = i16x8.add(c3, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c3 = i16x8.add(c3, i16x8.mul(v, k2));
      q += skip;
    }
    w += after;
    endFour(p, k, head, y, r, c0, c1, c2, c3);
  }
}

/** Kernel width 5, stride 1. */
export function fourBytes5s1(
  p: usize, k: usize, x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, from: usize, step: usize, y: usize, r: usize,
  bytes: usize, rows: i32,
): void {
  let k0: v128;
  let k1: v128;
  let k2: v128;
  let k3: v128;
  let k4: v128;
  let v: v128;
  for (const end = y + bytes; y < end; y += 8, r += 8, x += 8, from += step) {
    const head = w;
    w += before;
    let c0 = v128.load(from);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let q = x;
    for (let i = rows; i > 0; i--) {
      k0 = v128.load8x8_s(w);
      k1 = v128.load8x8_s(w, 8);
      k2 = v128.load8x8_s(w, 16);
      k3 = v128.load8x8_s(w, 24);
      k4 = v128.load8x8_s(w, 32);
      w += 40;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k1));
      c1 = i16x8.add(c1, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k2));
      c1 = i16x8.add(c1, i16x8.mul(v, k1));
      c2 = i16x8.add(c2, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k3));
      c1 = i16x8.add(c1, i16x8.mul(v, k2));
      c2 = i16x8.add(c2, i16x8.mul(v, k1));
      c3 = i16x8.add(c3, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k4));
      c1 = i16x8.add(c1, i16x8.mul(v, k3));
      c2 = i16x8.add(c2, i16x8.mul(v, k2));
      c3 = i16x8.add(c3, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c1 = i16x8.add(c1, i16x8.mul(v, k4));
      c2 = i16x8.add(c2, i16x8.mul(v, k3));
      c3 = i16x8.add(c3, i16x8.mul(v, k2));
      q += pixel;
      v = v128.load8x8_s(q);
      c2 = i16x8.add(c2, i16x8.mul(v, k4));
      c3 = i16x8.add(c3, i16x8.mul(v, k3));
      q += pixel;
      v = v128.load8x8_s(q);
      c3 = i16x8.add(c3, i16x8.mul(v, k4));
      q += skip;
    }
    w += after;
    endFour(p, k, head, y, r, c0, c1, c2, c3);
  }
}

/** Kernel width 5, stride 2. */
export function fourBytes5s2(
  p: usize, k: usize, x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, from: usize, step: usize, y: usize, r: usize,
  bytes: usize, rows: i32,
): void {
  let k0: v128;
  let k1: v128;
  let k2: v128;
  let k3: v128;
  let k4: v128;
  let v: v128;
  for (const end = y + bytes; y < end; y += 8, r += 8, x += 8, from += step) {
    const head = w;
    w += before;
    let c0 = v128.load(from);
    let c1 = c0;
    let c2 = c0;
    let c3 = c0;
    let q = x;
    for (let i = rows; i > 0; i--) {
      k0 = v128.load8x8_s(w);
      k1 = v128.load8x8_s(w, 8);
      k2 = v128.load8x8_s(w, 16);
      k3 = v128.load8x8_s(w, 24);
      k4 = v128.load8x8_s(w, 32);
      w += 40;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k2));
      c1 = i16x8.add(c1, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k3));
      c1 = i16x8.add(c1, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c0 = i16x8.add(c0, i16x8.mul(v, k4));
      c1 = i16x8.add(c1, i16x8.mul(v, k2));
      c2 = i16x8.add(c2, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c1 = i16x8.add(c1, i16x8.mul(v, k3));
      c2 = i16x8.add(c2, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c1 = i16x8.add(c1, i16x8.mul(v, k4));
      c2 = i16x8.add(c2, i16x8.mul(v, k2));
      c3 = i16x8.add(c3, i16x8.mul(v, k0));
      q += pixel;
      v = v128.load8x8_s(q);
      c2 = i16x8.add(c2, i16x8.mul(v, k3));
      c3 = i16x8.add(c3, i16x8.mul(v, k1));
      q += pixel;
      v = v128.load8x8_s(q);
      c2 = i16x8.add(c2, i16x8.mul(v, k4));
      c3 = i16x8.add(c3, i16x8.mul(v, k2));
      q += pixel;
      v = v128.load8x8_s(q);
      c3 = i16x8.add(c3, i16x8.mul(v, k3));
      q += pixel;
      v = v128.load8x8_s(q);
      c3 = i16x8.add(c3, i16x8.mul(v, k4));
      q += skip;
    }
    w += after;
    endFour(p, k, head, y, r, c0, c1, c2, c3);
  }
}
