import { readAhead, rowsFar } from './ahead';
import { arg } from './args';
import { Activation, BinaryOperator } from './opcodes';
import { first, last } from './share';
import { activate, madd, storeLanes } from './vector';

/** Rows that are passed over for every four channels: they stay in the cache. */
const BLOCK: i32 = 64;
/** So few channels that rows, one behind the other, are read like one long one where only a part of each is wanted. */
const FEW: i32 = 16;

/**
 * `activation(x * scale + shift)` by channel.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels, 6 scale, 7 shift, 8 activation.
 */
export function affine(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const channels = arg(p, 5);
  const end = last(rows, BLOCK, tid, threads);
  const far = rowsFar(channels, BLOCK);
  for (let start = first(rows, BLOCK, tid, threads); start < end; start += far) {
    const stop = min(end, start + far);
    readAhead(arg(p, 0), arg(p, 1), start, stop - start);
    for (let row = start; row < stop; row += BLOCK) affineRows(p, row, min(BLOCK, stop - row));
  }
}

/** All channels of a block of rows. */
function affineRows(p: usize, row: i32, count: i32): void {
  const channels = arg(p, 5);
  let c = 0;
  if (arg(p, 8) <= Activation.Relu) {
    if (channels > FEW) affineEights(p, row, count);
    else for (; c + 8 <= channels; c += 8) affineBlock<2>(p, row, count, c);
    c = channels & ~7;
  }
  for (; c < channels; c += 4) affineBlock<1>(p, row, count, c);
}

/** Whole eights of channels of a block of rows, with no activation behind or a ReLU: rows as they lie in memory, two at a time. */
function affineEights(p: usize, row: i32, count: i32): void {
  const strideX = <usize>arg(p, 1) << 2;
  const strideY = <usize>arg(p, 3) << 2;
  const bytes = <usize>(arg(p, 5) & ~7) << 2;
  const scales = <usize>arg(p, 6);
  const apart = <usize>arg(p, 7) - scales;
  const low = f32x4.splat(arg(p, 8) == Activation.Relu ? 0 : -Infinity);
  let x = <usize>arg(p, 0) + <usize>row * strideX;
  let y = <usize>arg(p, 2) + <usize>row * strideY;
  for (; count > 0; count -= 2, x += strideX << 1, y += strideY << 1) {
    // The last of an odd number takes the place of the second as well.
    const nextX = count > 1 ? strideX : 0;
    const nextY = count > 1 ? strideY : 0;
    let q = x;
    let to = y;
    for (let s = scales, stop = scales + bytes; s < stop; s += 32, q += 32, to += 32) {
      let scale: Registers<v128>;
      let shift: Registers<v128>;
      let v: Registers<v128>;
      unroll: for (let n = 0; n < 2; n++) scale[n] = v128.load(s, 16 * n);
      unroll: for (let n = 0; n < 2; n++) shift[n] = v128.load(s + apart, 16 * n);
      unroll: for (let i = 0; i < 2; i++) {
        unroll: for (let n = 0; n < 2; n++) v[i][n] = v128.load(i == 0 ? q : q + nextX, 16 * n);
      }
      unroll: for (let i = 0; i < 2; i++) {
        unroll: for (let n = 0; n < 2; n++) v128.store(i == 0 ? to : to + nextY, f32x4.pmax(madd(v[i][n], scale[n], shift[n]), low), 16 * n);
      }
    }
  }
}

/** `VECTORS` of channels of a block of rows; two only with no activation behind or a ReLU. */
function affineBlock<VECTORS extends number>(p: usize, row: i32, count: i32, c: i32): void {
  const at = <usize>c << 2;
  const strideX = <usize>arg(p, 1) << 2;
  const strideY = <usize>arg(p, 3) << 2;
  let scale: Registers<v128>;
  let shift: Registers<v128>;
  unroll: for (let n = 0; n < VECTORS; n++) scale[n] = v128.load(<usize>arg(p, 6) + at, 16 * n);
  unroll: for (let n = 0; n < VECTORS; n++) shift[n] = v128.load(<usize>arg(p, 7) + at, 16 * n);
  const activation = arg(p, 8);
  let x = <usize>arg(p, 0) + <usize>row * strideX + at;
  let y = <usize>arg(p, 2) + <usize>row * strideY + at;
  if (VECTORS == 1) {
    const lanes = arg(p, 5) - c;
    if (lanes < 4 || activation > Activation.Relu) {
      for (; count > 0; count--, x += strideX, y += strideY) {
        storeLanes(y, activate(madd(v128.load(x), scale[0], shift[0]), activation), lanes);
      }
      return;
    }
  }
  const low = f32x4.splat(activation == Activation.Relu ? 0 : -Infinity);
  for (; count > 0; count--, x += strideX, y += strideY) {
    let v: Registers<v128>;
    unroll: for (let n = 0; n < VECTORS; n++) v[n] = v128.load(x, 16 * n);
    unroll: for (let n = 0; n < VECTORS; n++) v128.store(y, f32x4.pmax(madd(v[n], scale[n], shift[n]), low), 16 * n);
  }
}

/** Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels, 6 activation. */
export function unary(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const channels = arg(p, 5);
  const strideX = arg(p, 1);
  const strideY = arg(p, 3);
  const activation = arg(p, 6);
  if (strideX == channels && strideY == channels) {
    // Without gaps the rows are one long one, shared in whole vectors.
    const from = first(rows * channels, 16, tid, threads);
    const to = last(rows * channels, 16, tid, threads);
    unaryRow(<usize>arg(p, 0) + (<usize>from << 2), <usize>arg(p, 2) + (<usize>from << 2), to - from, activation);
    return;
  }
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    unaryRow(<usize>arg(p, 0) + <usize>(row * strideX * 4), <usize>arg(p, 2) + <usize>(row * strideY * 4), channels, activation);
  }
}

function unaryRow(x: usize, y: usize, count: i32, activation: i32): void {
  for (let i = 0; i < count; i += 4, x += 16, y += 16) storeLanes(y, activate(v128.load(x), activation), count - i);
}

/** `x` where it is positive, else `slope * x` by channel. Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels, 6 slopes. */
export function prelu(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 5);
  const slopes = <usize>arg(p, 6);
  const zero = f32x4.splat(0);
  const end = last(arg(p, 4), 1, tid, threads);
  for (let row = first(arg(p, 4), 1, tid, threads); row < end; row++) {
    const x = <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4);
    const y = <usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4);
    for (let c = 0; c < channels; c += 4) {
      const at = <usize>c << 2;
      const v = v128.load(x + at);
      storeLanes(y + at, v128.bitselect(f32x4.mul(v, v128.load(slopes + at)), v, f32x4.lt(v, zero)), channels - c);
    }
  }
}

// @ts-expect-error: decorator
@inline
function combine(a: v128, b: v128, operator: i32): v128 {
  if (operator == BinaryOperator.Add) return f32x4.add(a, b);
  if (operator == BinaryOperator.Multiply) return f32x4.mul(a, b);
  if (operator == BinaryOperator.Subtract) return f32x4.sub(a, b);
  if (operator == BinaryOperator.Divide) return f32x4.div(a, b);
  return operator == BinaryOperator.Maximum ? f32x4.max(a, b) : f32x4.min(a, b);
}

/**
 * `activation(a op b)` with broadcasting: strides are 0 along a dimension that is repeated.
 * Arguments: 0 a, 1-4 its strides over n, h, w, c; 5 b, 6-9 its strides; 10 y, 11-14 its strides; 15 N, 16 H, 17 W, 18 C,
 * 19 operator, 20 activation.
 */
export function binary(p: usize, tid: i32, threads: i32): void {
  const height = arg(p, 16);
  const width = arg(p, 17);
  const channels = arg(p, 18);
  const rows = arg(p, 15) * height * width;
  let from = 0;
  let to = channels;
  let row = 0;
  let rowEnd = rows;
  if (rows == 1) {
    from = first(channels, 16, tid, threads);
    to = last(channels, 16, tid, threads);
  } else {
    row = first(rows, 1, tid, threads);
    rowEnd = last(rows, 1, tid, threads);
  }
  for (; row < rowEnd; row++) {
    const w = row % width;
    const n = row / (width * height);
    const h = row / width - n * height;
    const a = <usize>arg(p, 0) + <usize>((n * arg(p, 1) + h * arg(p, 2) + w * arg(p, 3)) * 4);
    const b = <usize>arg(p, 5) + <usize>((n * arg(p, 6) + h * arg(p, 7) + w * arg(p, 8)) * 4);
    const y = <usize>arg(p, 10) + <usize>((n * arg(p, 11) + h * arg(p, 12) + w * arg(p, 13)) * 4);
    binaryRow(a, arg(p, 4), b, arg(p, 9), y, from, to, arg(p, 19), arg(p, 20));
  }
}

function binaryRow(
  a: usize, stepA: i32, b: usize, stepB: i32, y: usize, from: i32, to: i32, operator: i32, activation: i32,
): void {
  let c = from;
  if (stepA == 1 && stepB == 1 && activation <= Activation.Relu && operator <= BinaryOperator.Multiply) {
    c += denseRow(a + (<usize>c << 2), b + (<usize>c << 2), y + (<usize>c << 2), to - c, operator, activation);
  }
  for (; c < to; c += 4) {
    const v = combine(gather(a, c, stepA, to), gather(b, c, stepB, to), operator);
    storeLanes(y + (<usize>c << 2), activate(v, activation), to - c);
  }
}

/** Sums or products of neighbours, in whole pairs of vectors; returns how many. */
function denseRow(a: usize, b: usize, y: usize, count: i32, operator: i32, activation: i32): i32 {
  const whole = count & ~7;
  const low = f32x4.splat(activation == Activation.Relu ? 0 : -Infinity);
  const end = y + (<usize>whole << 2);
  if (operator == BinaryOperator.Add) densePairs<true>(a, b, y, end, low);
  else densePairs<false>(a, b, y, end, low);
  return whole;
}

// @ts-expect-error: decorator
@inline
function densePairs<SUMS extends boolean>(a: usize, b: usize, y: usize, end: usize, low: v128): void {
  for (; y < end; a += 32, b += 32, y += 32) {
    let c: Registers<v128>;
    unroll: for (let n = 0; n < 2; n++) {
      c[n] = SUMS ? f32x4.add(v128.load(a, 16 * n), v128.load(b, 16 * n)) : f32x4.mul(v128.load(a, 16 * n), v128.load(b, 16 * n));
    }
    unroll: for (let n = 0; n < 2; n++) v128.store(y, f32x4.pmax(c[n], low), 16 * n);
  }
}

/** Four values from `x[c * step]` on; only lanes before `to` are read where they are not neighbours. */
// @ts-expect-error: decorator
@inline
function gather(x: usize, c: i32, step: i32, to: i32): v128 {
  if (step == 1) return v128.load(x + (<usize>c << 2));
  if (step == 0) return v128.load32_splat(x);
  return gatherApart(x, c, step, to);
}

function gatherApart(x: usize, c: i32, step: i32, to: i32): v128 {
  let v = f32x4.splat(load<f32>(x + <usize>(c * step * 4)));
  if (c + 1 < to) v = f32x4.replace_lane(v, 1, load<f32>(x + <usize>((c + 1) * step * 4)));
  if (c + 2 < to) v = f32x4.replace_lane(v, 2, load<f32>(x + <usize>((c + 2) * step * 4)));
  if (c + 3 < to) v = f32x4.replace_lane(v, 3, load<f32>(x + <usize>((c + 3) * step * 4)));
  return v;
}
