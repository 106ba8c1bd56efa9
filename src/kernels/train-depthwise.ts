import { arg } from './args';
import { first, last } from './share';
import { PIXEL, pairOfAny, pairRow3, pairRow5, pairRows3 } from './train-depthwise-wide';
import { madd } from './vector';

// The gradient of depthwise weights: for every tap a sum over all pixels. A block of the input is copied with zeros around it, so that no
// pixel is special; the sums of four channels then stay in registers for the whole block, a row or two of the window at a time.

/** Vectors of four channels that are copied together: a line of the cache. */
const GROUP: i32 = 4;

/**
 * The gradient of depthwise weights as partial sums `[chunk][channel / 4][tap][4]`, or `[tap][8]` for two vectors of them where vectors are wide;
 * threads share chunks of output lines and groups of channels.
 * Arguments: 0 x, 1 its row stride, 2 gradient, 3 its row stride, 4 N, 5 H, 6 W, 7 C, 8 OH, 9 OW, 10 kH, 11 kW, 12 13 stride,
 * 14 15 padding top and left, 16 17 dilation, 18 partial sums, 19 chunks, 20 scratch, 21 its bytes per thread, 22 output lines of a
 * block, 23 images of a block, if it has whole ones.
 */
export function depthwiseWeightGradient(p: usize, tid: i32, threads: i32): void {
  const lines = arg(p, 4) * arg(p, 8);
  const vectors = (arg(p, 7) + 3) >> 2;
  const groups = (vectors + GROUP - 1) / GROUP;
  const chunks = arg(p, 19);
  const taps = arg(p, 10) * arg(p, 11);
  const scratch = <usize>arg(p, 20) + <usize>(tid * arg(p, 21));
  const end = last(chunks * groups, 1, tid, threads);
  for (let unit = first(chunks * groups, 1, tid, threads); unit < end; unit++) {
    const chunk = unit / groups;
    const from = (unit - chunk * groups) * GROUP;
    const to = min(vectors, from + GROUP);
    const sums = <usize>arg(p, 18) + (<usize>((chunk * vectors + from) * taps) << 4);
    memory.fill(sums, 0, <usize>((to - from) * taps) << 4);
    const line = <i32>((<i64>lines * chunk) / chunks);
    chunkOf(p, line, <i32>((<i64>lines * (chunk + 1)) / chunks), from, to, scratch, sums);
  }
}

/** Output lines `line` to `end`, counted over all images, in blocks: some whole images, or some lines of one. */
function chunkOf(p: usize, line: i32, end: i32, from: i32, to: i32, scratch: usize, sums: usize): void {
  const outHeight = arg(p, 8);
  const taps = arg(p, 10) * arg(p, 11);
  const pixel = <usize>arg(p, 1) << 2;
  const square = arg(p, 16) == 1 && arg(p, 17) == 1 && arg(p, 10) == arg(p, 11) ? arg(p, 10) : 0;
  while (line < end) {
    const image = line / outHeight;
    const oy = line - image * outHeight;
    const whole = oy == 0 ? min(arg(p, 23), (end - line) / outHeight) : 0;
    const images = max(1, whole);
    const lines = whole > 0 ? outHeight : min(min(arg(p, 22), outHeight - oy), end - line);
    const rowBytes = <usize>((arg(p, 9) - 1) * arg(p, 13) + (arg(p, 11) - 1) * arg(p, 17) + 1) * PIXEL;
    const rows = (lines - 1) * arg(p, 12) + (arg(p, 10) - 1) * arg(p, 16) + 1;
    for (let i = 0; i < images; i++) {
      const x = <usize>arg(p, 0) + (<usize>from << 4) + <usize>((image + i) * arg(p, 5) * arg(p, 6)) * pixel;
      const top = oy * arg(p, 12) - arg(p, 14);
      const y = scratch + <usize>(i * rows) * rowBytes;
      copyPadded(p, x, pixel, to - from, top, rows, y, rowBytes);
    }
    let y = sums;
    let v = from;
    if (WIDE_SIMD) {
      for (; v + 2 <= to; v += 2, y += <usize>taps << 5) {
        const x = scratch + (<usize>(v - from) << 4);
        const g = <usize>arg(p, 2) + (<usize>v << 4) + <usize>(line * arg(p, 9)) * (<usize>arg(p, 3) << 2);
        const skip = <usize>(rows - lines * arg(p, 12)) * rowBytes;
        if (square == 3) {
          pairRows3(p, x, rowBytes, skip, g, images, lines, y);
          pairRow3(p, x + (rowBytes << 1), rowBytes, skip, g, images, lines, y + 192);
        } else if (square == 5) {
          for (let ky = 0; ky < 5; ky++) pairRow5(p, x + <usize>ky * rowBytes, rowBytes, skip, g, images, lines, y + <usize>(ky * 160));
        } else pairOfAny(p, x, rowBytes, skip, g, images, lines, y);
      }
    }
    for (; v < to; v++, y += <usize>taps << 4) {
      const x = scratch + (<usize>(v - from) << 4);
      const g = <usize>arg(p, 2) + (<usize>v << 4) + <usize>(line * arg(p, 9)) * (<usize>arg(p, 3) << 2);
      const skip = <usize>(rows - lines * arg(p, 12)) * rowBytes;
      if (square == 3) {
        rows3(p, x, rowBytes, skip, g, images, lines, y);
        row3(p, x + (rowBytes << 1), rowBytes, skip, g, images, lines, y + 96);
      } else if (square == 5) {
        for (let ky = 0; ky < 5; ky++) row5(p, x + <usize>ky * rowBytes, rowBytes, skip, g, images, lines, y + <usize>(ky * 80));
      } else anyWindow(p, x, rowBytes, skip, g, images, lines, y);
    }
    line += images * lines;
  }
}

/**
 * Copies `count` vectors of channels of an image at `x`, `pixel` bytes apart: `rows` rows from row `top` on, as wide as the windows reach, with
 * zeros for what lies outside.
 */
function copyPadded(p: usize, x: usize, pixel: usize, count: i32, top: i32, rows: i32, y: usize, rowBytes: usize): void {
  const height = arg(p, 5);
  const width = arg(p, 6);
  const low = <usize>arg(p, 15) * PIXEL;
  const high = min(rowBytes, low + <usize>width * PIXEL);
  for (let row = 0; row < rows; row++, y += rowBytes) {
    const iy = top + row;
    if (<u32>iy >= <u32>height) {
      memory.fill(y, 0, rowBytes);
      continue;
    }
    memory.fill(y, 0, low);
    if (high < rowBytes) memory.fill(y + high, 0, rowBytes - high);
    let v = x + <usize>(iy * width) * pixel;
    let q = y + low;
    const end = y + high;
    if (count == 4) {
      for (; q < end; q += PIXEL, v += pixel) {
        v128.store(q, v128.load(v));
        v128.store(q, v128.load(v, 16), 16);
        v128.store(q, v128.load(v, 32), 32);
        v128.store(q, v128.load(v, 48), 48);
      }
    } else if (count == 3) {
      for (; q < end; q += PIXEL, v += pixel) {
        v128.store(q, v128.load(v));
        v128.store(q, v128.load(v, 16), 16);
        v128.store(q, v128.load(v, 32), 32);
      }
    } else if (count == 2) {
      for (; q < end; q += PIXEL, v += pixel) {
        v128.store(q, v128.load(v));
        v128.store(q, v128.load(v, 16), 16);
      }
    } else {
      for (; q < end; q += PIXEL, v += pixel) v128.store(q, v128.load(v));
    }
  }
}

// Rows of the windows: `x` is the first input row that they see, `skip` the bytes from behind an image's last row that a window begins in to the
// next image, `g` the gradient of the first output pixel. V8 reads all that a loop needs before it multiplies, so there are no more sums in
// one than leave room for their inputs.

/** Two rows of three. */
function rows3(p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const length = <usize>arg(p, 9) * stepG;
  let s00 = v128.load(y);
  let s01 = v128.load(y, 16);
  let s02 = v128.load(y, 32);
  let s10 = v128.load(y, 48);
  let s11 = v128.load(y, 64);
  let s12 = v128.load(y, 80);
  for (; images > 0; images--, x += skip) {
    for (let line = lines; line > 0; line--, x += stepY) {
      let r0 = x;
      let r1 = x + rowBytes;
      for (const stop = g + length; g < stop; g += stepG, r0 += stepX, r1 += stepX) {
        const d = v128.load(g);
        s00 = madd(v128.load(r0), d, s00);
        s01 = madd(v128.load(r0, PIXEL), d, s01);
        s02 = madd(v128.load(r0, 2 * PIXEL), d, s02);
        s10 = madd(v128.load(r1), d, s10);
        s11 = madd(v128.load(r1, PIXEL), d, s11);
        s12 = madd(v128.load(r1, 2 * PIXEL), d, s12);
      }
    }
  }
  v128.store(y, s00);
  v128.store(y, s01, 16);
  v128.store(y, s02, 32);
  v128.store(y, s10, 48);
  v128.store(y, s11, 64);
  v128.store(y, s12, 80);
}

/** One row of three; two pixels at a time, with sums of their own: three alone would wait for each other. */
function row3(p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const width = arg(p, 9);
  let s0 = v128.load(y);
  let s1 = v128.load(y, 16);
  let s2 = v128.load(y, 32);
  let t0 = f32x4.splat(0);
  let t1 = t0;
  let t2 = t0;
  for (; images > 0; images--, x += skip) {
    for (let line = lines; line > 0; line--, x += stepY) {
      let r = x;
      let i = width;
      for (; i > 1; i -= 2) {
        const d = v128.load(g);
        const next = r + stepX;
        const e = v128.load(g + stepG);
        s0 = madd(v128.load(r), d, s0);
        s1 = madd(v128.load(r, PIXEL), d, s1);
        s2 = madd(v128.load(r, 2 * PIXEL), d, s2);
        t0 = madd(v128.load(next), e, t0);
        t1 = madd(v128.load(next, PIXEL), e, t1);
        t2 = madd(v128.load(next, 2 * PIXEL), e, t2);
        g += stepG << 1;
        r = next + stepX;
      }
      if (i > 0) {
        const d = v128.load(g);
        s0 = madd(v128.load(r), d, s0);
        s1 = madd(v128.load(r, PIXEL), d, s1);
        s2 = madd(v128.load(r, 2 * PIXEL), d, s2);
        g += stepG;
      }
    }
  }
  v128.store(y, f32x4.add(s0, t0));
  v128.store(y, f32x4.add(s1, t1), 16);
  v128.store(y, f32x4.add(s2, t2), 32);
}

/** One row of five. */
function row5(p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const length = <usize>arg(p, 9) * stepG;
  let s0 = v128.load(y);
  let s1 = v128.load(y, 16);
  let s2 = v128.load(y, 32);
  let s3 = v128.load(y, 48);
  let s4 = v128.load(y, 64);
  for (; images > 0; images--, x += skip) {
    for (let line = lines; line > 0; line--, x += stepY) {
      let r = x;
      for (const stop = g + length; g < stop; g += stepG, r += stepX) {
        const d = v128.load(g);
        s0 = madd(v128.load(r), d, s0);
        s1 = madd(v128.load(r, PIXEL), d, s1);
        s2 = madd(v128.load(r, 2 * PIXEL), d, s2);
        s3 = madd(v128.load(r, 3 * PIXEL), d, s3);
        s4 = madd(v128.load(r, 4 * PIXEL), d, s4);
      }
    }
  }
  v128.store(y, s0);
  v128.store(y, s1, 16);
  v128.store(y, s2, 32);
  v128.store(y, s3, 48);
  v128.store(y, s4, 64);
}

/** A window of another shape or dilation, tap by tap. */
function anyWindow(p: usize, x: usize, rowBytes: usize, skip: usize, g: usize, images: i32, lines: i32, y: usize): void {
  const stepX = <usize>arg(p, 13) * PIXEL;
  const stepY = <usize>arg(p, 12) * rowBytes;
  const stepG = <usize>arg(p, 3) << 2;
  const length = <usize>arg(p, 9) * stepG;
  for (let ky = 0; ky < arg(p, 10); ky++) {
    for (let kx = 0; kx < arg(p, 11); kx++, y += 16) {
      let row = x + <usize>(ky * arg(p, 16)) * rowBytes + <usize>(kx * arg(p, 17)) * PIXEL;
      let d = g;
      let sum = v128.load(y);
      for (let image = images; image > 0; image--, row += skip) {
        for (let line = lines; line > 0; line--, row += stepY) {
          let r = row;
          for (const stop = d + length; d < stop; d += stepG, r += stepX) sum = madd(v128.load(r), v128.load(d), sum);
        }
      }
      v128.store(y, sum);
    }
  }
}

/** Adds the chunks of {@link depthwiseWeightGradient} to a weight `[C][tap]`. Arguments: 0 partial sums, 1 chunks, 2 C, 3 taps, 4 y. */
export function depthwiseWeightGradientEnd(p: usize, tid: i32, threads: i32): void {
  if (tid != 0) return;
  const channels = arg(p, 2);
  const taps = arg(p, 3);
  const vectors = (channels + 3) >> 2;
  const step = <usize>(vectors * taps) << 4;
  for (let c = 0; c < channels; c++) {
    const vector = c >> 2;
    // Where sums are made of two vectors at a time, those of a tap lie side by side.
    const paired = WIDE_SIMD && (vector | 1) < vectors;
    const first = paired ? (vector & ~1) * taps * 16 + (c & 7) * 4 : vector * taps * 16 + (c & 3) * 4;
    const next = paired ? 32 : 16;
    for (let tap = 0; tap < taps; tap++) {
      let from = <usize>arg(p, 0) + <usize>(first + tap * next);
      let sum: f32 = 0;
      for (let chunk = 0; chunk < arg(p, 1); chunk++, from += step) sum += load<f32>(from);
      store<f32>(<usize>arg(p, 4) + <usize>((c * taps + tap) << 2), sum);
    }
  }
}
