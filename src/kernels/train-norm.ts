import { readAhead, rowsAhead, rowsFar } from './ahead';
import { arg, floatArg } from './args';
import { first, last } from './share';
import { madd, storeLanes } from './vector';

// Batch normalisation in training: statistics, and the gradient. Sums over the batch are taken in chunks of rows, each by one thread, a few rows
// in single precision and those in double, and the chunks are added in one order: the result does not depend on the number of threads, and is as
// good as single precision can tell. That matters: an element whose sign behind a batch norm comes out wrong passes a gradient that it should
// not. Chunks do not reach over the end of a block of images (ops/batch-blocks.ts).

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
 * For every chunk the sums of `x - pivot` and of its square, and the pivot, which is the chunk's first row: near the mean, so that nothing
 * cancels.
 * Arguments: 0 x, 1 its row stride, 2 rows of a block, 3 channels, 4 rows of a chunk, 5 chunks of a block, 6 chunks, 7 partial sums
 * `[chunk][3][padded channels]` (doubles), 8 padded channels.
 */
export function batchMoments(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 3);
  const padded = <usize>arg(p, 8) << 3;
  const stride = <usize>arg(p, 1) << 2;
  const end = last(arg(p, 6), 1, tid, threads);
  for (let chunk = first(arg(p, 6), 1, tid, threads); chunk < end; chunk++) {
    const count = chunkRows(chunk, arg(p, 2), arg(p, 4), arg(p, 5));
    const start = <usize>arg(p, 0) + <usize>chunkStart(chunk, arg(p, 2), arg(p, 4), arg(p, 5)) * stride;
    const y = <usize>arg(p, 7) + <usize>(chunk * 3) * padded;
    memory.fill(y, 0, padded * 3);
    for (let row = 0; row < count; row += SOME) {
      for (let c = 0; c < channels; c += 8) {
        const pivot = start + (<usize>c << 2);
        moments(pivot + <usize>row * stride, stride, min(SOME, count - row), pivot, y + (<usize>c << 3), padded);
      }
    }
    for (let c = 0; c < channels; c += 4) accumulate(y + (padded << 1) + (<usize>c << 3), v128.load(start + (<usize>c << 2)));
  }
}

function moments(x: usize, stride: usize, count: i32, pivot: usize, y: usize, padded: usize): void {
  const p0 = v128.load(pivot);
  const p1 = v128.load(pivot, 16);
  for (; count > 0; count -= FEW) {
    // Two rows at a time, with sums of their own: an addition has to wait for the one before.
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let q0 = s0;
    let q1 = s0;
    let t0 = s0;
    let t1 = s0;
    let r0 = s0;
    let r1 = s0;
    let i = min(FEW, count);
    for (; i > 1; i -= 2) {
      let v = f32x4.sub(v128.load(x), p0);
      s0 = f32x4.add(s0, v);
      q0 = madd(v, v, q0);
      v = f32x4.sub(v128.load(x, 16), p1);
      s1 = f32x4.add(s1, v);
      q1 = madd(v, v, q1);
      x += stride;
      v = f32x4.sub(v128.load(x), p0);
      t0 = f32x4.add(t0, v);
      r0 = madd(v, v, r0);
      v = f32x4.sub(v128.load(x, 16), p1);
      t1 = f32x4.add(t1, v);
      r1 = madd(v, v, r1);
      x += stride;
    }
    if (i > 0) {
      const v0 = f32x4.sub(v128.load(x), p0);
      const v1 = f32x4.sub(v128.load(x, 16), p1);
      s0 = f32x4.add(s0, v0);
      s1 = f32x4.add(s1, v1);
      q0 = madd(v0, v0, q0);
      q1 = madd(v1, v1, q1);
      x += stride;
    }
    accumulate(y, f32x4.add(s0, t0));
    accumulate(y + 32, f32x4.add(s1, t1));
    accumulate(y + padded, f32x4.add(q0, r0));
    accumulate(y + padded + 32, f32x4.add(q1, r1));
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

/** Adds chunks. Arguments: 0 partial sums `[chunk][parts][padded]` (doubles), 1 chunks, 2 parts, 3 channels, 4 padded channels, 5 y `[parts][channels]`. */
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

/**
 * For every chunk the sums of the gradient behind the activation and of its product with the normalised input.
 * Arguments: 0 x, 1 its row stride, 2 gradient, 3 its row stride, 4 rows of a block, 5 channels, 6 rows of a chunk, 7 statistics, 8 scale, shift
 * and inverse deviation `[3][channels]`, 9 whether a ReLU follows, 10 partial sums `[chunk][2][padded channels]` (doubles), 11 padded channels,
 * 12 chunks of a block, 13 chunks.
 */
export function batchNormSums(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 5);
  const padded = <usize>arg(p, 11) << 3;
  const end = last(arg(p, 13), 1, tid, threads);
  for (let chunk = first(arg(p, 13), 1, tid, threads); chunk < end; chunk++) {
    const start = chunkStart(chunk, arg(p, 4), arg(p, 6), arg(p, 12));
    const stop = start + chunkRows(chunk, arg(p, 4), arg(p, 6), arg(p, 12));
    const y = <usize>arg(p, 10) + <usize>(chunk << 1) * padded;
    memory.fill(y, 0, padded << 1);
    const far = rowsFar(channels, SOME);
    for (let row = start; row < stop; row += SOME) {
      if ((row - start) % far == 0) readAhead(arg(p, 0), arg(p, 1), row, min(far, stop - row));
      for (let c = 0; c < channels; c += 8) gradientSums(p, row, min(SOME, stop - row), c, y + (<usize>c << 3), padded);
    }
  }
}

/** Eight channels of some rows; behind the last vector of channels there may be only one, which is then summed twice. */
function gradientSums(p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize): void {
  const at = <usize>c << 2;
  const rowBytes = <usize>arg(p, 5) << 2;
  const next: usize = c + 4 < arg(p, 5) ? 16 : 0;
  const strideX = <usize>arg(p, 1) << 2;
  const strideG = <usize>arg(p, 3) << 2;
  let x = <usize>arg(p, 0) + <usize>row * strideX + at;
  let g = <usize>arg(p, 2) + <usize>row * strideG + at;
  const affine = <usize>arg(p, 8) + at;
  const mean0 = v128.load(<usize>arg(p, 7) + at);
  const mean1 = v128.load(<usize>arg(p, 7) + at + next);
  const inverse0 = v128.load(affine + (rowBytes << 1));
  const inverse1 = v128.load(affine + (rowBytes << 1) + next);
  const scale0 = v128.load(affine);
  const scale1 = v128.load(affine + next);
  const shift0 = v128.load(affine + rowBytes);
  const shift1 = v128.load(affine + rowBytes + next);
  const zero = f32x4.splat(0);
  const gated = arg(p, 9) != 0;
  for (; count > 0; count -= FEW) {
    let sum0 = zero;
    let sum1 = zero;
    let product0 = zero;
    let product1 = zero;
    if (gated) {
      for (let i = min(FEW, count); i > 0; i--, x += strideX, g += strideG) {
        let v = v128.load(x);
        // The very sum that the forward pass took the sign of.
        let d = v128.and(v128.load(g), f32x4.gt(madd(v, scale0, shift0), zero));
        sum0 = f32x4.add(sum0, d);
        product0 = madd(d, f32x4.sub(v, mean0), product0);
        v = v128.load(x + next);
        d = v128.and(v128.load(g + next), f32x4.gt(madd(v, scale1, shift1), zero));
        sum1 = f32x4.add(sum1, d);
        product1 = madd(d, f32x4.sub(v, mean1), product1);
      }
    } else {
      for (let i = min(FEW, count); i > 0; i--, x += strideX, g += strideG) {
        let d = v128.load(g);
        sum0 = f32x4.add(sum0, d);
        product0 = madd(d, f32x4.sub(v128.load(x), mean0), product0);
        d = v128.load(g + next);
        sum1 = f32x4.add(sum1, d);
        product1 = madd(d, f32x4.sub(v128.load(x + next), mean1), product1);
      }
    }
    accumulate(y, sum0);
    accumulate(y + 32, sum1);
    accumulate(y + padded, f32x4.mul(product0, inverse0));
    accumulate(y + padded + 32, f32x4.mul(product1, inverse1));
  }
}

/** Rows that are passed over at once: the parameters of four channels are then worth computing again. */
export const BLOCK: i32 = 128;

/**
 * The gradient of the input.
 * Arguments: 0 x, 1 its row stride, 2 gradient, 3 its row stride, 4 y, 5 its row stride, 6 rows, 7 channels, 8 statistics, 9 scale, shift and
 * inverse deviation `[3][channels]`, 10 whether a ReLU follows, 11 sums `[2][channels]`, 12 one divided by the rows of the batch.
 */
export function batchNormInputGradient(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 6);
  const channels = arg(p, 7);
  const end = last(rows, BLOCK, tid, threads);
  const some = rowsAhead(channels);
  for (let row = first(rows, BLOCK, tid, threads); row < end; row += some) {
    const count = min(some, end - row);
    readAhead(arg(p, 0), arg(p, 1), row, count);
    readAhead(arg(p, 2), arg(p, 3), row, count);
    for (let c = 0; c < channels; c += 4) inputGradient(p, row, count, c);
  }
}

function inputGradient(p: usize, row: i32, count: i32, c: i32): void {
  const at = <usize>c << 2;
  const channels = arg(p, 7);
  const strideX = <usize>arg(p, 1) << 2;
  const strideG = <usize>arg(p, 3) << 2;
  const strideY = <usize>arg(p, 5) << 2;
  let x = <usize>arg(p, 0) + <usize>row * strideX + at;
  let g = <usize>arg(p, 2) + <usize>row * strideG + at;
  let y = <usize>arg(p, 4) + <usize>row * strideY + at;
  const zero = f32x4.splat(0);
  const mean = v128.load(<usize>arg(p, 8) + at);
  const affine = <usize>arg(p, 9) + at;
  const scale = v128.load(affine);
  const shift = v128.load(affine + (<usize>channels << 2));
  const inverse = v128.load(affine + (<usize>channels << 3));
  const share = f32x4.splat(floatArg(p, 12));
  const sum = f32x4.mul(v128.load(<usize>arg(p, 11) + at), share);
  const product = f32x4.mul(v128.load(<usize>arg(p, 11) + (<usize>channels << 2) + at), share);
  // scale * (g - sum - (x - mean) * inverse * product), as two multiply-adds.
  const slope = f32x4.neg(f32x4.mul(scale, f32x4.mul(inverse, product)));
  const constant = f32x4.neg(f32x4.mul(scale, sum));
  const gated = arg(p, 10) != 0;
  const lanes = channels - c;
  if (lanes < 4) {
    for (; count > 0; count--, x += strideX, g += strideG, y += strideY) {
      const v = v128.load(x);
      let d = v128.load(g);
      if (gated) d = v128.and(d, f32x4.gt(madd(v, scale, shift), zero));
      storeLanes(y, madd(slope, f32x4.sub(v, mean), madd(scale, d, constant)), lanes);
    }
  } else if (gated) {
    for (; count > 0; count--, x += strideX, g += strideG, y += strideY) {
      const v = v128.load(x);
      const d = v128.and(v128.load(g), f32x4.gt(madd(v, scale, shift), zero));
      v128.store(y, madd(slope, f32x4.sub(v, mean), madd(scale, d, constant)));
    }
  } else {
    for (; count > 0; count--, x += strideX, g += strideG, y += strideY) {
      const v = f32x4.sub(v128.load(x), mean);
      v128.store(y, madd(slope, v, madd(scale, v128.load(g), constant)));
    }
  }
}
