import { endFour } from './int8-depthwise-end';

/**
 * The inner loop of an int8 depthwise convolution with a kernel `WIDTH` wide: four neighbouring output pixels, all channels of a range, `rows` rows of the
 * kernel, in 16-bit arithmetic. Each input is read once for all taps that it meets. Written out for each width and stride, as in depthwise-rows.ts.
 *
 * `x` is the first input pixel, `pixel` the bytes from one to the next, `skip` from the last one read in a row to the first of the next row; `w`
 * the packed weights, `before` and `after` the bytes from a vector's start to its first row used, and from behind the last one used to the next
 * vector; `k` the constants of the end; `from` what the sums start with and `step` from one vector of it to the next; `y` the outputs; `bytes` the
 * channels.
 */
export function fourBytes<WIDTH extends number, STRIDE extends number>(
  p: usize, k: usize, x: usize, pixel: usize, skip: usize, w: usize, before: usize, after: usize, from: usize, step: usize, y: usize, r: usize,
  bytes: usize, rows: i32,
): void {
  const columns = 3 * STRIDE + WIDTH;
  let taps: Registers<v128>;
  let v: v128;
  for (const end = y + bytes; y < end; y += 8, r += 8, x += 8, from += step) {
    const head = w;
    w += before;
    let c: Registers<v128>;
    unroll: for (let i = 0; i < 4; i++) c[i] = i == 0 ? v128.load(from) : c[0];
    let q = x;
    for (let row = rows; row > 0; row--) {
      unroll: for (let tap = 0; tap < WIDTH; tap++) taps[tap] = v128.load8x8_s(w, 8 * tap);
      w += 8 * WIDTH;
      unroll: for (let column = 0; column < columns; column++) {
        v = v128.load8x8_s(q);
        unroll: for (let i = 0; i < 4; i++) {
          const tap = column - i * STRIDE;
          if (tap >= 0 && tap < WIDTH) c[i] = i16x8.add(c[i], i16x8.mul(v, taps[tap]));
        }
        q += column < columns - 1 ? pixel : skip;
      }
    }
    w += after;
    endFour(p, k, head, y, r, c[0], c[1], c[2], c[3]);
  }
}
