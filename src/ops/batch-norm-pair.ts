import type { NdArray } from '../graph/operator.js';
import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { activate } from './activation.js';
import { chunksOf } from './batch-blocks.js';
import { type BatchNormTrainAttrs, eachChannel, paddedChannels, rowOf, SUMS_SCRATCH } from './batch-norm-train.js';
import { batchPart } from './batch-part.js';

// The sum of two batch norms in training and what follows it: the end of a RepGhost module and of a strided block, and most of the memory that
// these networks move when they are trained.

/** The operands of one of the two batch norms: see `batchNormTrainOp`. */
export type NormOperands = readonly [x: Value, weight: Value, bias: Value, statistics: Value, affine: Value];

const relu = ({ activation }: BatchNormTrainAttrs) => (activation === 'relu' ? 1 : 0);

const normal = (x: number, c: number, statistics: NdArray, affine: NdArray) =>
  (x - statistics.data[c]) * affine.data[2 * statistics.shape[1] + c];

const scaled = (x: number, c: number, affine: NdArray) => x * affine.data[c] + affine.data[affine.shape[1] + c];

/** Inputs: the operands of the one and those of the other; activation none or ReLU. */
export const batchNormPairOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_pair',
  shape: ([x]) => x,
  reference([a, , , , affineA, b, , , , affineB], { attrs }) {
    const y = new Float64Array(a.data.length);
    eachChannel(a, (i, c) => {
      y[i] = scaled(a.data[i], c, affineA) + scaled(b.data[i], c, affineB);
    });
    return activate(attrs.activation, y);
  },
  gradient([a, , , statisticsA, affineA, b, , , statisticsB, affineB], { attrs }, grad) {
    const operands = [a, statisticsA, affineA, b, statisticsB, affineB, grad];
    const sums = apply(batchNormPairSumsOp, operands, attrs);
    const both = apply(batchNormPairInputGradientOp, [...operands, sums], attrs);
    const n = a.shape[0];
    const bias = rowOf(sums, 0);
    return [
      ...[batchPart(both, 0, n), rowOf(sums, 1), bias, undefined, undefined],
      ...[batchPart(both, n, 2 * n), rowOf(sums, 2), bias, undefined, undefined],
    ];
  },
  lower(value, to) {
    const [a, , , , affineA, b, , , , affineB] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    to.emit(Opcode.BatchNormPair, [
      ...[a, a.stride, b, b.stride, y, y.stride, y.rows, y.channels],
      ...[affineA, affineB, relu(value.attrs)],
    ]);
  },
});

/** The gradient behind the activation. */
function passed(
  [a, , affineA, b, , affineB, grad]: readonly NdArray[],
  { activation }: BatchNormTrainAttrs,
  i: number,
  c: number,
) {
  const before = scaled(a.data[i], c, affineA) + scaled(b.data[i], c, affineB);
  return activation === 'none' || before > 0 ? grad.data[i] : 0;
}

/** For every channel the sums over the batch of the gradient behind the activation, and of it times each normalised input: `[3, C]`. */
const batchNormPairSumsOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_pair_sums',
  shape: ([x]) => [3, x[1]],
  reference(inputs, { attrs }) {
    const [a, statisticsA, affineA, b, statisticsB, affineB] = inputs;
    const channels = a.shape[1];
    const y = new Float64Array(3 * channels);
    eachChannel(a, (i, c) => {
      const g = passed(inputs, attrs, i, c);
      y[c] += g;
      y[channels + c] += g * normal(a.data[i], c, statisticsA, affineA);
      y[2 * channels + c] += g * normal(b.data[i], c, statisticsB, affineB);
    });
    return y;
  },
  lower(value, to) {
    const [a, statisticsA, affineA, b, statisticsB, affineB, grad] = value.inputs.map((v) => to.view(v));
    const { rows, size, perBlock, count } = chunksOf(value.inputs[0].shape[0], a.rows);
    const padded = paddedChannels(a.channels);
    const partial = { buffer: to.temporary(count * 6 * padded), offset: 0 };
    to.emit(Opcode.BatchNormPairSums, [
      ...[a, a.stride, b, b.stride, grad, grad.stride, rows, a.channels, size],
      ...[statisticsA, affineA, statisticsB, affineB, relu(value.attrs), partial, padded, perBlock, count],
      ...[to.scratch(SUMS_SCRATCH), 4 * SUMS_SCRATCH],
    ]);
    to.emit(Opcode.SumChunks, [partial, count, 3, a.channels, padded, to.view(value)]);
  },
});

/** The gradients of both inputs, the one behind the other: `[2N, C, H, W]`. */
const batchNormPairInputGradientOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_pair_input_gradient',
  shape: ([[n, ...rest]]) => [2 * n, ...rest],
  reference(inputs, { attrs }) {
    const [a, statisticsA, affineA, b, statisticsB, affineB, , sums] = inputs;
    const size = a.data.length;
    const channels = a.shape[1];
    const count = size / channels;
    const y = new Float64Array(2 * size);
    eachChannel(a, (i, c) => {
      const g = passed(inputs, attrs, i, c) - sums.data[c] / count;
      const productA = normal(a.data[i], c, statisticsA, affineA) * sums.data[channels + c];
      const productB = normal(b.data[i], c, statisticsB, affineB) * sums.data[2 * channels + c];
      y[i] = affineA.data[c] * (g - productA / count);
      y[size + i] = affineB.data[c] * (g - productB / count);
    });
    return y;
  },
  lower(value, to) {
    const [a, statisticsA, affineA, b, statisticsB, affineB, grad, sums] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const second = { ...y, offset: y.offset + a.rows * y.stride };
    to.emit(Opcode.BatchNormPairInputGradient, [
      ...[a, a.stride, b, b.stride, grad, grad.stride, y, y.stride, second, y.stride, a.rows, a.channels],
      ...[statisticsA, affineA, statisticsB, affineB, relu(value.attrs), sums],
      { float: 1 / a.rows },
    ]);
  },
});

export function batchNormPair(a: NormOperands, b: NormOperands, attrs: BatchNormTrainAttrs): Value {
  return apply(batchNormPairOp, [...a, ...b], attrs);
}
