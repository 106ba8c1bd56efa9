// Kernels that work on four channels of many rows at a time read a line of memory here and one there, which no processor foresees. Where rows
// come from memory, they are therefore read once before, in their order: what follows finds them in the cache.

/** Rows that are worked on together, and the fewest of them: more would not stay in the nearest cache, fewer would not be worth the parameters. */
const MOST_ROWS: i32 = 128;
const FEWEST_ROWS: i32 = 24;
/** Floats of all tensors, about. */
const FLOATS: i32 = 6144;

let seen: i32 = 0;

/** How many rows of `channels` to work on together in `tensors` tensors, those that are written among them. */
// @ts-expect-error: decorator
@inline
export function rowsAhead(channels: i32, tensors: i32): i32 {
  return min(MOST_ROWS, max(FEWEST_ROWS, FLOATS / (channels * tensors)));
}

/** Floats that are read ahead at a time, about, where it is from one tensor alone: the second cache has room for them beside what is worked on. */
const FAR: i32 = 16384;

/** How many rows of `channels` to read ahead, in whole blocks of `block` rows. */
// @ts-expect-error: decorator
@inline
export function rowsFar(channels: i32, block: i32): i32 {
  return max(1, FAR / (channels * block)) * block;
}

/** Reads `rows` rows of `stride` floats from the one with the number `row` on, up to the start of the last: behind it there may be no memory. */
// @ts-expect-error: decorator
@inline
export function readAhead(x: i32, stride: i32, row: i32, rows: i32): void {
  sweep(<usize>x + <usize>(row * stride * 4), <usize>((rows - 1) * stride * 4));
}

function sweep(x: usize, bytes: usize): void {
  const end = x + bytes;
  // In four places at once: a processor reads ahead by itself, but to the end of a page only.
  const part = (bytes >> 2) & ~63;
  let v = v128.load(x);
  for (const stop = x + part; x < stop; x += 64) {
    v = v128.or(v, v128.load(x));
    v = v128.or(v, v128.load(x + part));
    v = v128.or(v, v128.load(x + 2 * part));
    v = v128.or(v, v128.load(x + 3 * part));
  }
  for (x += 3 * part; x <= end; x += 64) v = v128.or(v, v128.load(x));
  // Otherwise nothing would need the loads.
  seen = i32x4.extract_lane(v, 0);
}
