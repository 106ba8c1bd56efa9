import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { type Shape, sizeOf } from '../tensor/tensor.js';
import type { Conv2dAttrs } from './conv2d.js';
import { lowerInputGradient, lowerWeightGradient } from './conv2d-gradient-lowering.js';

export type ConvGeometry = Pick<Conv2dAttrs, 'stride' | 'padding' | 'dilation' | 'groups'>;

export interface ConvGradientAttrs extends ConvGeometry {
  /** The shape of the result: the convolution's input or weight. */
  readonly shape: Shape;
}

/** Calls `visit` with the offsets of output, input and weight for every product of a convolution. */
function eachProduct(
  x: Shape,
  weight: Shape,
  y: Shape,
  { stride, padding, dilation, groups }: ConvGeometry,
  visit: (y: number, x: number, weight: number) => void,
): void {
  const [n, c, h, w] = x;
  const [o, cg, kh, kw] = weight;
  const [, , oh, ow] = y;
  for (let i = 0; i < n * o * oh * ow; i++) {
    const ox = i % ow;
    const oy = Math.floor(i / ow) % oh;
    const oc = Math.floor(i / (ow * oh)) % o;
    const image = Math.floor(i / (ow * oh * o));
    const c0 = Math.floor(oc / (o / groups)) * cg;
    for (let ic = 0; ic < cg; ic++) {
      for (let ky = 0; ky < kh; ky++) {
        const iy = oy * stride[0] - padding[0] + ky * dilation[0];
        if (iy < 0 || iy >= h) continue;
        for (let kx = 0; kx < kw; kx++) {
          const ix = ox * stride[1] - padding[1] + kx * dilation[1];
          if (ix < 0 || ix >= w) continue;
          visit(i, ((image * c + c0 + ic) * h + iy) * w + ix, ((oc * cg + ic) * kh + ky) * kw + kx);
        }
      }
    }
  }
}

/** The gradient of a convolution's input from its output's gradient and the weight; with a third input, added to that. */
export const convInputGradientOp = defineOperator<ConvGradientAttrs>({
  name: 'conv2d_input_gradient',
  shape: (_, { shape }) => shape,
  reference([grad, weight, residual], { attrs, shape }) {
    const dx = residual ? residual.data.slice() : new Float64Array(sizeOf(shape));
    eachProduct(shape, weight.shape, grad.shape, attrs, (y, x, w) => {
      dx[x] += grad.data[y] * weight.data[w];
    });
    return dx;
  },
  lower: lowerInputGradient,
  macs: () => 0,
});

/** The gradient of a convolution's weight from its input and its output's gradient. */
export const convWeightGradientOp = defineOperator<ConvGradientAttrs>({
  name: 'conv2d_weight_gradient',
  shape: (_, { shape }) => shape,
  reference([input, grad], { attrs, shape }) {
    const dw = new Float64Array(sizeOf(shape));
    eachProduct(input.shape, shape, grad.shape, attrs, (y, x, w) => {
      dw[w] += grad.data[y] * input.data[x];
    });
    return dw;
  },
  lower: lowerWeightGradient,
});

export function convInputGradient(grad: Value, weight: Value, shape: Shape, geometry: ConvGeometry): Value {
  const { stride, padding, dilation, groups } = geometry;
  return apply(convInputGradientOp, [grad, weight], { stride, padding, dilation, groups, shape });
}

export function convWeightGradient(x: Value, grad: Value, shape: Shape, geometry: ConvGeometry): Value {
  const { stride, padding, dilation, groups } = geometry;
  return apply(convWeightGradientOp, [x, grad], { stride, padding, dilation, groups, shape });
}
