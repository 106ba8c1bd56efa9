import { defineOperator, type NdArray } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { type ActivationName, activate, activationCode } from './activation.js';
import { chunksOf } from './batch-blocks.js';
import { reshape } from './reshape.js';
import { slice } from './slice.js';

// Batch normalisation with the batch's own statistics (Ioffe and Szegedy, 2015), and its gradient. Statistics are a value of their own,
// `[2, C]`: the means and the biased variances, so that the running ones can be updated from them.

/** Floats of working memory that each thread has for sums over the batch (kernels/train-norm.ts), two lines of the cache. */
export const SUMS_SCRATCH = 32;

/** Channels of partial sums: whole vectors, two at a time. */
export const paddedChannels = (channels: number) => Math.ceil(channels / 8) * 8;

/** Calls `visit` with the channel of every element of `[N,C,...]`. */
export function eachChannel(x: NdArray, visit: (i: number, channel: number) => void): void {
  const channels = x.shape[1];
  const inner = x.data.length / (x.shape[0] * channels);
  for (let i = 0; i < x.data.length; i++) visit(i, Math.floor(i / inner) % channels);
}

/** Mean and biased variance of every channel of `[N,C,H,W]` (or `[N,C]`): `[2, C]`. */
export const batchStatisticsOp = defineOperator<Record<string, never>>({
  name: 'batch_statistics',
  shape([x]) {
    if (x.length !== 4 && x.length !== 2)
      throw new GhostkitError(`batch_statistics: takes [N,C,H,W], got ${formatShape(x)}`);
    return [2, x[1]];
  },
  reference([x]) {
    const channels = x.shape[1];
    const count = x.data.length / channels;
    const y = new Float64Array(2 * channels);
    eachChannel(x, (i, c) => {
      y[c] += x.data[i] / count;
    });
    eachChannel(x, (i, c) => {
      y[channels + c] += (x.data[i] - y[c]) ** 2 / count;
    });
    return y;
  },
  gradient([x], value, grad) {
    return [apply(batchStatisticsGradientOp, [x, value, grad], {})];
  },
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const { rows, size, perBlock, count } = chunksOf(value.inputs[0].shape[0], x.rows);
    const padded = paddedChannels(x.channels);
    const partial = { buffer: to.temporary(count * 6 * padded), offset: 0 };
    to.emit(Opcode.BatchMoments, [
      ...[x, x.stride, rows, x.channels, size, perBlock, count, partial, padded],
      ...[to.scratch(SUMS_SCRATCH), 4 * SUMS_SCRATCH],
    ]);
    to.emit(Opcode.BatchMomentsEnd, [partial, padded, rows, size, perBlock, count, x.channels, y]);
  },
});

/** The gradient of {@link batchStatisticsOp}: from `x`, the statistics, and their gradient `[2, C]`. */
const batchStatisticsGradientOp = defineOperator<Record<string, never>>({
  name: 'batch_statistics_gradient',
  shape: ([x]) => x,
  reference([x, statistics, grad]) {
    const channels = x.shape[1];
    const count = x.data.length / channels;
    const y = new Float64Array(x.data.length);
    eachChannel(x, (i, c) => {
      y[i] = (grad.data[c] + 2 * grad.data[channels + c] * (x.data[i] - statistics.data[c])) / count;
    });
    return y;
  },
});

export interface BatchNormTrainAttrs {
  readonly activation: ActivationName;
}

/**
 * What a batch norm with given statistics amounts to, by channel: scale, shift, and the inverse of the deviation: `[3, C]`. Inputs: `weight`,
 * `bias`: `[C]`, statistics `[2, C]`. Kept from the forward to the backward pass, which has to see the very same numbers.
 */
const batchNormAffineOp = defineOperator<{ readonly epsilon: number }>({
  name: 'batch_norm_affine',
  shape: ([weight]) => [3, weight[0]],
  reference([weight, bias, statistics], { attrs }) {
    const channels = weight.data.length;
    const y = new Float64Array(3 * channels);
    for (let c = 0; c < channels; c++) {
      const inverse = 1 / Math.sqrt(statistics.data[channels + c] + attrs.epsilon);
      y[c] = weight.data[c] * inverse;
      y[channels + c] = bias.data[c] - statistics.data[c] * y[c];
      y[2 * channels + c] = inverse;
    }
    return y;
  },
  lower(value, to) {
    const [weight, bias, statistics] = value.inputs.map((v) => to.view(v));
    const epsilon = { float: value.attrs.epsilon };
    to.emit(Opcode.BatchNormAffine, [statistics, weight, bias, weight.channels, epsilon, to.view(value)]);
  },
});

/** Normalises with given statistics: inputs `x`, `weight`, `bias`: `[C]`, the statistics of `x`, and {@link batchNormAffineOp} of these. */
export const batchNormTrainOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_train',
  shape: ([x]) => x,
  reference([x, , , , affine], { attrs }) {
    const channels = x.shape[1];
    const y = new Float64Array(x.data.length);
    eachChannel(x, (i, c) => {
      y[i] = x.data[i] * affine.data[c] + affine.data[channels + c];
    });
    return activate(attrs.activation, y);
  },
  gradient([x, , , statistics, affine], value, grad) {
    // The statistics are those of x: what flows through them is part of the gradient of x, so they get none themselves.
    const sums = apply(batchNormSumsOp, [x, statistics, affine, grad], value.attrs);
    const dx = apply(batchNormInputGradientOp, [x, statistics, affine, grad, sums], value.attrs);
    return [dx, rowOf(sums, 1), rowOf(sums, 0), undefined, undefined];
  },
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const scale = to.view(value.inputs[4]);
    const y = to.view(value);
    const shift = { ...scale, offset: scale.offset + x.channels };
    const activation = activationCode(value.attrs.activation);
    to.emit(Opcode.Affine, [x, x.stride, y, y.stride, y.rows, y.channels, scale, shift, activation]);
  },
});

/** The normalised input of an element, and whether the activation behind passes its gradient: only ReLU is fused. */
function element(x: number, c: number, statistics: NdArray, affine: NdArray, { activation }: BatchNormTrainAttrs) {
  const channels = statistics.shape[1];
  return {
    normal: (x - statistics.data[c]) * affine.data[2 * channels + c],
    passes: activation === 'none' || x * affine.data[c] + affine.data[channels + c] > 0,
  };
}

/** For every channel the sums over the batch of the gradient behind the activation, and of it times the normalised input: `[2, C]`. */
const batchNormSumsOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_sums',
  shape: ([x]) => [2, x[1]],
  reference([x, statistics, affine, grad], { attrs }) {
    const channels = x.shape[1];
    const y = new Float64Array(2 * channels);
    eachChannel(x, (i, c) => {
      const { normal, passes } = element(x.data[i], c, statistics, affine, attrs);
      if (!passes) return;
      y[c] += grad.data[i];
      y[channels + c] += grad.data[i] * normal;
    });
    return y;
  },
  lower(value, to) {
    const [x, statistics, affine, grad] = value.inputs.map((v) => to.view(v));
    const { rows, size, perBlock, count } = chunksOf(value.inputs[0].shape[0], x.rows);
    const padded = paddedChannels(x.channels);
    const partial = { buffer: to.temporary(count * 4 * padded), offset: 0 };
    to.emit(Opcode.BatchNormSums, [
      ...[x, x.stride, grad, grad.stride, rows, x.channels, size, statistics, affine],
      value.attrs.activation === 'relu' ? 1 : 0,
      ...[partial, padded, perBlock, count, to.scratch(SUMS_SCRATCH), 4 * SUMS_SCRATCH],
    ]);
    to.emit(Opcode.SumChunks, [partial, count, 2, x.channels, padded, to.view(value)]);
  },
});

/** The gradient of the input of a batch norm, with what flows through the statistics. */
const batchNormInputGradientOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_input_gradient',
  shape: ([x]) => x,
  reference([x, statistics, affine, grad, sums], { attrs }) {
    const channels = x.shape[1];
    const count = x.data.length / channels;
    const y = new Float64Array(x.data.length);
    eachChannel(x, (i, c) => {
      const { normal, passes } = element(x.data[i], c, statistics, affine, attrs);
      const g = passes ? grad.data[i] : 0;
      y[i] = affine.data[c] * (g - sums.data[c] / count - (normal * sums.data[channels + c]) / count);
    });
    return y;
  },
  lower(value, to) {
    const [x, statistics, affine, grad, sums] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    to.emit(Opcode.BatchNormInputGradient, [
      ...[x, x.stride, grad, grad.stride, y, y.stride, x.rows, x.channels, statistics, affine],
      value.attrs.activation === 'relu' ? 1 : 0,
      sums,
      { float: 1 / x.rows },
    ]);
  },
});

/** Row `i` of a value `[rows, C]`: `[C]`. */
export function rowOf(value: Value, i: number): Value {
  const [rows, channels] = value.shape;
  return reshape(slice(reshape(value, [1, rows * channels]), i * channels, (i + 1) * channels), [channels]);
}

/** Mean and biased variance of every channel. */
export function batchStatistics(x: Value): Value {
  return apply(batchStatisticsOp, [x], {});
}

/** Normalises `x` with given statistics `[2, C]`: {@link batchStatistics} of it. */
export function batchNormTrain(
  [x, weight, bias, statistics]: readonly [Value, Value, Value, Value],
  { epsilon, activation }: BatchNormTrainAttrs & { readonly epsilon: number },
): Value {
  const affine = apply(batchNormAffineOp, [weight, bias, statistics], { epsilon });
  return apply(batchNormTrainOp, [x, weight, bias, statistics, affine], { activation });
}
