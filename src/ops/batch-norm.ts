import { constant, dataOf } from '../graph/leaves.js';
import type { Lowering, Place } from '../graph/lowering.js';
import { defineOperator, type Operator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { type ActivationName, activate, activationCode, activationGradient, activationOnnx } from './activation.js';
import { sumTo } from './reduce.js';
import { reshape } from './reshape.js';

export interface BatchNormAttrs {
  /** Added to the variance. */
  readonly epsilon: number;
  /** The weight of a batch's statistics in the running ones (PyTorch's convention). */
  readonly momentum: number;
  readonly activation: ActivationName;
}

/** Batch normalisation with running statistics: inputs `x: [N,C,H,W]` (or `[N,C]`), `weight`, `bias`, `running_mean`, `running_var`: `[C]`. */
export const batchNormOp: Operator<BatchNormAttrs> = defineOperator({
  name: 'batch_norm',
  shape([x, ...parameters]) {
    const channels = x[1];
    if ((x.length !== 4 && x.length !== 2) || parameters.some((p) => p.length !== 1 || p[0] !== channels)) {
      throw new GhostkitError(
        `batch_norm: input ${formatShape(x)} does not fit parameters ${parameters.map(formatShape).join(' ')}`,
      );
    }
    return x;
  },
  reference([x, weight, bias, mean, variance], { attrs }) {
    const channels = x.shape[1];
    const inner = x.data.length / (x.shape[0] * channels);
    const y = x.data.map((v, i) => {
      const c = Math.floor(i / inner) % channels;
      return ((v - mean.data[c]) / Math.sqrt(variance.data[c] + attrs.epsilon)) * weight.data[c] + bias.data[c];
    });
    return activate(attrs.activation, y);
  },
  gradient([x, weight, , mean, variance], value, grad) {
    // The statistics are given, so a batch norm is linear in its input: the gradient is a batch norm without means. Nothing is learnt through the
    // statistics.
    const g = activationGradient(value.attrs.activation, value, grad);
    const all = (v: number) => constant(weight.shape, new Float32Array(weight.shape[0]).fill(v));
    const zeros = all(0);
    const linear = (v: Value, by: Value, center: Value) =>
      apply(batchNormOp, [v, by, zeros, center, variance], { ...value.attrs, activation: 'none' });
    const channels = x.shape.map((d, i) => (i === 1 ? d : 1));
    return [
      linear(g, weight, zeros),
      reshape(sumTo([g, linear(x, all(1), mean)], channels), weight.shape),
      reshape(sumTo([g], channels), weight.shape),
      undefined,
      undefined,
    ];
  },
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const known = value.inputs.slice(1).every((v) => dataOf(v) && !to.live(v));
    const { scale, shift } = known ? affineBefore(value, to) : affineAtRun(value, to);
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
  onnx(value, to) {
    const y = to.node(
      'BatchNormalization',
      value.inputs.map((v) => to.name(v)),
      { epsilon: { float: value.attrs.epsilon } },
    );
    return activationOnnx(value.attrs.activation, to, y);
  },
});

interface Affine {
  readonly scale: Place;
  readonly shift: Place;
}

function affineBefore(value: Value<BatchNormAttrs>, to: Lowering): Affine {
  const { scale, shift } = batchNormAffine(value);
  return { scale: to.weights(Float32Array.from(scale)), shift: to.weights(Float32Array.from(shift)) };
}

/** Of parameters that change between runs. */
function affineAtRun({ inputs, attrs }: Value<BatchNormAttrs>, to: Lowering): Affine {
  const [weight, bias, mean, variance] = inputs.slice(1).map((v) => to.view(v));
  const { channels } = weight;
  const statistics = { buffer: to.temporary(2 * channels), offset: 0 };
  for (const [i, row] of [mean, variance].entries()) {
    to.emit(Opcode.Copy, [row, channels, { ...statistics, offset: i * channels }, channels, 1, channels]);
  }
  const scale = { buffer: to.temporary(3 * channels), offset: 0 };
  to.emit(Opcode.BatchNormAffine, [statistics, weight, bias, channels, { float: attrs.epsilon }, scale]);
  return { scale, shift: { ...scale, offset: channels } };
}

/** The scale and shift per channel that a batch norm with constant parameters amounts to, in double precision. */
export function batchNormAffine(value: Value<BatchNormAttrs>): { scale: Float64Array; shift: Float64Array } {
  const [weight, bias, mean, variance] = value.inputs.slice(1).map((v) => {
    const data = dataOf(v);
    if (!data) throw new GhostkitError('batch_norm: its parameters must be constant here');
    return data;
  });
  const scale = Float64Array.from(weight, (g, c) => g / Math.sqrt(variance[c] + value.attrs.epsilon));
  const shift = Float64Array.from(bias, (b, c) => b - mean[c] * scale[c]);
  return { scale, shift };
}

export interface BatchNormInputs {
  weight: Value;
  bias: Value;
  runningMean: Value;
  runningVar: Value;
}

export function batchNorm(x: Value, p: BatchNormInputs, { epsilon = 1e-5, momentum = 0.1 } = {}): Value {
  return apply(batchNormOp, [x, p.weight, p.bias, p.runningMean, p.runningVar], {
    epsilon,
    momentum,
    activation: 'none',
  });
}
