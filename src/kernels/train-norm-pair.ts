import { readAhead, rowsAhead, rowsFar } from './ahead';
import { arg, floatArg } from './args';
import { first, last } from './share';
import { accumulate, accumulateEight, chunkRows, chunkStart, FEW, SOME } from './train-norm';
import { BLOCK, constantOf, slopeOf } from './train-norm-gradient';
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
  const rows = rowsAhead(arg(p, 7), 3);
  for (let row = first(arg(p, 6), BLOCK, tid, threads); row < end; row += rows) {
    const count = min(rows, end - row);
    readAhead(arg(p, 0), arg(p, 1), row, count);
    readAhead(arg(p, 2), arg(p, 3), row, count);
    let c = 0;
    for (; c + 8 <= arg(p, 7); c += 8) pairEight(p, row, count, c);
    for (; c < arg(p, 7); c += 4) pairBlock(p, row, count, c);
  }
}

/** Eight channels of some rows. */
function pairEight(p: usize, row: i32, count: i32, c: i32): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 7) << 2;
  const strideA = <usize>arg(p, 1) << 2;
  const strideB = <usize>arg(p, 3) << 2;
  const strideY = <usize>arg(p, 5) << 2;
  const affineA = <usize>arg(p, 8) + at;
  const affineB = <usize>arg(p, 9) + at;
  const scaleA0 = v128.load(affineA);
  const scaleA1 = v128.load(affineA, 16);
  const scaleB0 = v128.load(affineB);
  const scaleB1 = v128.load(affineB, 16);
  const shift0 = f32x4.add(v128.load(affineA + line), v128.load(affineB + line));
  const shift1 = f32x4.add(v128.load(affineA + line, 16), v128.load(affineB + line, 16));
  const low = least(arg(p, 10));
  let a = <usize>arg(p, 0) + <usize>row * strideA + at;
  let b = <usize>arg(p, 2) + <usize>row * strideB + at;
  let y = <usize>arg(p, 4) + <usize>row * strideY + at;
  for (; count > 0; count--, a += strideA, b += strideB, y += strideY) {
    const v0 = v128.load(a);
    const v1 = v128.load(a, 16);
    const w0 = v128.load(b);
    const w1 = v128.load(b, 16);
    v128.store(y, f32x4.pmax(madd(w0, scaleB0, madd(v0, scaleA0, shift0)), low));
    v128.store(y, f32x4.pmax(madd(w1, scaleB1, madd(v1, scaleA1, shift1)), low), 16);
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
 * `[chunk][3][padded channels]` (doubles), 15 padded channels, 16 chunks of a block, 17 chunks, 18 scratch for 24 floats, 19 its bytes per thread.
 */
export function batchNormPairSums(p: usize, tid: i32, threads: i32): void {
  const padded = <usize>arg(p, 15) << 3;
  const scratch = <usize>arg(p, 18) + <usize>(tid * arg(p, 19));
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
      const count = min(SOME, stop - row);
      let c = 0;
      if (WIDE_SIMD) for (; c + 8 <= arg(p, 7); c += 8) eightSums(p, row, count, c, y + (<usize>c << 3), padded, scratch);
      for (; c < arg(p, 7); c += 4) pairSums(p, row, count, c, y + (<usize>c << 3), padded);
    }
  }
}

/** Eight channels of some rows, for vectors of 256 bits: those of 128 do not fit into the registers. */
function eightSums(p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize, scratch: usize): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 7) << 2;
  const strideA = <usize>arg(p, 1) << 2;
  const strideB = <usize>arg(p, 3) << 2;
  const strideG = <usize>arg(p, 5) << 2;
  const affineA = <usize>arg(p, 10) + at;
  const affineB = <usize>arg(p, 12) + at;
  const meanA0 = v128.load(<usize>arg(p, 9) + at);
  const meanA1 = v128.load(<usize>arg(p, 9) + at, 16);
  const meanB0 = v128.load(<usize>arg(p, 11) + at);
  const meanB1 = v128.load(<usize>arg(p, 11) + at, 16);
  const scaleA0 = v128.load(affineA);
  const scaleA1 = v128.load(affineA, 16);
  const scaleB0 = v128.load(affineB);
  const scaleB1 = v128.load(affineB, 16);
  const shift0 = f32x4.add(v128.load(affineA + line), v128.load(affineB + line));
  const shift1 = f32x4.add(v128.load(affineA + line, 16), v128.load(affineB + line, 16));
  const inverseA0 = v128.load(affineA + (line << 1));
  const inverseA1 = v128.load(affineA + (line << 1), 16);
  const inverseB0 = v128.load(affineB + (line << 1));
  const inverseB1 = v128.load(affineB + (line << 1), 16);
  const low = least(arg(p, 13));
  let a = <usize>arg(p, 0) + <usize>row * strideA + at;
  let b = <usize>arg(p, 2) + <usize>row * strideB + at;
  let g = <usize>arg(p, 4) + <usize>row * strideG + at;
  for (; count > 0; count -= FEW) {
    let sum0 = f32x4.splat(0);
    let sum1 = sum0;
    let productA0 = sum0;
    let productA1 = sum0;
    let productB0 = sum0;
    let productB1 = sum0;
    for (let i = min(FEW, count); i > 0; i--, a += strideA, b += strideB, g += strideG) {
      const v0 = v128.load(a);
      const v1 = v128.load(a, 16);
      const w0 = v128.load(b);
      const w1 = v128.load(b, 16);
      const d0 = v128.and(v128.load(g), f32x4.gt(madd(w0, scaleB0, madd(v0, scaleA0, shift0)), low));
      const d1 = v128.and(v128.load(g, 16), f32x4.gt(madd(w1, scaleB1, madd(v1, scaleA1, shift1)), low));
      sum0 = f32x4.add(sum0, d0);
      sum1 = f32x4.add(sum1, d1);
      productA0 = madd(d0, f32x4.sub(v0, meanA0), productA0);
      productA1 = madd(d1, f32x4.sub(v1, meanA1), productA1);
      productB0 = madd(d0, f32x4.sub(w0, meanB0), productB0);
      productB1 = madd(d1, f32x4.sub(w1, meanB1), productB1);
    }
    v128.store(scratch, sum0);
    v128.store(scratch, sum1, 16);
    v128.store(scratch, f32x4.mul(productA0, inverseA0), 32);
    v128.store(scratch, f32x4.mul(productA1, inverseA1), 48);
    v128.store(scratch, f32x4.mul(productB0, inverseB0), 64);
    v128.store(scratch, f32x4.mul(productB1, inverseB1), 80);
    accumulateEight(y, scratch);
    accumulateEight(y + padded, scratch + 32);
    accumulateEight(y + (padded << 1), scratch + 64);
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
  const rows = rowsAhead(arg(p, 11), 5);
  for (let row = first(arg(p, 10), BLOCK, tid, threads); row < end; row += rows) {
    const count = min(rows, end - row);
    readAhead(arg(p, 0), arg(p, 1), row, count);
    readAhead(arg(p, 2), arg(p, 3), row, count);
    readAhead(arg(p, 4), arg(p, 5), row, count);
    let c = 0;
    for (; c + 8 <= arg(p, 11); c += 8) {
      if (arg(p, 16) != 0) gatedGradients(p, row, count, c);
      else openGradients(p, row, count, c);
    }
    for (; c < arg(p, 11); c += 4) pairGradients(p, row, count, c);
  }
}

function gatedGradients(p: usize, row: i32, count: i32, c: i32): void {
  eightGradients(p, row, count, c, true);
}

function openGradients(p: usize, row: i32, count: i32, c: i32): void {
  eightGradients(p, row, count, c, false);
}

/** Eight channels of some rows, with a ReLU behind or without. */
// @ts-expect-error: decorator
@inline
function eightGradients(p: usize, row: i32, count: i32, c: i32, gated: bool): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 11) << 2;
  const strideA = <usize>arg(p, 1) << 2;
  const strideB = <usize>arg(p, 3) << 2;
  const strideG = <usize>arg(p, 5) << 2;
  const strideDA = <usize>arg(p, 7) << 2;
  const strideDB = <usize>arg(p, 9) << 2;
  const affineA = <usize>arg(p, 13) + at;
  const affineB = <usize>arg(p, 15) + at;
  const meanA0 = v128.load(<usize>arg(p, 12) + at);
  const meanA1 = v128.load(<usize>arg(p, 12) + at, 16);
  const meanB0 = v128.load(<usize>arg(p, 14) + at);
  const meanB1 = v128.load(<usize>arg(p, 14) + at, 16);
  const scaleA0 = v128.load(affineA);
  const scaleA1 = v128.load(affineA, 16);
  const scaleB0 = v128.load(affineB);
  const scaleB1 = v128.load(affineB, 16);
  const shift0 = f32x4.add(v128.load(affineA + line), v128.load(affineB + line));
  const shift1 = f32x4.add(v128.load(affineA + line, 16), v128.load(affineB + line, 16));
  const sums = <usize>arg(p, 17) + at;
  const share = f32x4.splat(floatArg(p, 18));
  const slopeA0 = slopeOf(scaleA0, v128.load(affineA + (line << 1)), v128.load(sums + line), share);
  const slopeA1 = slopeOf(scaleA1, v128.load(affineA + (line << 1), 16), v128.load(sums + line, 16), share);
  const slopeB0 = slopeOf(scaleB0, v128.load(affineB + (line << 1)), v128.load(sums + (line << 1)), share);
  const slopeB1 = slopeOf(scaleB1, v128.load(affineB + (line << 1), 16), v128.load(sums + (line << 1), 16), share);
  const constantA0 = constantOf(scaleA0, v128.load(sums), share);
  const constantA1 = constantOf(scaleA1, v128.load(sums, 16), share);
  const constantB0 = constantOf(scaleB0, v128.load(sums), share);
  const constantB1 = constantOf(scaleB1, v128.load(sums, 16), share);
  const zero = f32x4.splat(0);
  let a = <usize>arg(p, 0) + <usize>row * strideA + at;
  let b = <usize>arg(p, 2) + <usize>row * strideB + at;
  let g = <usize>arg(p, 4) + <usize>row * strideG + at;
  let da = <usize>arg(p, 6) + <usize>row * strideDA + at;
  let db = <usize>arg(p, 8) + <usize>row * strideDB + at;
  for (; count > 0; count--, a += strideA, b += strideB, g += strideG, da += strideDA, db += strideDB) {
    const v0 = v128.load(a);
    const v1 = v128.load(a, 16);
    const w0 = v128.load(b);
    const w1 = v128.load(b, 16);
    let d0 = v128.load(g);
    let d1 = v128.load(g, 16);
    if (gated) {
      d0 = v128.and(d0, f32x4.gt(madd(w0, scaleB0, madd(v0, scaleA0, shift0)), zero));
      d1 = v128.and(d1, f32x4.gt(madd(w1, scaleB1, madd(v1, scaleA1, shift1)), zero));
    }
    v128.store(da, madd(slopeA0, f32x4.sub(v0, meanA0), madd(scaleA0, d0, constantA0)));
    v128.store(da, madd(slopeA1, f32x4.sub(v1, meanA1), madd(scaleA1, d1, constantA1)), 16);
    v128.store(db, madd(slopeB0, f32x4.sub(w0, meanB0), madd(scaleB0, d0, constantB0)));
    v128.store(db, madd(slopeB1, f32x4.sub(w1, meanB1), madd(scaleB1, d1, constantB1)), 16);
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
  const sums = <usize>arg(p, 17) + at;
  const share = f32x4.splat(floatArg(p, 18));
  const slopeA = slopeOf(scaleA, v128.load(affineA + (line << 1)), v128.load(sums + line), share);
  const slopeB = slopeOf(scaleB, v128.load(affineB + (line << 1)), v128.load(sums + (line << 1)), share);
  const constantA = constantOf(scaleA, v128.load(sums), share);
  const constantB = constantOf(scaleB, v128.load(sums), share);
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
