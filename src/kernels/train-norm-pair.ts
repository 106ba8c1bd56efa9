import { readAhead, rowsAhead, rowsFar } from './ahead';
import { arg, floatArg } from './args';
import { first, last } from './share';
import { accumulate, BLOCK, chunkRows, chunkStart, FEW, SOME } from './train-norm';
import { madd, storeLanes } from './vector';

// The sum of two batch norms, as a re-parameterisable block has it in training, and its gradient: in one pass over memory each, where two batch norms,
// an addition and a ReLU would take several.

/** What the activation behind the sum lets through: all that is above. */
// @ts-expect-error: decorator
@inline
function least(relu: i32): v128 {
  return f32x4.splat(relu != 0 ? 0 : -Infinity);
}

/**
 * `activation(norm(a) + norm(b))`.
 * Arguments: 0 a, 1 its row stride, 2 b, 3 its row stride, 4 y, 5 its row stride, 6 rows, 7 channels, 8 scale, shift and inverse deviation of a
 * `[3][channels]`, 9 those of b, 10 whether a ReLU follows.
 */
export function batchNormPair(p: usize, tid: i32, threads: i32): void {
  const end = last(arg(p, 6), BLOCK, tid, threads);
  const rows = rowsAhead(arg(p, 7));
  for (let row = first(arg(p, 6), BLOCK, tid, threads); row < end; row += rows) {
    const count = min(rows, end - row);
    readAhead(arg(p, 0), arg(p, 1), row, count);
    readAhead(arg(p, 2), arg(p, 3), row, count);
    for (let c = 0; c < arg(p, 7); c += 4) pairBlock(p, row, count, c);
  }
}

function pairBlock(p: usize, row: i32, count: i32, c: i32): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 7) << 2;
  const strideA = <usize>arg(p, 1) << 2;
  const strideB = <usize>arg(p, 3) << 2;
  const strideY = <usize>arg(p, 5) << 2;
  const scaleA = v128.load(<usize>arg(p, 8) + at);
  const scaleB = v128.load(<usize>arg(p, 9) + at);
  const shift = f32x4.add(v128.load(<usize>arg(p, 8) + line + at), v128.load(<usize>arg(p, 9) + line + at));
  const low = least(arg(p, 10));
  const lanes = arg(p, 7) - c;
  let a = <usize>arg(p, 0) + <usize>row * strideA + at;
  let b = <usize>arg(p, 2) + <usize>row * strideB + at;
  let y = <usize>arg(p, 4) + <usize>row * strideY + at;
  if (lanes < 4) {
    for (; count > 0; count--, a += strideA, b += strideB, y += strideY) {
      storeLanes(y, f32x4.pmax(madd(v128.load(b), scaleB, madd(v128.load(a), scaleA, shift)), low), lanes);
    }
    return;
  }
  for (; count > 0; count--, a += strideA, b += strideB, y += strideY) {
    v128.store(y, f32x4.pmax(madd(v128.load(b), scaleB, madd(v128.load(a), scaleA, shift)), low));
  }
}

/**
 * For every chunk the sums of the gradient behind the activation and of its products with the normalised inputs.
 * Arguments: 0 a, 1 its row stride, 2 b, 3 its row stride, 4 gradient, 5 its row stride, 6 rows of a block, 7 channels, 8 rows of a chunk, 9
 * statistics of a, 10 scale, shift and inverse deviation of a, 11 12 those of b, 13 whether a ReLU follows, 14 partial sums
 * `[chunk][3][padded channels]` (doubles), 15 padded channels, 16 chunks of a block, 17 chunks.
 */
export function batchNormPairSums(p: usize, tid: i32, threads: i32): void {
  const padded = <usize>arg(p, 15) << 3;
  const end = last(arg(p, 17), 1, tid, threads);
  for (let chunk = first(arg(p, 17), 1, tid, threads); chunk < end; chunk++) {
    const start = chunkStart(chunk, arg(p, 6), arg(p, 8), arg(p, 16));
    const stop = start + chunkRows(chunk, arg(p, 6), arg(p, 8), arg(p, 16));
    const y = <usize>arg(p, 14) + <usize>(chunk * 3) * padded;
    memory.fill(y, 0, padded * 3);
    const far = rowsFar(arg(p, 7), SOME);
    for (let row = start; row < stop; row += SOME) {
      if ((row - start) % far == 0) {
        const ahead = min(far, stop - row);
        readAhead(arg(p, 0), arg(p, 1), row, ahead);
        readAhead(arg(p, 2), arg(p, 3), row, ahead);
      }
      for (let c = 0; c < arg(p, 7); c += 4) pairSums(p, row, min(SOME, stop - row), c, y + (<usize>c << 3), padded);
    }
  }
}

function pairSums(p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 7) << 2;
  const strideA = <usize>arg(p, 1) << 2;
  const strideB = <usize>arg(p, 3) << 2;
  const strideG = <usize>arg(p, 5) << 2;
  const affineA = <usize>arg(p, 10) + at;
  const affineB = <usize>arg(p, 12) + at;
  const meanA = v128.load(<usize>arg(p, 9) + at);
  const meanB = v128.load(<usize>arg(p, 11) + at);
  const scaleA = v128.load(affineA);
  const scaleB = v128.load(affineB);
  const shift = f32x4.add(v128.load(affineA + line), v128.load(affineB + line));
  const low = least(arg(p, 13));
  const inverseA = v128.load(affineA + (line << 1));
  const inverseB = v128.load(affineB + (line << 1));
  let a = <usize>arg(p, 0) + <usize>row * strideA + at;
  let b = <usize>arg(p, 2) + <usize>row * strideB + at;
  let g = <usize>arg(p, 4) + <usize>row * strideG + at;
  for (; count > 0; count -= FEW) {
    let sum = f32x4.splat(0);
    let productA = sum;
    let productB = sum;
    for (let i = min(FEW, count); i > 0; i--, a += strideA, b += strideB, g += strideG) {
      const v = v128.load(a);
      const w = v128.load(b);
      // The very sum that the forward pass took the sign of.
      const d = v128.and(v128.load(g), f32x4.gt(madd(w, scaleB, madd(v, scaleA, shift)), low));
      sum = f32x4.add(sum, d);
      productA = madd(d, f32x4.sub(v, meanA), productA);
      productB = madd(d, f32x4.sub(w, meanB), productB);
    }
    accumulate(y, sum);
    accumulate(y + padded, f32x4.mul(productA, inverseA));
    accumulate(y + (padded << 1), f32x4.mul(productB, inverseB));
  }
}

/**
 * The gradients of both inputs.
 * Arguments: 0 a, 1 its row stride, 2 b, 3 its row stride, 4 gradient, 5 its row stride, 6 gradient of a, 7 its row stride, 8 gradient of b, 9 its
 * row stride, 10 rows, 11 channels, 12 statistics of a, 13 scale, shift and inverse deviation of a, 14 15 those of b, 16 whether a ReLU
 * follows, 17 sums `[3][channels]`, 18 one divided by the rows of the batch.
 */
export function batchNormPairInputGradient(p: usize, tid: i32, threads: i32): void {
  const end = last(arg(p, 10), BLOCK, tid, threads);
  const rows = rowsAhead(arg(p, 11));
  for (let row = first(arg(p, 10), BLOCK, tid, threads); row < end; row += rows) {
    const count = min(rows, end - row);
    readAhead(arg(p, 0), arg(p, 1), row, count);
    readAhead(arg(p, 2), arg(p, 3), row, count);
    readAhead(arg(p, 4), arg(p, 5), row, count);
    for (let c = 0; c < arg(p, 11); c += 4) pairGradients(p, row, count, c);
  }
}

function pairGradients(p: usize, row: i32, count: i32, c: i32): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 11) << 2;
  const strideA = <usize>arg(p, 1) << 2;
  const strideB = <usize>arg(p, 3) << 2;
  const strideG = <usize>arg(p, 5) << 2;
  const strideDA = <usize>arg(p, 7) << 2;
  const strideDB = <usize>arg(p, 9) << 2;
  const affineA = <usize>arg(p, 13) + at;
  const affineB = <usize>arg(p, 15) + at;
  const meanA = v128.load(<usize>arg(p, 12) + at);
  const meanB = v128.load(<usize>arg(p, 14) + at);
  const scaleA = v128.load(affineA);
  const scaleB = v128.load(affineB);
  const shift = f32x4.add(v128.load(affineA + line), v128.load(affineB + line));
  const slopeA = slopeOf(p, affineA, 1, at);
  const slopeB = slopeOf(p, affineB, 2, at);
  const constantA = constantOf(p, scaleA, at);
  const constantB = constantOf(p, scaleB, at);
  const lanes = arg(p, 11) - c;
  const gated = arg(p, 16) != 0;
  let a = <usize>arg(p, 0) + <usize>row * strideA + at;
  let b = <usize>arg(p, 2) + <usize>row * strideB + at;
  let g = <usize>arg(p, 4) + <usize>row * strideG + at;
  let da = <usize>arg(p, 6) + <usize>row * strideDA + at;
  let db = <usize>arg(p, 8) + <usize>row * strideDB + at;
  if (lanes < 4) {
    for (; count > 0; count--, a += strideA, b += strideB, g += strideG, da += strideDA, db += strideDB) {
      const v = v128.load(a);
      const w = v128.load(b);
      let d = v128.load(g);
      if (gated) d = v128.and(d, f32x4.gt(madd(w, scaleB, madd(v, scaleA, shift)), f32x4.splat(0)));
      storeLanes(da, madd(slopeA, f32x4.sub(v, meanA), madd(scaleA, d, constantA)), lanes);
      storeLanes(db, madd(slopeB, f32x4.sub(w, meanB), madd(scaleB, d, constantB)), lanes);
    }
  } else if (gated) {
    for (; count > 0; count--, a += strideA, b += strideB, g += strideG, da += strideDA, db += strideDB) {
      const v = v128.load(a);
      const w = v128.load(b);
      const d = v128.and(v128.load(g), f32x4.gt(madd(w, scaleB, madd(v, scaleA, shift)), f32x4.splat(0)));
      v128.store(da, madd(slopeA, f32x4.sub(v, meanA), madd(scaleA, d, constantA)));
      v128.store(db, madd(slopeB, f32x4.sub(w, meanB), madd(scaleB, d, constantB)));
    }
  } else {
    for (; count > 0; count--, a += strideA, b += strideB, g += strideG, da += strideDA, db += strideDB) {
      const d = v128.load(g);
      v128.store(da, madd(slopeA, f32x4.sub(v128.load(a), meanA), madd(scaleA, d, constantA)));
      v128.store(db, madd(slopeB, f32x4.sub(v128.load(b), meanB), madd(scaleB, d, constantB)));
    }
  }
}

// scale * (g - sum - (x - mean) * inverse * product), as two multiply-adds: slope * (x - mean) + (scale * g + constant).

// @ts-expect-error: decorator
@inline
function slopeOf(p: usize, affine: usize, part: usize, at: usize): v128 {
  const line = <usize>arg(p, 11) << 2;
  const product = f32x4.mul(v128.load(<usize>arg(p, 17) + line * part + at), f32x4.splat(floatArg(p, 18)));
  return f32x4.neg(f32x4.mul(v128.load(affine), f32x4.mul(v128.load(affine + (line << 1)), product)));
}

// @ts-expect-error: decorator
@inline
function constantOf(p: usize, scale: v128, at: usize): v128 {
  return f32x4.neg(f32x4.mul(scale, f32x4.mul(v128.load(<usize>arg(p, 17) + at), f32x4.splat(floatArg(p, 18)))));
}
