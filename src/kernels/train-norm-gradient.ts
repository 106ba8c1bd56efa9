import { readAhead, rowsAhead, rowsFar } from './ahead';
import { arg, floatArg } from './args';
import { first, last } from './share';
import { accumulate, accumulateTwo, chunkRows, chunkStart, FEW, SOME } from './train-norm';
import { madd, storeLanes } from './vector';

// The gradient of batch normalisation: the sums over the batch that flow through the statistics, and with them that of the input.

/**
 * For every chunk the sums of the gradient behind the activation and of its product with the normalised input.
 * Arguments: 0 x, 1 its row stride, 2 gradient, 3 its row stride, 4 rows of a block, 5 channels, 6 rows of a chunk, 7 statistics, 8 scale, shift
 * and inverse deviation `[3][channels]`, 9 whether a ReLU follows, 10 partial sums `[chunk][2][padded channels]` (doubles), 11 padded channels,
 * 12 chunks of a block, 13 chunks, 14 scratch for 16 floats, 15 its bytes per thread.
 */
export function batchNormSums(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 5);
  const padded = <usize>arg(p, 11) << 3;
  const scratch = <usize>arg(p, 14) + <usize>(tid * arg(p, 15));
  const end = last(arg(p, 13), 1, tid, threads);
  for (let chunk = first(arg(p, 13), 1, tid, threads); chunk < end; chunk++) {
    const start = chunkStart(chunk, arg(p, 4), arg(p, 6), arg(p, 12));
    const stop = start + chunkRows(chunk, arg(p, 4), arg(p, 6), arg(p, 12));
    const y = <usize>arg(p, 10) + <usize>(chunk << 1) * padded;
    memory.fill(y, 0, padded << 1);
    const far = rowsFar(channels, SOME);
    for (let row = start; row < stop; row += SOME) {
      if ((row - start) % far == 0) readAhead(arg(p, 0), arg(p, 1), row, min(far, stop - row));
      const count = min(SOME, stop - row);
      let c = 0;
      for (; c + 8 <= channels; c += 8) {
        if (arg(p, 9) != 0) gatedSums(p, row, count, c, y + (<usize>c << 3), padded, scratch);
        else openSums(p, row, count, c, y + (<usize>c << 3), padded, scratch);
      }
      for (; c < channels; c += 4) gradientSums(p, row, count, c, y + (<usize>c << 3), padded);
    }
  }
}

function gatedSums(p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize, scratch: usize): void {
  eightSums(p, row, count, c, y, padded, scratch, true);
}

function openSums(p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize, scratch: usize): void {
  eightSums(p, row, count, c, y, padded, scratch, false);
}

/** Eight channels of some rows, with a ReLU behind or without. */
// @ts-expect-error: decorator
@inline
function eightSums(p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize, scratch: usize, gated: bool): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 5) << 2;
  const strideX = <usize>arg(p, 1) << 2;
  const strideG = <usize>arg(p, 3) << 2;
  const affine = <usize>arg(p, 8) + at;
  const mean0 = v128.load(<usize>arg(p, 7) + at);
  const mean1 = v128.load(<usize>arg(p, 7) + at, 16);
  const scale0 = v128.load(affine);
  const scale1 = v128.load(affine, 16);
  const shift0 = v128.load(affine + line);
  const shift1 = v128.load(affine + line, 16);
  const inverse0 = v128.load(affine + (line << 1));
  const inverse1 = v128.load(affine + (line << 1), 16);
  const zero = f32x4.splat(0);
  let x = <usize>arg(p, 0) + <usize>row * strideX + at;
  let g = <usize>arg(p, 2) + <usize>row * strideG + at;
  for (; count > 0; count -= FEW) {
    let sum0 = zero;
    let sum1 = zero;
    let product0 = zero;
    let product1 = zero;
    for (let i = min(FEW, count); i > 0; i--, x += strideX, g += strideG) {
      const v0 = v128.load(x);
      const v1 = v128.load(x, 16);
      let d0 = v128.load(g);
      let d1 = v128.load(g, 16);
      if (gated) {
        // The very sums that the forward pass took the signs of.
        d0 = v128.and(d0, f32x4.gt(madd(v0, scale0, shift0), zero));
        d1 = v128.and(d1, f32x4.gt(madd(v1, scale1, shift1), zero));
      }
      sum0 = f32x4.add(sum0, d0);
      sum1 = f32x4.add(sum1, d1);
      product0 = madd(d0, f32x4.sub(v0, mean0), product0);
      product1 = madd(d1, f32x4.sub(v1, mean1), product1);
    }
    accumulateTwo(y, padded, sum0, sum1, f32x4.mul(product0, inverse0), f32x4.mul(product1, inverse1), scratch);
  }
}

/** Four channels of some rows. */
function gradientSums(p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 5) << 2;
  const strideX = <usize>arg(p, 1) << 2;
  const strideG = <usize>arg(p, 3) << 2;
  const affine = <usize>arg(p, 8) + at;
  const mean = v128.load(<usize>arg(p, 7) + at);
  const scale = v128.load(affine);
  const shift = v128.load(affine + line);
  const inverse = v128.load(affine + (line << 1));
  const zero = f32x4.splat(0);
  const gated = arg(p, 9) != 0;
  let x = <usize>arg(p, 0) + <usize>row * strideX + at;
  let g = <usize>arg(p, 2) + <usize>row * strideG + at;
  for (; count > 0; count -= FEW) {
    let sum = zero;
    let product = zero;
    for (let i = min(FEW, count); i > 0; i--, x += strideX, g += strideG) {
      const v = v128.load(x);
      let d = v128.load(g);
      if (gated) d = v128.and(d, f32x4.gt(madd(v, scale, shift), zero));
      sum = f32x4.add(sum, d);
      product = madd(d, f32x4.sub(v, mean), product);
    }
    accumulate(y, sum);
    accumulate(y + padded, f32x4.mul(product, inverse));
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
  const some = rowsAhead(channels, 3);
  for (let row = first(rows, BLOCK, tid, threads); row < end; row += some) {
    const count = min(some, end - row);
    readAhead(arg(p, 0), arg(p, 1), row, count);
    readAhead(arg(p, 2), arg(p, 3), row, count);
    let c = 0;
    for (; c + 8 <= channels; c += 8) {
      if (arg(p, 10) != 0) gatedInputGradient(p, row, count, c);
      else openInputGradient(p, row, count, c);
    }
    for (; c < channels; c += 4) inputGradient(p, row, count, c);
  }
}

function gatedInputGradient(p: usize, row: i32, count: i32, c: i32): void {
  eightInputGradients(p, row, count, c, true);
}

function openInputGradient(p: usize, row: i32, count: i32, c: i32): void {
  eightInputGradients(p, row, count, c, false);
}

/** Eight channels of some rows, with a ReLU behind or without. */
// @ts-expect-error: decorator
@inline
function eightInputGradients(p: usize, row: i32, count: i32, c: i32, gated: bool): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 7) << 2;
  const strideX = <usize>arg(p, 1) << 2;
  const strideG = <usize>arg(p, 3) << 2;
  const strideY = <usize>arg(p, 5) << 2;
  const affine = <usize>arg(p, 9) + at;
  const sums = <usize>arg(p, 11) + at;
  const share = f32x4.splat(floatArg(p, 12));
  const mean0 = v128.load(<usize>arg(p, 8) + at);
  const mean1 = v128.load(<usize>arg(p, 8) + at, 16);
  const scale0 = v128.load(affine);
  const scale1 = v128.load(affine, 16);
  const shift0 = v128.load(affine + line);
  const shift1 = v128.load(affine + line, 16);
  const slope0 = slopeOf(scale0, v128.load(affine + (line << 1)), v128.load(sums + line), share);
  const slope1 = slopeOf(scale1, v128.load(affine + (line << 1), 16), v128.load(sums + line, 16), share);
  const constant0 = constantOf(scale0, v128.load(sums), share);
  const constant1 = constantOf(scale1, v128.load(sums, 16), share);
  const zero = f32x4.splat(0);
  let x = <usize>arg(p, 0) + <usize>row * strideX + at;
  let g = <usize>arg(p, 2) + <usize>row * strideG + at;
  let y = <usize>arg(p, 4) + <usize>row * strideY + at;
  for (; count > 0; count--, x += strideX, g += strideG, y += strideY) {
    const v0 = v128.load(x);
    const v1 = v128.load(x, 16);
    let d0 = v128.load(g);
    let d1 = v128.load(g, 16);
    if (gated) {
      d0 = v128.and(d0, f32x4.gt(madd(v0, scale0, shift0), zero));
      d1 = v128.and(d1, f32x4.gt(madd(v1, scale1, shift1), zero));
    }
    v128.store(y, madd(slope0, f32x4.sub(v0, mean0), madd(scale0, d0, constant0)));
    v128.store(y, madd(slope1, f32x4.sub(v1, mean1), madd(scale1, d1, constant1)), 16);
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
  const sums = <usize>arg(p, 11) + at;
  const share = f32x4.splat(floatArg(p, 12));
  const slope = slopeOf(scale, inverse, v128.load(sums + (<usize>channels << 2)), share);
  const constant = constantOf(scale, v128.load(sums), share);
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

// scale * (g - sum - (x - mean) * inverse * product), as two multiply-adds: slope * (x - mean) + (scale * g + constant); `share` is one divided by
// the rows of the batch.

// @ts-expect-error: decorator
@inline
export function slopeOf(scale: v128, inverse: v128, products: v128, share: v128): v128 {
  return f32x4.neg(f32x4.mul(scale, f32x4.mul(inverse, f32x4.mul(products, share))));
}

// @ts-expect-error: decorator
@inline
export function constantOf(scale: v128, sum: v128, share: v128): v128 {
  return f32x4.neg(f32x4.mul(scale, f32x4.mul(sum, share)));
}
