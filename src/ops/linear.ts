import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { type ActivationName, activate, activationGradient, activationOnnx } from './activation.js';
import { conv2dAttrs } from './conv2d.js';
import { convInputGradient, convWeightGradient } from './conv2d-gradient.js';
import { lowerLinear } from './conv2d-lowering.js';
import { sumTo } from './reduce.js';
import { reshape } from './reshape.js';
import { needRank } from './shapes.js';

export interface LinearAttrs {
  readonly bias: boolean;
  readonly activation: ActivationName;
}

/** `activation(x · weightᵀ + bias)` for `x: [N, K]`, `weight: [O, K]`, `bias: [O]`. */
export const linearOp = defineOperator<LinearAttrs>({
  name: 'linear',
  shape([x, weight, bias], attrs) {
    needRank('linear', 'the input', x, 2);
    needRank('linear', 'the weight', weight, 2);
    if (x[1] !== weight[1] || (attrs.bias && (bias.length !== 1 || bias[0] !== weight[0]))) {
      throw new GhostkitError(`linear: input ${formatShape(x)} does not fit weight ${formatShape(weight)}`);
    }
    return [x[0], weight[0]];
  },
  reference([x, weight, bias], { shape: [n, o], attrs }) {
    const k = x.shape[1];
    const y = new Float64Array(n * o);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < o; j++) {
        let sum = attrs.bias ? bias.data[j] : 0;
        for (let t = 0; t < k; t++) sum += x.data[i * k + t] * weight.data[j * k + t];
        y[i * o + j] = sum;
      }
    }
    return activate(attrs.activation, y);
  },
  gradient([x, weight, bias], value, grad) {
    // A linear layer is a pointwise convolution of one pixel.
    const g = activationGradient(value.attrs.activation, value, grad);
    const pixel = (v: Value) => reshape(v, [v.shape[0], v.shape[1], 1, 1]);
    const geometry = conv2dAttrs({});
    const dx = reshape(convInputGradient(pixel(g), pixel(weight), [...x.shape, 1, 1], geometry), x.shape);
    const dw = reshape(convWeightGradient(pixel(x), pixel(g), [...weight.shape, 1, 1], geometry), weight.shape);
    return bias ? [dx, dw, reshape(sumTo([g], [1, weight.shape[0]]), bias.shape)] : [dx, dw];
  },
  lower: lowerLinear,
  onnx(value, to) {
    const y = to.node(
      'Gemm',
      value.inputs.map((v) => to.name(v)),
      { transB: 1 },
    );
    return activationOnnx(value.attrs.activation, to, y);
  },
  macs: ({ inputs: [x, weight] }) => x.shape[0] * weight.shape[0] * weight.shape[1],
});

export function linear(x: Value, weight: Value, bias?: Value): Value {
  return apply(linearOp, bias ? [x, weight, bias] : [x, weight], { bias: bias !== undefined, activation: 'none' });
}
