import { batchNormAffine, batchNormOp } from '../../ops/batch-norm.js';
import { type BinaryAttrs, binaryOp } from '../../ops/binary.js';
import { type Conv2dAttrs, conv2dOp, conv2dOperands, hasConstantWeight } from '../../ops/conv2d.js';
import { type Shape, sameShape } from '../../tensor/tensor.js';
import { dataOf, nameOf } from '../leaves.js';
import { isOp, type Value } from '../value.js';

/** A value as `x * scale[c] + shift[c]`, with `c` the channel (dimension 1), in double precision. */
export interface Affine {
  readonly x: Value;
  readonly scale: Float64Array;
  readonly shift: Float64Array;
  /** The state-dict name of what it multiplies with, if it has one. */
  readonly name?: string;
}

/**
 * Reads a value as an affine function of one input per channel: batch norm, arithmetic with a constant per channel or a single
 * constant, a 1x1 depthwise convolution. Its activation, where it has one, is the caller's affair. Undefined for anything else.
 */
export function affineOf(value: Value): Affine | undefined {
  if (isOp(value, batchNormOp)) {
    const [x, weight, ...statistics] = value.inputs;
    if (![weight, ...statistics].every((v) => dataOf(v))) return undefined;
    return { x, ...batchNormAffine(value), name: nameOf(weight) };
  }
  if (isOp(value, binaryOp)) return arithmetic(value);
  if (isOp(value, conv2dOp)) return pixelwise(value);
  return undefined;
}

function arithmetic(value: Value<BinaryAttrs>): Affine | undefined {
  const [a, b] = value.inputs;
  const left = sameShape(b.shape, value.shape) ? perChannel(a, value.shape) : undefined;
  const right = sameShape(a.shape, value.shape) ? perChannel(b, value.shape) : undefined;
  const ones = new Float64Array(value.shape[1] ?? 1).fill(1);
  const zeros = new Float64Array(ones.length);
  switch (value.attrs.kind) {
    case 'mul':
      if (right) return { x: a, scale: right, shift: zeros, name: nameOf(b) };
      return left && { x: b, scale: left, shift: zeros, name: nameOf(a) };
    case 'div':
      return right && { x: a, scale: right.map((v) => 1 / v), shift: zeros };
    case 'add':
      if (right) return { x: a, scale: ones, shift: right };
      return left && { x: b, scale: ones, shift: left };
    case 'sub':
      if (right) return { x: a, scale: ones, shift: right.map((v) => -v) };
      return left && { x: b, scale: ones.map((v) => -v), shift: left };
  }
}

/** The elements of a constant that broadcasts to `shape` along the channels only, one for each channel. */
function perChannel(value: Value, shape: Shape): Float64Array | undefined {
  const data = dataOf(value);
  if (!data || shape.length < 2 || value.shape.length > shape.length) return undefined;
  if (data.length === 1) return new Float64Array(shape[1]).fill(data[0]);
  const padded = [...new Array<number>(shape.length - value.shape.length).fill(1), ...value.shape];
  return padded.every((d, i) => d === (i === 1 ? shape[1] : 1)) ? Float64Array.from(data) : undefined;
}

function pixelwise(value: Value<Conv2dAttrs>): Affine | undefined {
  const { x, weight, bias } = conv2dOperands(value);
  const { stride, padding, groups, residual, scale } = value.attrs;
  if (residual || scale || !hasConstantWeight(value) || !sameShape(weight.shape, [groups, 1, 1, 1])) return undefined;
  if (stride.some((s) => s !== 1) || padding.some((p) => p !== 0)) return undefined;
  return {
    x,
    scale: Float64Array.from(dataOf(weight) as Float32Array),
    shift: Float64Array.from((bias && dataOf(bias)) ?? new Float32Array(groups)),
    name: nameOf(weight),
  };
}
