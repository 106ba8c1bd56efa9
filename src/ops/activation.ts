import type { OnnxBuilder } from '../graph/onnx-builder.js';
import { defineOperator, type NdArray } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Activation, Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { erfOf } from './erf.js';

/** Element-wise functions that can also be fused behind another operator. */
export const ACTIVATIONS = [
  'none',
  'relu',
  'relu6',
  'hard_sigmoid',
  'hard_swish',
  'sigmoid',
  'tanh',
  'leaky_relu',
  'gelu',
] as const;

export type ActivationName = (typeof ACTIVATIONS)[number];

interface ActivationRule {
  readonly code: Activation;
  readonly f: (x: number) => number;
  /** The derivative, from the result `y` (from `x` for those {@link OF_INPUT}). */
  readonly slope: (y: number) => number;
  onnx(to: OnnxBuilder, x: string): string;
}

/** The normal distribution. */
const normal = (x: number) => (1 + erfOf(x * Math.SQRT1_2)) / 2;

const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

/** PyTorch's default slope of LeakyReLU. */
export const LEAKY_SLOPE = 0.01;

const rules: Readonly<Record<ActivationName, ActivationRule>> = {
  none: { code: Activation.None, f: (x) => x, slope: () => 1, onnx: (_, x) => x },
  relu: {
    code: Activation.Relu,
    f: (x) => Math.max(x, 0),
    slope: (y) => (y > 0 ? 1 : 0),
    onnx: (to, x) => to.node('Relu', [x]),
  },
  relu6: {
    code: Activation.Relu6,
    f: (x) => clamp(x, 0, 6),
    slope: (y) => (y > 0 && y < 6 ? 1 : 0),
    onnx: (to, x) =>
      to.node('Clip', [x, to.initializer([], Float32Array.of(0)), to.initializer([], Float32Array.of(6))]),
  },
  hard_sigmoid: {
    code: Activation.HardSigmoid,
    f: (x) => clamp(x + 3, 0, 6) / 6,
    slope: (y) => (y > 0 && y < 1 ? 1 / 6 : 0),
    onnx: (to, x) => to.node('HardSigmoid', [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }),
  },
  hard_swish: {
    code: Activation.HardSwish,
    f: (x) => (x * clamp(x + 3, 0, 6)) / 6,
    slope: (x) => (x <= -3 ? 0 : x < 3 ? (2 * x + 3) / 6 : 1),
    onnx: (to, x) => to.node('HardSwish', [x]),
  },
  sigmoid: {
    code: Activation.Sigmoid,
    f: (x) => 1 / (1 + Math.exp(-x)),
    slope: (y) => y * (1 - y),
    onnx: (to, x) => to.node('Sigmoid', [x]),
  },
  tanh: { code: Activation.Tanh, f: Math.tanh, slope: (y) => 1 - y * y, onnx: (to, x) => to.node('Tanh', [x]) },
  leaky_relu: {
    code: Activation.LeakyRelu,
    f: (x) => (x < 0 ? LEAKY_SLOPE * x : x),
    slope: (y) => (y < 0 ? LEAKY_SLOPE : 1),
    onnx: (to, x) => to.node('LeakyRelu', [x], { alpha: { float: LEAKY_SLOPE } }),
  },
  gelu: {
    code: Activation.Gelu,
    f: (x) => x * normal(x),
    slope: (x) => normal(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
    onnx(to, x) {
      const number = (v: number) => to.initializer([], Float32Array.of(v));
      const erf = to.node('Erf', [to.node('Mul', [x, number(Math.SQRT1_2)])]);
      return to.node('Mul', [to.node('Mul', [x, to.node('Add', [erf, number(1)])]), number(0.5)]);
    },
  },
};

/** The activations that are not monotonic: their derivative does not follow from their result. */
export const OF_INPUT: readonly ActivationName[] = ['hard_swish', 'gelu'];

/** The kernels' number of an activation. */
export function activationCode(name: ActivationName): Activation {
  return rules[name].code;
}

/** The ONNX nodes of an activation behind `x`; `x` itself for `none`. */
export function activationOnnx(name: ActivationName, to: OnnxBuilder, x: string): string {
  return rules[name].onnx(to, x);
}

/** Applies an activation to an array in place and returns it. */
export function activate(name: ActivationName, data: Float64Array): Float64Array {
  if (name !== 'none') for (let i = 0; i < data.length; i++) data[i] = rules[name].f(data[i]);
  return data;
}

/**
 * The gradient in front of an activation whose result is `y`. Those {@link OF_INPUT} need their input, so only what computes them on their own can be
 * differentiated with them.
 */
export function activationGradient(kind: ActivationName, y: Value, grad: Value, x?: Value): Value {
  if (kind === 'none') return grad;
  const source = OF_INPUT.includes(kind) ? x : y;
  if (!source) throw new GhostkitError(`${kind}: its gradient needs its input, do not fuse it before differentiating`);
  return apply(activationGradientOp, [source, grad], { kind });
}

const activationGradientOp = defineOperator<{ kind: ActivationName }>({
  name: 'activation_gradient',
  shape: ([x]) => x,
  reference: ([source, grad], { attrs }) => grad.data.map((g, i) => g * rules[attrs.kind].slope(source.data[i])),
  lower(value, to) {
    const [source, grad] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const operands = [source, source.stride, grad, grad.stride, y, y.stride];
    to.emit(Opcode.ActivationGradient, [...operands, y.rows, y.channels, activationCode(value.attrs.kind)]);
  },
});

export const activationOp = defineOperator<{ kind: ActivationName }>({
  name: 'activation',
  shape: ([x]) => x,
  reference: ([x]: readonly NdArray[], { attrs }) => activate(attrs.kind, Float64Array.from(x.data)),
  gradient: ([x], value, grad) => [activationGradient(value.attrs.kind, value, grad, x)],
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    to.emit(Opcode.Unary, [x, x.stride, y, y.stride, y.rows, y.channels, activationCode(value.attrs.kind)]);
  },
  onnx: (value, to) => activationOnnx(value.attrs.kind, to, to.name(value.inputs[0])),
});

const unary = (kind: ActivationName) => (x: Value) => apply(activationOp, [x], { kind });

export const relu = unary('relu');
export const relu6 = unary('relu6');
/** `clamp(x + 3, 0, 6) / 6`, as in MobileNetV3 (section 5.2). */
export const hardSigmoid = unary('hard_sigmoid');
/** `x * clamp(x + 3, 0, 6) / 6`, as in MobileNetV3 (section 5.2). */
export const hardSwish = unary('hard_swish');
export const sigmoid = unary('sigmoid');
export const tanh = unary('tanh');
/** `x` times the normal distribution up to `x` (Hendrycks and Gimpel, arXiv:1606.08415), by the error function. */
export const gelu = unary('gelu');
