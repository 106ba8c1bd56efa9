import { madd, storeLanes } from './vector';

/** The first `lanes` channels of four pixels. */
export function storeFour(y: usize, strideY: usize, c0: v128, c1: v128, c2: v128, c3: v128, lanes: i32): void {
  storeLanes(y, c0, lanes);
  storeLanes(y + strideY, c1, lanes);
  storeLanes(y + (strideY << 1), c2, lanes);
  storeLanes(y + strideY * 3, c3, lanes);
}

/** Zeros for a column that is outside of the image: one of more than `k` that are. */
// @ts-expect-error: decorator
@inline
function beyond(columns: i32, k: i32): v128 {
  return i32x4.splat(columns > k ? 0 : -1);
}

/**
 * The inner loop of a depthwise convolution with a kernel `WIDTH` wide: four neighbouring output pixels, all channels of a range, `rows` rows of the
 * kernel. Each input is read once for all taps that it meets. Written out for each width and stride, with no branch and few values alive: V8 then
 * keeps them in registers.
 *
 * `x` is the first input pixel, `pixel` the bytes from one to the next, `skip` from the last one read in a row to the first of the next row;
 * `w` the packed weights, `before` and `after` the bytes from a vector's bias to its first row used, and from behind the last one used to the
 * next vector; `y` and `r` the outputs and the residuals (zeros with stride 0 when there are none); `bytes` the channels, of which the last vector may
 * have less than four; `low` the least output. Of the columns, where there is an `EDGE`, the first `left` and the last `right` are outside of the image.
 *
 * `VECTORS` of channels go at a time, whose weights are `vector` bytes apart: two where V8 makes one of 256 bits of them (see tiles.ts), and then
 * nothing but whole pairs.
 */
export function fourPixels<WIDTH extends number, STRIDE extends number, EDGE extends boolean, VECTORS extends number>(
  x: usize, pixel: usize, skip: usize, w: usize, vector: usize, before: usize, after: usize, y: usize, strideY: usize, r: usize, strideR: usize,
  bytes: usize, low: f32, rows: i32, left: i32, right: i32,
): void {
  const columns = 3 * STRIDE + WIDTH;
  const half = WIDTH >> 1;
  let first: Registers<v128>;
  let last: Registers<v128>;
  if (EDGE) {
    unroll: for (let k = 0; k < half; k++) first[k] = beyond(left, k);
    unroll: for (let k = 0; k < half; k++) last[k] = beyond(right, k);
  }
  const least = f32x4.splat(low);
  for (const end = y + bytes; y < end; y += 16 * VECTORS, r += 16 * VECTORS, x += 16 * VECTORS) {
    let bias: Registers<v128>;
    let c: Registers<v128>;
    unroll: for (let n = 0; n < VECTORS; n++) bias[n] = v128.load(n == 0 ? w : w + vector);
    w += before;
    let q = r;
    unroll: for (let i = 0; i < 4; i++) {
      unroll: for (let n = 0; n < VECTORS; n++) c[i][n] = f32x4.add(bias[n], v128.load(q, 16 * n));
      if (i < 3) q += strideR;
    }
    q = x;
    for (let row = rows; row > 0; row--) {
      let k: Registers<v128>;
      let v: Registers<v128>;
      const other = w + vector;
      unroll: for (let tap = 0; tap < WIDTH; tap++) {
        unroll: for (let n = 0; n < VECTORS; n++) k[tap][n] = v128.load(n == 0 ? w : other, 16 * tap);
      }
      w += 16 * WIDTH;
      unroll: for (let column = 0; column < columns; column++) {
        unroll: for (let n = 0; n < VECTORS; n++) v[n] = v128.load(q, 16 * n);
        unroll: for (let n = 0; n < VECTORS; n++) {
          if (EDGE && column < half) v[n] = v128.and(v[n], first[column]);
          if (EDGE && column >= columns - half) v[n] = v128.and(v[n], last[columns - 1 - column]);
        }
        unroll: for (let i = 0; i < 4; i++) {
          const tap = column - i * STRIDE;
          unroll: for (let n = 0; n < VECTORS; n++) if (tap >= 0 && tap < WIDTH) c[i][n] = madd(v[n], k[tap][n], c[i][n]);
        }
        q += column < columns - 1 ? pixel : skip;
      }
    }
    w += VECTORS == 2 ? after + vector : after;
    if (VECTORS == 1) {
      unroll: for (let i = 0; i < 4; i++) c[i][0] = f32x4.pmax(c[i][0], least);
      if (end - y < 16) return storeFour(y, strideY, c[0][0], c[1][0], c[2][0], c[3][0], <i32>(end - y) >> 2);
    }
    q = y;
    unroll: for (let i = 0; i < 4; i++) {
      unroll: for (let n = 0; n < VECTORS; n++) v128.store(q, VECTORS == 2 ? f32x4.pmax(c[i][n], least) : c[i][n], 16 * n);
      if (i < 3) q += strideY;
    }
  }
}
