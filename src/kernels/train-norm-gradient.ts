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
        if (arg(p, 9) != 0) gradientSums<2, true>(p, row, count, c, y + (<usize>c << 3), padded, scratch);
        else gradientSums<2, false>(p, row, count, c, y + (<usize>c << 3), padded, scratch);
      }
      for (; c < channels; c += 4) gradientSums<1, true>(p, row, count, c, y + (<usize>c << 3), padded, scratch);
    }
  }
}

/**
 * `VECTORS` of channels of some rows. Of two there is a loop with a ReLU behind, for `GATED`, and one without; the last four channels, which are few, have
 * one that asks.
 */
function gradientSums<VECTORS extends number, GATED extends boolean>(
  p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize, scratch: usize,
): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 5) << 2;
  const strideX = <usize>arg(p, 1) << 2;
  const strideG = <usize>arg(p, 3) << 2;
  const affine = <usize>arg(p, 8) + at;
  const zero = f32x4.splat(0);
  const gated = VECTORS == 2 ? GATED : arg(p, 9) != 0;
  let mean: Registers<v128>;
  let scale: Registers<v128>;
  let shift: Registers<v128>;
  let inverse: Registers<v128>;
  unroll: for (let n = 0; n < VECTORS; n++) mean[n] = v128.load(<usize>arg(p, 7) + at, 16 * n);
  unroll: for (let n = 0; n < VECTORS; n++) scale[n] = v128.load(affine, 16 * n);
  unroll: for (let n = 0; n < VECTORS; n++) shift[n] = v128.load(affine + line, 16 * n);
  unroll: for (let n = 0; n < VECTORS; n++) inverse[n] = v128.load(affine + (line << 1), 16 * n);
  let x = <usize>arg(p, 0) + <usize>row * strideX + at;
  let g = <usize>arg(p, 2) + <usize>row * strideG + at;
  for (; count > 0; count -= FEW) {
    let sum: Registers<v128>;
    let product: Registers<v128>;
    unroll: for (let n = 0; n < VECTORS; n++) {
      sum[n] = zero;
      product[n] = zero;
    }
    for (let i = min(FEW, count); i > 0; i--, x += strideX, g += strideG) {
      let v: Registers<v128>;
      let d: Registers<v128>;
      unroll: for (let n = 0; n < VECTORS; n++) v[n] = v128.load(x, 16 * n);
      unroll: for (let n = 0; n < VECTORS; n++) d[n] = v128.load(g, 16 * n);
      if (gated) {
        // The very sums that the forward pass took the signs of.
        unroll: for (let n = 0; n < VECTORS; n++) d[n] = v128.and(d[n], f32x4.gt(madd(v[n], scale[n], shift[n]), zero));
      }
      unroll: for (let n = 0; n < VECTORS; n++) sum[n] = f32x4.add(sum[n], d[n]);
      unroll: for (let n = 0; n < VECTORS; n++) product[n] = madd(d[n], f32x4.sub(v[n], mean[n]), product[n]);
    }
    unroll: for (let n = 0; n < VECTORS; n++) product[n] = f32x4.mul(product[n], inverse[n]);
    if (VECTORS == 2) accumulateTwo(y, padded, sum[0], sum[1], product[0], product[1], scratch);
    else {
      accumulate(y, sum[0]);
      accumulate(y + padded, product[0]);
    }
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
      if (arg(p, 10) != 0) inputGradient<2, true>(p, row, count, c);
      else inputGradient<2, false>(p, row, count, c);
    }
    for (; c < channels; c += 4) inputGradient<1, true>(p, row, count, c);
  }
}

/** `VECTORS` of channels of some rows, two of them `GATED` or not as above. */
function inputGradient<VECTORS extends number, GATED extends boolean>(p: usize, row: i32, count: i32, c: i32): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 7) << 2;
  const strideX = <usize>arg(p, 1) << 2;
  const strideG = <usize>arg(p, 3) << 2;
  const strideY = <usize>arg(p, 5) << 2;
  const affine = <usize>arg(p, 9) + at;
  const sums = <usize>arg(p, 11) + at;
  const share = f32x4.splat(floatArg(p, 12));
  let mean: Registers<v128>;
  let scale: Registers<v128>;
  let shift: Registers<v128>;
  let slope: Registers<v128>;
  let constant: Registers<v128>;
  unroll: for (let n = 0; n < VECTORS; n++) mean[n] = v128.load(<usize>arg(p, 8) + at, 16 * n);
  unroll: for (let n = 0; n < VECTORS; n++) scale[n] = v128.load(affine, 16 * n);
  unroll: for (let n = 0; n < VECTORS; n++) shift[n] = v128.load(affine + line, 16 * n);
  unroll: for (let n = 0; n < VECTORS; n++) {
    slope[n] = slopeOf(scale[n], v128.load(affine + (line << 1), 16 * n), v128.load(sums + line, 16 * n), share);
  }
  unroll: for (let n = 0; n < VECTORS; n++) constant[n] = constantOf(scale[n], v128.load(sums, 16 * n), share);
  const zero = f32x4.splat(0);
  let x = <usize>arg(p, 0) + <usize>row * strideX + at;
  let g = <usize>arg(p, 2) + <usize>row * strideG + at;
  let y = <usize>arg(p, 4) + <usize>row * strideY + at;
  const gated = VECTORS == 2 ? GATED : arg(p, 10) != 0;
  const lanes = VECTORS == 2 ? 8 : arg(p, 7) - c;
  // The loop for less than four channels, that for whole vectors with a ReLU behind and that without: of two vectors only one of the latter.
  unroll: for (let loop = 0; loop < 3; loop++) {
    if (loop == 0 ? lanes < 4 : loop == 1 ? gated : !gated) {
      for (; count > 0; count--, x += strideX, g += strideG, y += strideY) {
        let v: Registers<v128>;
        let d: Registers<v128>;
        unroll: for (let n = 0; n < VECTORS; n++) v[n] = v128.load(x, 16 * n);
        unroll: for (let n = 0; n < VECTORS; n++) d[n] = v128.load(g, 16 * n);
        if (loop == 0 ? gated : loop == 1) {
          unroll: for (let n = 0; n < VECTORS; n++) d[n] = v128.and(d[n], f32x4.gt(madd(v[n], scale[n], shift[n]), zero));
        }
        unroll: for (let n = 0; n < VECTORS; n++) {
          const gradient = madd(slope[n], f32x4.sub(v[n], mean[n]), madd(scale[n], d[n], constant[n]));
          if (loop == 0) storeLanes(y, gradient, lanes);
          else v128.store(y, gradient, 16 * n);
        }
      }
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
