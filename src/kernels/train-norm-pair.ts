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
    for (; c + 8 <= arg(p, 7); c += 8) pairRows<2>(p, row, count, c);
    for (; c < arg(p, 7); c += 4) pairRows<1>(p, row, count, c);
  }
}

/** `VECTORS` of channels of some rows; of the two inputs, here and below, a is 0 and b is 1. */
function pairRows<VECTORS extends number>(p: usize, row: i32, count: i32, c: i32): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 7) << 2;
  const strideY = <usize>arg(p, 5) << 2;
  let stride: Registers<usize>;
  let affine: Registers<usize>;
  let x: Registers<usize>;
  unroll: for (let i = 0; i < 2; i++) {
    stride[i] = <usize>arg(p, 1 + 2 * i) << 2;
    affine[i] = <usize>arg(p, 8 + i) + at;
  }
  let scale: Registers<v128>;
  let shift: Registers<v128>;
  unroll: for (let i = 0; i < 2; i++) {
    unroll: for (let n = 0; n < VECTORS; n++) scale[i][n] = v128.load(affine[i], 16 * n);
  }
  unroll: for (let n = 0; n < VECTORS; n++) shift[n] = f32x4.add(v128.load(affine[0] + line, 16 * n), v128.load(affine[1] + line, 16 * n));
  const low = least(arg(p, 10));
  const lanes = VECTORS == 2 ? 8 : arg(p, 7) - c;
  unroll: for (let i = 0; i < 2; i++) x[i] = <usize>arg(p, 2 * i) + <usize>row * stride[i] + at;
  let y = <usize>arg(p, 4) + <usize>row * strideY + at;
  // The loop for less than four channels, then that for whole vectors.
  unroll: for (let loop = 0; loop < 2; loop++) {
    if (loop == 1 || lanes < 4) {
      for (; count > 0; count--, x[0] += stride[0], x[1] += stride[1], y += strideY) {
        let v: Registers<v128>;
        unroll: for (let i = 0; i < 2; i++) {
          unroll: for (let n = 0; n < VECTORS; n++) v[i][n] = v128.load(x[i], 16 * n);
        }
        unroll: for (let n = 0; n < VECTORS; n++) {
          const sum = f32x4.pmax(madd(v[1][n], scale[1][n], madd(v[0][n], scale[0][n], shift[n])), low);
          if (loop == 0) storeLanes(y, sum, lanes);
          else v128.store(y, sum, 16 * n);
        }
      }
    }
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
      // Eight channels only where vectors are of 256 bits: those of 128 do not fit into the registers.
      if (WIDE_SIMD) for (; c + 8 <= arg(p, 7); c += 8) pairSums<2>(p, row, count, c, y + (<usize>c << 3), padded, scratch);
      for (; c < arg(p, 7); c += 4) pairSums<1>(p, row, count, c, y + (<usize>c << 3), padded, scratch);
    }
  }
}

/** `VECTORS` of channels of some rows. */
function pairSums<VECTORS extends number>(p: usize, row: i32, count: i32, c: i32, y: usize, padded: usize, scratch: usize): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 7) << 2;
  const strideG = <usize>arg(p, 5) << 2;
  let stride: Registers<usize>;
  let affine: Registers<usize>;
  let x: Registers<usize>;
  unroll: for (let i = 0; i < 2; i++) {
    stride[i] = <usize>arg(p, 1 + 2 * i) << 2;
    affine[i] = <usize>arg(p, 10 + 2 * i) + at;
  }
  let mean: Registers<v128>;
  let scale: Registers<v128>;
  let shift: Registers<v128>;
  let inverse: Registers<v128>;
  unroll: for (let i = 0; i < 2; i++) {
    unroll: for (let n = 0; n < VECTORS; n++) mean[i][n] = v128.load(<usize>arg(p, 9 + 2 * i) + at, 16 * n);
  }
  unroll: for (let i = 0; i < 2; i++) {
    unroll: for (let n = 0; n < VECTORS; n++) scale[i][n] = v128.load(affine[i], 16 * n);
  }
  unroll: for (let n = 0; n < VECTORS; n++) shift[n] = f32x4.add(v128.load(affine[0] + line, 16 * n), v128.load(affine[1] + line, 16 * n));
  unroll: for (let i = 0; i < 2; i++) {
    unroll: for (let n = 0; n < VECTORS; n++) inverse[i][n] = v128.load(affine[i] + (line << 1), 16 * n);
  }
  const low = least(arg(p, 13));
  unroll: for (let i = 0; i < 2; i++) x[i] = <usize>arg(p, 2 * i) + <usize>row * stride[i] + at;
  let g = <usize>arg(p, 4) + <usize>row * strideG + at;
  for (; count > 0; count -= FEW) {
    // The sums of the gradient, then those of its products with either input.
    let s: Registers<v128>;
    unroll: for (let part = 0; part < 3; part++) {
      unroll: for (let n = 0; n < VECTORS; n++) s[part][n] = f32x4.splat(0);
    }
    for (let rows = min(FEW, count); rows > 0; rows--, x[0] += stride[0], x[1] += stride[1], g += strideG) {
      let v: Registers<v128>;
      let d: Registers<v128>;
      unroll: for (let i = 0; i < 2; i++) {
        unroll: for (let n = 0; n < VECTORS; n++) v[i][n] = v128.load(x[i], 16 * n);
      }
      unroll: for (let n = 0; n < VECTORS; n++) {
        // The very sum that the forward pass took the sign of.
        d[n] = v128.and(v128.load(g, 16 * n), f32x4.gt(madd(v[1][n], scale[1][n], madd(v[0][n], scale[0][n], shift[n])), low));
      }
      unroll: for (let n = 0; n < VECTORS; n++) s[0][n] = f32x4.add(s[0][n], d[n]);
      unroll: for (let i = 0; i < 2; i++) {
        unroll: for (let n = 0; n < VECTORS; n++) s[1 + i][n] = madd(d[n], f32x4.sub(v[i][n], mean[i][n]), s[1 + i][n]);
      }
    }
    unroll: for (let i = 0; i < 2; i++) {
      unroll: for (let n = 0; n < VECTORS; n++) s[1 + i][n] = f32x4.mul(s[1 + i][n], inverse[i][n]);
    }
    if (VECTORS == 2) {
      unroll: for (let part = 0; part < 3; part++) {
        unroll: for (let n = 0; n < VECTORS; n++) v128.store(scratch, s[part][n], 32 * part + 16 * n);
      }
      unroll: for (let part = 0; part < 3; part++) accumulateEight(y + part * padded, scratch + 32 * part);
    } else {
      unroll: for (let part = 0; part < 3; part++) accumulate(y + part * padded, s[part][0]);
    }
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
      if (arg(p, 16) != 0) pairGradients<2, true>(p, row, count, c);
      else pairGradients<2, false>(p, row, count, c);
    }
    for (; c < arg(p, 11); c += 4) pairGradients<1, true>(p, row, count, c);
  }
}

/** `VECTORS` of channels of some rows, two of them `GATED` by a ReLU behind or not: loops of their own, as in train-norm-gradient.ts. */
function pairGradients<VECTORS extends number, GATED extends boolean>(p: usize, row: i32, count: i32, c: i32): void {
  const at = <usize>c << 2;
  const line = <usize>arg(p, 11) << 2;
  const strideG = <usize>arg(p, 5) << 2;
  let stride: Registers<usize>;
  let strideY: Registers<usize>;
  let affine: Registers<usize>;
  let x: Registers<usize>;
  let y: Registers<usize>;
  unroll: for (let i = 0; i < 2; i++) {
    stride[i] = <usize>arg(p, 1 + 2 * i) << 2;
    strideY[i] = <usize>arg(p, 7 + 2 * i) << 2;
    affine[i] = <usize>arg(p, 13 + 2 * i) + at;
  }
  let mean: Registers<v128>;
  let scale: Registers<v128>;
  let shift: Registers<v128>;
  let slope: Registers<v128>;
  let constant: Registers<v128>;
  unroll: for (let i = 0; i < 2; i++) {
    unroll: for (let n = 0; n < VECTORS; n++) mean[i][n] = v128.load(<usize>arg(p, 12 + 2 * i) + at, 16 * n);
  }
  unroll: for (let i = 0; i < 2; i++) {
    unroll: for (let n = 0; n < VECTORS; n++) scale[i][n] = v128.load(affine[i], 16 * n);
  }
  unroll: for (let n = 0; n < VECTORS; n++) shift[n] = f32x4.add(v128.load(affine[0] + line, 16 * n), v128.load(affine[1] + line, 16 * n));
  const sums = <usize>arg(p, 17) + at;
  const share = f32x4.splat(floatArg(p, 18));
  unroll: for (let i = 0; i < 2; i++) {
    unroll: for (let n = 0; n < VECTORS; n++) {
      slope[i][n] = slopeOf(scale[i][n], v128.load(affine[i] + (line << 1), 16 * n), v128.load(sums + (i + 1) * line, 16 * n), share);
    }
  }
  unroll: for (let i = 0; i < 2; i++) {
    unroll: for (let n = 0; n < VECTORS; n++) constant[i][n] = constantOf(scale[i][n], v128.load(sums, 16 * n), share);
  }
  const zero = f32x4.splat(0);
  const gated = VECTORS == 2 ? GATED : arg(p, 16) != 0;
  const lanes = VECTORS == 2 ? 8 : arg(p, 11) - c;
  unroll: for (let i = 0; i < 2; i++) {
    x[i] = <usize>arg(p, 2 * i) + <usize>row * stride[i] + at;
    y[i] = <usize>arg(p, 6 + 2 * i) + <usize>row * strideY[i] + at;
  }
  let g = <usize>arg(p, 4) + <usize>row * strideG + at;
  // The loop for less than four channels, that for whole vectors with a ReLU behind and that without: of two vectors only one of the latter.
  unroll: for (let loop = 0; loop < 3; loop++) {
    if (loop == 0 ? lanes < 4 : loop == 1 ? gated : !gated) {
      for (; count > 0; count--, x[0] += stride[0], x[1] += stride[1], g += strideG, y[0] += strideY[0], y[1] += strideY[1]) {
        let v: Registers<v128>;
        let d: Registers<v128>;
        unroll: for (let i = 0; i < 2; i++) {
          unroll: for (let n = 0; n < VECTORS; n++) v[i][n] = v128.load(x[i], 16 * n);
        }
        unroll: for (let n = 0; n < VECTORS; n++) d[n] = v128.load(g, 16 * n);
        if (loop == 0 ? gated : loop == 1) {
          unroll: for (let n = 0; n < VECTORS; n++) {
            d[n] = v128.and(d[n], f32x4.gt(madd(v[1][n], scale[1][n], madd(v[0][n], scale[0][n], shift[n])), zero));
          }
        }
        unroll: for (let i = 0; i < 2; i++) {
          unroll: for (let n = 0; n < VECTORS; n++) {
            const gradient = madd(slope[i][n], f32x4.sub(v[i][n], mean[i][n]), madd(scale[i][n], d[n], constant[i][n]));
            if (loop == 0) storeLanes(y[i], gradient, lanes);
            else v128.store(y[i], gradient, 16 * n);
          }
        }
      }
    }
  }
}
