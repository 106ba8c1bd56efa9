import { arg, floatArg } from './args';
import { first, last } from './share';
import { madd } from './vector';

// Batch normalisation in training: the statistics (the gradient: train-norm-gradient.ts). Sums over the batch are taken in chunks of rows, each by one
// thread, a few rows in single precision and those in double, and the chunks are added in one order: the result does not depend on the number of
// threads, and is as good as single precision can tell. That matters: an element whose sign behind a batch norm comes out wrong passes a gradient
// that it should not. Chunks do not reach over the end of a block of images (ops/batch-blocks.ts).

/** Where a chunk begins: `perBlock` of `size` rows make a block of `rows`, the last of them with what is left. */
// @ts-expect-error: decorator
@inline
export function chunkStart(chunk: i32, rows: i32, size: i32, perBlock: i32): i32 {
  const block = chunk / perBlock;
  return block * rows + (chunk - block * perBlock) * size;
}

/** The rows of a chunk. */
// @ts-expect-error: decorator
@inline
export function chunkRows(chunk: i32, rows: i32, size: i32, perBlock: i32): i32 {
  return min(size, rows - (chunk % perBlock) * size);
}

/** Rows that are summed in single precision. */
export const FEW: i32 = 16;

/** Rows that the vectors of channels pass over one after the other, while they are in the nearest cache. */
export const SOME: i32 = 64;

/** Adds the four floats of `v` to four doubles. */
// @ts-expect-error: decorator
@inline
export function accumulate(y: usize, v: v128): void {
  v128.store(y, f64x2.add(v128.load(y), f64x2.promote_low_f32x4(v)));
  v128.store(y, f64x2.add(v128.load(y, 16), f64x2.promote_low_f32x4(i32x4.shuffle(v, v, 2, 3, 0, 1))), 16);
}

/**
 * Adds two parts of eight floats to doubles, `padded` bytes apart. For vectors of 256 bits they go through memory, all before the first is read again, for
 * V8 to see that they lie side by side (see tiles.ts); those of 128 would only lose time.
 */
// @ts-expect-error: decorator
@inline
export function accumulateTwo(y: usize, padded: usize, a0: v128, a1: v128, b0: v128, b1: v128, scratch: usize): void {
  if (WIDE_SIMD) {
    v128.store(scratch, a0);
    v128.store(scratch, a1, 16);
    v128.store(scratch, b0, 32);
    v128.store(scratch, b1, 48);
    accumulateEight(y, scratch);
    accumulateEight(y + padded, scratch + 32);
  } else {
    accumulate(y, a0);
    accumulate(y + 32, a1);
    accumulate(y + padded, b0);
    accumulate(y + padded + 32, b1);
  }
}

/** Adds eight floats in memory to eight doubles. */
// @ts-expect-error: decorator
@inline
export function accumulateEight(y: usize, floats: usize): void {
  accumulate(y, v128.load(floats));
  accumulate(y + 32, v128.load(floats, 16));
}

/**
 * For every chunk the sums of `x - pivot` and of its square, and the pivot, which is the chunk's first row: near the mean, so that nothing
 * cancels.
 * Arguments: 0 x, 1 its row stride, 2 rows of a block, 3 channels, 4 rows of a chunk, 5 chunks of a block, 6 chunks, 7 partial sums
 * `[chunk][3][padded channels]` (doubles), 8 padded channels, 9 scratch for 16 floats, 10 its bytes per thread.
 */
export function batchMoments(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 3);
  const padded = <usize>arg(p, 8) << 3;
  const stride = <usize>arg(p, 1) << 2;
  const scratch = <usize>arg(p, 9) + <usize>(tid * arg(p, 10));
  const end = last(arg(p, 6), 1, tid, threads);
  for (let chunk = first(arg(p, 6), 1, tid, threads); chunk < end; chunk++) {
    const count = chunkRows(chunk, arg(p, 2), arg(p, 4), arg(p, 5));
    const start = <usize>arg(p, 0) + <usize>chunkStart(chunk, arg(p, 2), arg(p, 4), arg(p, 5)) * stride;
    const y = <usize>arg(p, 7) + <usize>(chunk * 3) * padded;
    memory.fill(y, 0, padded * 3);
    for (let row = 0; row < count; row += SOME) {
      for (let c = 0; c < channels; c += 8) {
        const pivot = start + (<usize>c << 2);
        moments(pivot + <usize>row * stride, stride, min(SOME, count - row), pivot, y + (<usize>c << 3), padded, scratch);
      }
    }
    for (let c = 0; c < channels; c += 4) accumulate(y + (padded << 1) + (<usize>c << 3), v128.load(start + (<usize>c << 2)));
  }
}

function moments(x: usize, stride: usize, count: i32, pivot: usize, y: usize, padded: usize, scratch: usize): void {
  let p: Registers<v128>;
  unroll: for (let n = 0; n < 2; n++) p[n] = v128.load(pivot, 16 * n);
  for (; count > 0; count -= FEW) {
    // Two rows at a time, with sums of their own: an addition has to wait for the one before.
    let s: Registers<v128>;
    let q: Registers<v128>;
    let v: Registers<v128>;
    unroll: for (let row = 0; row < 2; row++) {
      unroll: for (let n = 0; n < 2; n++) {
        s[row][n] = f32x4.splat(0);
        q[row][n] = f32x4.splat(0);
      }
    }
    let i = min(FEW, count);
    for (; i > 1; i -= 2) {
      unroll: for (let row = 0; row < 2; row++) {
        unroll: for (let n = 0; n < 2; n++) {
          v[n] = f32x4.sub(v128.load(x, 16 * n), p[n]);
          s[row][n] = f32x4.add(s[row][n], v[n]);
          q[row][n] = madd(v[n], v[n], q[row][n]);
        }
        x += stride;
      }
    }
    if (i > 0) {
      unroll: for (let n = 0; n < 2; n++) v[n] = f32x4.sub(v128.load(x, 16 * n), p[n]);
      unroll: for (let n = 0; n < 2; n++) s[0][n] = f32x4.add(s[0][n], v[n]);
      unroll: for (let n = 0; n < 2; n++) q[0][n] = madd(v[n], v[n], q[0][n]);
      x += stride;
    }
    unroll: for (let n = 0; n < 2; n++) {
      s[0][n] = f32x4.add(s[0][n], s[1][n]);
      q[0][n] = f32x4.add(q[0][n], q[1][n]);
    }
    accumulateTwo(y, padded, s[0][0], s[0][1], q[0][0], q[0][1], scratch);
  }
}

/**
 * Arguments: 0 partial sums, 1 padded channels, 2 rows of a block, 3 rows of a chunk, 4 chunks of a block, 5 chunks, 6 channels, 7 means and
 * variances `[2][channels]`.
 */
export function batchMomentsEnd(p: usize, tid: i32, threads: i32): void {
  const padded = <usize>arg(p, 1) << 3;
  const chunks = arg(p, 5);
  const channels = arg(p, 6);
  const rows = <f64>(arg(p, 2) * (chunks / arg(p, 4)));
  const end = last(channels, 16, tid, threads);
  for (let c = first(channels, 16, tid, threads); c < end; c++) {
    const partial = <usize>arg(p, 0) + (<usize>c << 3);
    let from = partial;
    // Relative to the first chunk's pivot, again so that nothing cancels.
    const pivot = load<f64>(from + (padded << 1));
    let sum: f64 = 0;
    for (let chunk = 0; chunk < chunks; chunk++, from += padded * 3) {
      const count = <f64>chunkRows(chunk, arg(p, 2), arg(p, 3), arg(p, 4));
      sum += load<f64>(from) + count * (load<f64>(from + (padded << 1)) - pivot);
    }
    const mean = pivot + sum / rows;
    let squares: f64 = 0;
    from = partial;
    for (let chunk = 0; chunk < chunks; chunk++, from += padded * 3) {
      const count = <f64>chunkRows(chunk, arg(p, 2), arg(p, 3), arg(p, 4));
      const away = mean - load<f64>(from + (padded << 1));
      squares += load<f64>(from + padded) + away * (count * away - 2 * load<f64>(from));
    }
    const y = <usize>arg(p, 7) + (<usize>c << 2);
    store<f32>(y, <f32>mean);
    store<f32>(y + (<usize>channels << 2), <f32>max<f64>(0, squares / rows));
  }
}

/** Adds chunks. Arguments: 0 partial sums `[chunk][parts][padded]` (doubles), 1 chunks, 2 parts, 3 channels, 4 the padded, 5 y `[parts][channels]`. */
export function sumChunks(p: usize, tid: i32, threads: i32): void {
  const chunks = arg(p, 1);
  const parts = arg(p, 2);
  const channels = arg(p, 3);
  const padded = arg(p, 4);
  const total = parts * channels;
  const end = last(total, 16, tid, threads);
  for (let i = first(total, 16, tid, threads); i < end; i++) {
    const part = i / channels;
    let from = <usize>arg(p, 0) + <usize>((part * padded + i - part * channels) << 3);
    let sum: f64 = 0;
    for (let chunk = 0; chunk < chunks; chunk++, from += <usize>(parts * padded) << 3) sum += load<f64>(from);
    store<f32>(<usize>arg(p, 5) + (<usize>i << 2), <f32>sum);
  }
}

/**
 * Scale, shift and inverse deviation of a batch norm, `[3][channels]`.
 * Arguments: 0 statistics `[2][channels]`, 1 weight, 2 bias, 3 channels, 4 epsilon, 5 y.
 */
export function batchNormAffine(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 3);
  const row = <usize>channels << 2;
  const end = last(channels, 16, tid, threads);
  for (let c = first(channels, 16, tid, threads); c < end; c++) {
    const at = <usize>c << 2;
    const statistics = <usize>arg(p, 0) + at;
    const inverse = 1 / sqrt<f64>(<f64>load<f32>(statistics + row) + <f64>floatArg(p, 4));
    const scale = <f64>load<f32>(<usize>arg(p, 1) + at) * inverse;
    const y = <usize>arg(p, 5) + at;
    store<f32>(y, <f32>scale);
    store<f32>(y + row, <f32>(<f64>load<f32>(<usize>arg(p, 2) + at) - <f64>load<f32>(statistics) * scale));
    store<f32>(y + (row << 1), <f32>inverse);
  }
}
