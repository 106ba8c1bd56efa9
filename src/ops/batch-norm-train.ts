import type { Lowering, View } from '../graph/lowering.js';
import { defineOperator, type NdArray } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { type ActivationName, activate, activationCode } from './activation.js';
import { reshape } from './reshape.js';
import { slice } from './slice.js';

// Batch normalisation with the batch's own statistics (Ioffe and Szegedy, 2015), and its gradient. Statistics are a value of their own,
// `[2, C]`: the means and the biased variances, so that the running ones can be updated from them.

/** Rows that one partial sum takes: fixed, so that sums do not depend on the number of threads. */
const CHUNK_ROWS = 512;

/** Channels of partial sums: whole vectors, two at a time. */
const paddedChannels = (channels: number) => Math.ceil(channels / 8) * 8;

const chunksOf = (rows: number) => Math.ceil(rows / CHUNK_ROWS);

/** Calls `visit` with the channel of every element of `[N,C,...]`. */
function eachChannel(x: NdArray, visit: (i: number, channel: number) => void): void {
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
    const chunks = chunksOf(x.rows);
    const padded = paddedChannels(x.channels);
    const partial = { buffer: to.temporary(chunks * 4 * padded), offset: 0 };
    to.emit(Opcode.BatchMoments, [x, x.stride, x.rows, x.channels, CHUNK_ROWS, partial, padded]);
    to.emit(Opcode.BatchMomentsEnd, [x, x.rows, x.channels, chunks, partial, padded, y]);
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
  readonly epsilon: number;
  readonly activation: ActivationName;
}

/** Normalises with given statistics: inputs `x`, `weight`, `bias`: `[C]`, and the statistics of `x`. */
export const batchNormTrainOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_train',
  shape: ([x]) => x,
  reference([x, weight, bias, statistics], { attrs }) {
    const channels = x.shape[1];
    const y = new Float64Array(x.data.length);
    eachChannel(x, (i, c) => {
      const deviation = Math.sqrt(statistics.data[channels + c] + attrs.epsilon);
      y[i] = ((x.data[i] - statistics.data[c]) / deviation) * weight.data[c] + bias.data[c];
    });
    return activate(attrs.activation, y);
  },
  gradient([x, weight, bias, statistics], value, grad) {
    // The statistics are those of x: what flows through them is part of the gradient of x, so they get none themselves.
    const sums = apply(batchNormSumsOp, [x, weight, bias, statistics, grad], value.attrs);
    const dx = apply(batchNormInputGradientOp, [x, weight, bias, statistics, grad, sums], value.attrs);
    return [dx, rowOf(sums, 1), rowOf(sums, 0), undefined];
  },
  lower(value, to) {
    const [x, weight, bias, statistics] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const scale = { buffer: to.temporary(x.channels), offset: 0 };
    const shift = { buffer: to.temporary(x.channels), offset: 0 };
    to.emit(Opcode.BatchNormAffine, [
      statistics,
      weight,
      bias,
      x.channels,
      { float: value.attrs.epsilon },
      scale,
      shift,
    ]);
    to.emit(Opcode.Affine, [
      x,
      x.stride,
      y,
      y.stride,
      y.rows,
      y.channels,
      scale,
      shift,
      activationCode(value.attrs.activation),
    ]);
  },
});

/** Emits scale and shift of every channel: the same numbers in the forward and the backward pass. */
function affine(statistics: View, weight: View, bias: View, { epsilon }: BatchNormTrainAttrs, to: Lowering) {
  const scale = { buffer: to.temporary(statistics.channels), offset: 0 };
  const shift = { buffer: to.temporary(statistics.channels), offset: 0 };
  to.emit(Opcode.BatchNormAffine, [statistics, weight, bias, statistics.channels, { float: epsilon }, scale, shift]);
  return { scale, shift };
}

/** Whether the activation behind a batch norm passes the gradient of an element: only ReLU is fused. */
function passes(attrs: BatchNormTrainAttrs, preActivation: number): boolean {
  return attrs.activation === 'none' || preActivation > 0;
}

/** For every channel the sums over the batch of the gradient behind the activation, and of it times the normalised input: `[2, C]`. */
const batchNormSumsOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_sums',
  shape: ([x]) => [2, x[1]],
  reference([x, weight, bias, statistics, grad], { attrs }) {
    const channels = x.shape[1];
    const y = new Float64Array(2 * channels);
    eachChannel(x, (i, c) => {
      const normal = (x.data[i] - statistics.data[c]) / Math.sqrt(statistics.data[channels + c] + attrs.epsilon);
      if (!passes(attrs, normal * weight.data[c] + bias.data[c])) return;
      y[c] += grad.data[i];
      y[channels + c] += grad.data[i] * normal;
    });
    return y;
  },
  lower(value, to) {
    const [x, weight, bias, statistics, grad] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const chunks = chunksOf(x.rows);
    const padded = paddedChannels(x.channels);
    const partial = { buffer: to.temporary(chunks * 4 * padded), offset: 0 };
    const { epsilon, activation } = value.attrs;
    const { scale, shift } = affine(statistics, weight, bias, value.attrs, to);
    to.emit(Opcode.BatchNormSums, [
      x,
      x.stride,
      grad,
      grad.stride,
      x.rows,
      x.channels,
      CHUNK_ROWS,
      statistics,
      scale,
      shift,
      { float: epsilon },
      activation === 'relu' ? 1 : 0,
      partial,
      padded,
    ]);
    to.emit(Opcode.SumChunks, [partial, chunks, 2, x.channels, padded, y]);
  },
});

/** The gradient of the input of a batch norm, with what flows through the statistics. */
const batchNormInputGradientOp = defineOperator<BatchNormTrainAttrs>({
  name: 'batch_norm_input_gradient',
  shape: ([x]) => x,
  reference([x, weight, bias, statistics, grad, sums], { attrs }) {
    const channels = x.shape[1];
    const count = x.data.length / channels;
    const y = new Float64Array(x.data.length);
    eachChannel(x, (i, c) => {
      const deviation = Math.sqrt(statistics.data[channels + c] + attrs.epsilon);
      const normal = (x.data[i] - statistics.data[c]) / deviation;
      const g = passes(attrs, normal * weight.data[c] + bias.data[c]) ? grad.data[i] : 0;
      y[i] = (weight.data[c] / deviation) * (g - sums.data[c] / count - (normal * sums.data[channels + c]) / count);
    });
    return y;
  },
  lower(value, to) {
    const [x, weight, bias, statistics, grad, sums] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const { epsilon, activation } = value.attrs;
    const { scale, shift } = affine(statistics, weight, bias, value.attrs, to);
    to.emit(Opcode.BatchNormInputGradient, [
      x,
      x.stride,
      grad,
      grad.stride,
      y,
      y.stride,
      x.rows,
      x.channels,
      statistics,
      scale,
      shift,
      { float: epsilon },
      activation === 'relu' ? 1 : 0,
      sums,
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
