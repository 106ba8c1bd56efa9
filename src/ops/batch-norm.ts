import { dataOf } from '../graph/leaves.js';
import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { type ActivationName, activate, activationCode, activationOnnx } from './activation.js';

export interface BatchNormAttrs {
  /** Added to the variance. */
  readonly epsilon: number;
  /** The weight of a batch's statistics in the running ones (PyTorch's convention). */
  readonly momentum: number;
  readonly activation: ActivationName;
}

/** Batch normalisation with running statistics: inputs `x: [N,C,H,W]` (or `[N,C]`), `weight`, `bias`, `running_mean`, `running_var`: `[C]`. */
export const batchNormOp = defineOperator<BatchNormAttrs>({
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
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const { scale, shift } = batchNormAffine(value);
    to.emit(Opcode.Affine, [
      x,
      x.stride,
      y,
      y.stride,
      y.rows,
      y.channels,
      to.weights(Float32Array.from(scale)),
      to.weights(Float32Array.from(shift)),
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
