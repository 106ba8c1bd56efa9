import { dataOf } from '../graph/leaves.js';
import { defineOperator, type NdArray } from '../graph/operator.js';
import { onGrid, type Quantization } from '../graph/quantization.js';
import { apply, type Value } from '../graph/value.js';
import { GhostkitError } from '../tensor/error.js';
import { sizeOf } from '../tensor/tensor.js';
import { type ActivationName, activationOnnx } from './activation.js';
import { type Conv2dAttrs, conv2dOp } from './conv2d.js';
import { linearOp } from './linear.js';
import { lowerQuantizedConv } from './quantized-lowering.js';

export interface QuantizedConvAttrs {
  readonly stride: Conv2dAttrs['stride'];
  readonly padding: Conv2dAttrs['padding'];
  readonly dilation: Conv2dAttrs['dilation'];
  /** 1, or as many as there are channels. */
  readonly groups: number;
  /** Whether a quantised value of the result's shape is added before the activation. */
  readonly residual: boolean;
  /** `none`, `relu` or `relu6` where the result is quantised; any where it is float. */
  readonly activation: ActivationName;
  /** The scale of the weights of each output channel. */
  readonly weightScale: Float32Array;
  /** How the result is quantised; absent for float results. */
  readonly output?: Quantization;
}

/**
 * A convolution, or a linear layer for an input `[N, K]`, of a quantised input with weights of 8 bits. The inputs are x, the weight (a
 * constant whose elements are whole multiples of their channel's scale), the bias, and a residual if there is one. What is computed in integers
 * is the real numbers' `activation(conv(x) + bias + residual)`, rounded to the output's quantisation.
 */
export const quantizedConvOp = defineOperator<QuantizedConvAttrs>({
  name: 'quantized_conv',
  shape(inputs, attrs) {
    const [x, weight, bias, residual] = inputs;
    if (x.length === 2) return linearOp.shape([x, weight, bias], { bias: true, activation: 'none' });
    const { groups, output } = attrs;
    if (!output && (groups > 1 || residual)) throw new GhostkitError('quantized_conv: only plain results can be float');
    const depthwise = weight[1] === 1 && weight[0] === groups && x[1] === groups;
    if (groups !== 1 && !depthwise)
      throw new GhostkitError('quantized_conv: groups of several channels are not quantised');
    return conv2dOp.shape(residual ? [x, weight, bias, residual] : [x, weight, bias], floatAttrs(attrs));
  },
  quantization: (_, { output }) => output,
  reference(inputs, value) {
    const { attrs, shape } = value;
    const float = { ...value, attrs: floatAttrs(attrs), shape } as never;
    const exact = (inputs[0].shape.length === 2 ? linearOp : conv2dOp).reference as (
      inputs: readonly NdArray[],
      value: never,
    ) => Float64Array;
    const y = exact(inputs, float);
    const { output } = attrs;
    return output ? y.map((v) => onGrid(output, v)) : y;
  },
  lower: lowerQuantizedConv,
  onnx(value, to) {
    const { attrs, inputs } = value;
    const [x, weight, , residual] = inputs;
    const { weightScale } = attrs;
    const [channels] = weight.shape;
    const same = weightScale.every((s) => s === weightScale[0]);
    const scales = same ? weightScale.slice(0, 1) : weightScale;
    const dequantized = (
      shape: readonly number[],
      integers: Int8Array | Int32Array,
      scale: Float32Array,
      name: string,
    ) => {
      const shared = scale.length === 1;
      const zeros = integers instanceof Int8Array ? new Int8Array(scale.length) : new Int32Array(scale.length);
      const parts = [
        to.initializer(shape, integers, name),
        to.initializer(shared ? [] : [scale.length], scale, `${name}.scale`),
        to.initializer(shared ? [] : [scale.length], zeros, `${name}.zero_point`),
      ];
      return to.node('DequantizeLinear', parts, shared ? {} : { axis: 0 });
    };
    const biasScale = scales.map((s) => s * scaleOf(x).scale);
    const operands = [
      to.name(x),
      dequantized(weight.shape, integerWeights(value), scales, to.nameFor(weight)),
      dequantized([channels], integerBias(value), biasScale, to.nameFor(inputs[2])),
    ];
    if (x.shape.length === 2) return activationOnnx(attrs.activation, to, to.node('Gemm', operands, { transB: 1 }));
    let y = to.node('Conv', operands, {
      strides: attrs.stride,
      pads: attrs.padding,
      dilations: attrs.dilation,
      group: attrs.groups,
      kernel_shape: weight.shape.slice(2),
    });
    if (residual) y = to.node('Add', [y, to.name(residual)]);
    return activationOnnx(attrs.activation, to, y);
  },
  macs: ({ inputs: [, weight], shape }) => shape[0] * sizeOf(shape.slice(2)) * sizeOf(weight.shape),
});

function floatAttrs(attrs: QuantizedConvAttrs): Conv2dAttrs {
  return { ...attrs, bias: true, scale: false };
}

export interface QuantizedConvOperands {
  readonly x: Value;
  readonly weight: Value;
  readonly bias: Value;
  readonly residual?: Value;
}

export function quantizedConv(
  { x, weight, bias, residual }: QuantizedConvOperands,
  attrs: Omit<QuantizedConvAttrs, 'residual'>,
): Value<QuantizedConvAttrs> {
  const inputs = residual ? [x, weight, bias, residual] : [x, weight, bias];
  return apply(quantizedConvOp, inputs, { ...attrs, residual: residual !== undefined });
}

/** The quantisation of an operand that must have one. */
export function scaleOf(value: Value): Quantization {
  if (!value.quantization)
    throw new GhostkitError(`${value.op.name}: a quantised operator reads its floats; quantise them first`);
  return value.quantization;
}

/** Integers by the scales that they were made with: a layer is asked for them several times, and built several times. */
const known = new WeakMap<Float32Array, { data: Float32Array; integers: Int8Array }>();

/** The weights as the integers that they are multiples of, in their own order. */
export function integerWeights({ inputs: [, weight], attrs: { weightScale } }: Value<QuantizedConvAttrs>): Int8Array {
  const data = constantOf(weight);
  const before = known.get(weightScale);
  if (before?.data === data) return before.integers;
  const integers = wholeMultiples(data, weightScale);
  known.set(weightScale, { data, integers });
  return integers;
}

function wholeMultiples(data: Float32Array, weightScale: Float32Array): Int8Array {
  const each = data.length / weightScale.length;
  return Int8Array.from(data, (w, i) => {
    const q = Math.round(w / weightScale[Math.floor(i / each)]);
    if (Math.abs(q) > 127) throw new GhostkitError(`quantized_conv: a weight of ${w} does not fit its scale`);
    return q;
  });
}

/** The biases in units of the sums: the input's scale times the weights'. */
export function integerBias({ inputs: [x, , bias], attrs: { weightScale } }: Value<QuantizedConvAttrs>): Int32Array {
  const { scale } = scaleOf(x);
  const limit = 2 ** 30;
  return Int32Array.from(constantOf(bias), (b, o) =>
    Math.max(-limit, Math.min(limit, Math.round(b / (scale * weightScale[o])))),
  );
}

function constantOf(value: Value): Float32Array {
  const data = dataOf(value);
  if (!data) throw new GhostkitError('quantized_conv: its weight and bias must be constant');
  return data;
}
