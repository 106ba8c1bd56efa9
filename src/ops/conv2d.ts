import { dataOf } from '../graph/leaves.js';
import { defineOperator, type NdArray } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape } from '../tensor/tensor.js';
import { type ActivationName, activate, activationGradient, activationOnnx } from './activation.js';
import { mul } from './binary.js';
import { convInputGradient, convWeightGradient } from './conv2d-gradient.js';
import { lowerConv2d } from './conv2d-lowering.js';
import { sumTo } from './reduce.js';
import { reshape } from './reshape.js';
import { needRank, windowOutput } from './shapes.js';

export interface Conv2dAttrs {
  readonly stride: readonly [number, number];
  /** Zeros added on each side: `[top, left, bottom, right]`. */
  readonly padding: readonly [number, number, number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  /** Which of the optional inputs stand behind `x` and `weight`, in this order. */
  readonly bias: boolean;
  /** A value of the output's shape that is added before the activation. */
  readonly residual: boolean;
  /** A value `[N,C,1,1]` that the input is multiplied with (squeeze-excite). */
  readonly scale: boolean;
  readonly activation: ActivationName;
}

export interface Conv2dOperands {
  x: Value;
  weight: Value;
  bias?: Value;
  residual?: Value;
  scale?: Value;
}

/** The inputs of a convolution by their role. */
export function conv2dOperands(value: Value<Conv2dAttrs>): Conv2dOperands {
  let i = 2;
  const next = (present: boolean) => (present ? value.inputs[i++] : undefined);
  return {
    x: value.inputs[0],
    weight: value.inputs[1],
    bias: next(value.attrs.bias),
    residual: next(value.attrs.residual),
    scale: next(value.attrs.scale),
  };
}

/**
 * 2-D convolution of `x: [N,C,H,W]` with `weight: [O, C/groups, kH, kW]`, and what the fusion pass has put around it:
 * `activation(conv(x * scale) + bias + residual)`.
 */
export const conv2dOp = defineOperator<Conv2dAttrs>({
  name: 'conv2d',
  shape(inputs, attrs) {
    const [x, weight] = inputs;
    needRank('conv2d', 'the input', x, 4);
    needRank('conv2d', 'the weight', weight, 4);
    const { groups, stride, padding, dilation } = attrs;
    if (x[1] !== weight[1] * groups || weight[0] % groups !== 0) {
      throw new GhostkitError(
        `conv2d: input ${formatShape(x)} does not fit weight ${formatShape(weight)} with groups ${groups}`,
      );
    }
    const size = (d: 0 | 1) =>
      windowOutput('conv2d', x[2 + d], weight[2 + d], stride[d], padding[d] + padding[d + 2], dilation[d]);
    const out = [x[0], weight[0], size(0), size(1)];
    checkOptional(inputs, attrs, out);
    return out;
  },
  reference: ([x, weight, ...rest], value) => {
    const { attrs, shape } = value;
    const optional = (present: boolean) => (present ? rest.shift()?.data : undefined);
    const bias = optional(attrs.bias);
    const residual = optional(attrs.residual);
    const scale = optional(attrs.scale);
    return activate(attrs.activation, convolve(x, weight, shape, attrs, bias, residual, scale));
  },
  gradient(_, value, grad) {
    const { attrs } = value;
    const { x, weight, bias, residual, scale } = conv2dOperands(value);
    const g = activationGradient(attrs.activation, value, grad);
    const scaled = scale ? mul(x, scale) : x;
    const dx = convInputGradient(g, weight, x.shape, attrs);
    const gradients: (Value | undefined)[] = [scale ? mul(dx, scale) : dx];
    gradients.push(convWeightGradient(scaled, g, weight.shape, attrs));
    if (bias) gradients.push(reshape(sumTo([g], [1, weight.shape[0], 1, 1]), bias.shape));
    if (residual) gradients.push(g);
    if (scale) gradients.push(sumTo([dx, x], scale.shape));
    return gradients;
  },
  lower: lowerConv2d,
  onnx(value, to) {
    const { stride, padding, dilation, groups, activation } = value.attrs;
    const { x, weight, bias, residual, scale } = conv2dOperands(value);
    const inputs = [scale ? to.node('Mul', [to.name(x), to.name(scale)]) : to.name(x), to.name(weight)];
    if (bias) inputs.push(to.name(bias));
    let y = to.node('Conv', inputs, {
      strides: stride,
      pads: padding,
      dilations: dilation,
      group: groups,
      kernel_shape: weight.shape.slice(2),
    });
    if (residual) y = to.node('Add', [y, to.name(residual)]);
    return activationOnnx(activation, to, y);
  },
  macs: ({ inputs: [, weight], shape }) => shape[0] * shape[2] * shape[3] * weight.shape.reduce((a, b) => a * b, 1),
});

function checkOptional(inputs: readonly Shape[], attrs: Conv2dAttrs, out: Shape): void {
  let i = 2;
  const need = (present: boolean, what: string, shape: Shape) => {
    if (!present) return;
    const got = inputs[i++];
    if (!got || formatShape(got) !== formatShape(shape)) {
      throw new GhostkitError(
        `conv2d: the ${what} must be ${formatShape(shape)}, got ${got ? formatShape(got) : 'nothing'}`,
      );
    }
  };
  need(attrs.bias, 'bias', [out[1]]);
  need(attrs.residual, 'residual', out);
  need(attrs.scale, 'scale', [out[0], inputs[0][1], 1, 1]);
  if (inputs.length !== i) throw new GhostkitError(`conv2d: ${inputs.length} inputs, expected ${i}`);
}

function convolve(
  x: NdArray,
  weight: NdArray,
  out: Shape,
  attrs: Conv2dAttrs,
  bias?: Float64Array,
  residual?: Float64Array,
  scale?: Float64Array,
): Float64Array {
  const [n, c, h, w] = x.shape;
  const [o, cg, kh, kw] = weight.shape;
  const [, , oh, ow] = out;
  const { stride, padding, dilation, groups } = attrs;
  const y = new Float64Array(n * o * oh * ow);
  const perGroup = o / groups;
  for (let i = 0, at = 0; i < n; i++) {
    for (let oc = 0; oc < o; oc++) {
      const c0 = Math.floor(oc / perGroup) * cg;
      for (let oy = 0; oy < oh; oy++) {
        for (let ox = 0; ox < ow; ox++, at++) {
          let sum = (bias ? bias[oc] : 0) + (residual ? residual[at] : 0);
          for (let ic = 0; ic < cg; ic++) {
            const plane = i * c + c0 + ic;
            const s = scale ? scale[plane] : 1;
            for (let ky = 0; ky < kh; ky++) {
              const iy = oy * stride[0] - padding[0] + ky * dilation[0];
              if (iy < 0 || iy >= h) continue;
              for (let kx = 0; kx < kw; kx++) {
                const ix = ox * stride[1] - padding[1] + kx * dilation[1];
                if (ix < 0 || ix >= w) continue;
                sum += s * x.data[(plane * h + iy) * w + ix] * weight.data[((oc * cg + ic) * kh + ky) * kw + kx];
              }
            }
          }
          y[at] = sum;
        }
      }
    }
  }
  return y;
}

export interface Conv2dOptions {
  stride?: number | readonly [number, number];
  /** Zeros on every side, per dimension, or `[top, left, bottom, right]`. */
  padding?: number | readonly [number, number] | readonly [number, number, number, number];
  dilation?: number | readonly [number, number];
  groups?: number;
}

const pair = (v: number | readonly [number, number]): readonly [number, number] => (typeof v === 'number' ? [v, v] : v);

/** The attributes of a plain convolution from PyTorch-like options. */
export function conv2dAttrs(
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: Conv2dOptions,
  bias = false,
): Conv2dAttrs {
  const p: Conv2dAttrs['padding'] =
    typeof padding === 'number'
      ? [padding, padding, padding, padding]
      : padding.length === 2
        ? [padding[0], padding[1], padding[0], padding[1]]
        : padding;
  return {
    stride: pair(stride),
    padding: p,
    dilation: pair(dilation),
    groups,
    bias,
    residual: false,
    scale: false,
    activation: 'none',
  };
}

export function conv2d(x: Value, weight: Value, bias?: Value, options: Conv2dOptions = {}): Value {
  return apply(conv2dOp, bias ? [x, weight, bias] : [x, weight], conv2dAttrs(options, bias !== undefined));
}

/** A convolution from operands by role; which are present decides the attributes' flags. */
export function conv2dFrom(
  operands: Conv2dOperands,
  attrs: Omit<Conv2dAttrs, 'bias' | 'residual' | 'scale'>,
): Value<Conv2dAttrs> {
  const { x, weight, bias, residual, scale } = operands;
  const inputs = [x, weight, bias, residual, scale].filter((v) => v !== undefined);
  const flags = { bias: bias !== undefined, residual: residual !== undefined, scale: scale !== undefined };
  return apply(conv2dOp, inputs, { ...attrs, ...flags });
}

/** Whether every channel is convolved with one kernel of its own. */
export function isDepthwise(value: Value<Conv2dAttrs>): boolean {
  const weight = value.inputs[1].shape;
  return value.attrs.groups > 1 && weight[1] === 1 && weight[0] === value.attrs.groups;
}

/** Whether the weight is known before run time, as the passes that change it need. */
export function hasConstantWeight(value: Value<Conv2dAttrs>): boolean {
  const { weight, bias } = conv2dOperands(value);
  return dataOf(weight) !== undefined && (!bias || dataOf(bias) !== undefined);
}
