import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { broadcastTo } from './reduce.js';
import { needRank, windowOutput } from './shapes.js';

export interface PoolAttrs {
  readonly kind: 'max' | 'average';
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  /** `[top, left, bottom, right]`. */
  readonly padding: readonly [number, number, number, number];
  /** Whether padding counts in the divisor of an average (PyTorch's default is yes). */
  readonly countIncludePad: boolean;
}

export const poolOp = defineOperator<PoolAttrs>({
  name: 'pool',
  shape([x], { kernel, stride, padding }) {
    needRank('pool', 'the input', x, 4);
    if (padding.some((p, i) => p >= kernel[i % 2]))
      throw new GhostkitError('pool: the padding must be smaller than the window');
    const size = (d: 0 | 1) => windowOutput('pool', x[2 + d], kernel[d], stride[d], padding[d] + padding[d + 2]);
    return [x[0], x[1], size(0), size(1)];
  },
  reference([x], { attrs, shape }) {
    const [, , h, w] = x.shape;
    const [n, c, oh, ow] = shape;
    const { kind, kernel, stride, padding, countIncludePad } = attrs;
    const y = new Float64Array(n * c * oh * ow);
    for (let i = 0; i < y.length; i++) {
      const plane = Math.floor(i / (oh * ow)) * h * w;
      const top = (Math.floor(i / ow) % oh) * stride[0] - padding[0];
      const left = (i % ow) * stride[1] - padding[1];
      let sum = 0;
      let most = Number.NEGATIVE_INFINITY;
      let count = 0;
      for (let iy = Math.max(top, 0); iy < Math.min(top + kernel[0], h); iy++) {
        for (let ix = Math.max(left, 0); ix < Math.min(left + kernel[1], w); ix++, count++) {
          const v = x.data[plane + iy * w + ix];
          sum += v;
          most = Math.max(most, v);
        }
      }
      y[i] = kind === 'max' ? most : sum / (countIncludePad ? kernel[0] * kernel[1] : count);
    }
    return y;
  },
  gradient: ([x], value, grad) => [apply(poolGradientOp, [x, grad], value.attrs)],
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const { kind, kernel, stride, padding, countIncludePad } = value.attrs;
    const [n, c, h, w] = value.inputs[0].shape;
    const [, , oh, ow] = value.shape;
    to.emit(
      Opcode.Pool,
      [x, x.stride, y, y.stride, n, c, h, w, oh, ow].concat([
        ...kernel,
        ...stride,
        padding[0],
        padding[1],
        kind === 'max' ? 1 : 0,
        countIncludePad ? 1 : 0,
      ]),
    );
  },
  onnx(value, to) {
    const { kind, kernel, stride, padding, countIncludePad } = value.attrs;
    const attributes = { kernel_shape: kernel, strides: stride, pads: padding };
    const x = [to.name(value.inputs[0])];
    return kind === 'max'
      ? to.node('MaxPool', x, attributes)
      : to.node('AveragePool', x, { ...attributes, count_include_pad: countIncludePad ? 1 : 0 });
  },
});

/** The gradient of a pooling's input, from that input and the output's gradient. The first maximum of a window takes all of it. */
const poolGradientOp = defineOperator<PoolAttrs>({
  name: 'pool_gradient',
  shape: ([x]) => x,
  reference([x, grad], { attrs: { kind, kernel, stride, padding, countIncludePad } }) {
    const [, , h, w] = x.shape;
    const [, , oh, ow] = grad.shape;
    const y = new Float64Array(x.data.length);
    for (let i = 0; i < grad.data.length; i++) {
      const plane = Math.floor(i / (oh * ow)) * h * w;
      const top = (Math.floor(i / ow) % oh) * stride[0] - padding[0];
      const left = (i % ow) * stride[1] - padding[1];
      const inside: number[] = [];
      for (let iy = Math.max(top, 0); iy < Math.min(top + kernel[0], h); iy++) {
        for (let ix = Math.max(left, 0); ix < Math.min(left + kernel[1], w); ix++) inside.push(plane + iy * w + ix);
      }
      if (kind === 'max') y[inside.reduce((a, b) => (x.data[b] > x.data[a] ? b : a))] += grad.data[i];
      else for (const at of inside) y[at] += grad.data[i] / (countIncludePad ? kernel[0] * kernel[1] : inside.length);
    }
    return y;
  },
  lower(value, to) {
    const [x, grad] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const { kind, kernel, stride, padding, countIncludePad } = value.attrs;
    const [n, c, h, w] = value.shape;
    const [, , oh, ow] = value.inputs[1].shape;
    to.emit(Opcode.PoolGradient, [
      ...[x, x.stride, grad, grad.stride, y, y.stride, n, c, h, w, oh, ow],
      ...[...kernel, ...stride, padding[0], padding[1], kind === 'max' ? 1 : 0, countIncludePad ? 1 : 0],
    ]);
  },
});

export interface PoolOptions {
  stride?: number;
  /** On every side, or `[top, left, bottom, right]`. */
  padding?: number | PoolAttrs['padding'];
  countIncludePad?: boolean;
}

const pool =
  (kind: PoolAttrs['kind']) =>
  (x: Value, kernel: number, { stride = kernel, padding = 0, countIncludePad = true }: PoolOptions = {}): Value =>
    apply(poolOp, [x], {
      kind,
      kernel: [kernel, kernel],
      stride: [stride, stride],
      padding: typeof padding === 'number' ? [padding, padding, padding, padding] : padding,
      countIncludePad,
    });

export const maxPool = pool('max');
export const averagePool = pool('average');

/** The mean over all pixels: `[N,C,H,W]` to `[N,C,1,1]`. */
export const globalAveragePoolOp = defineOperator<Record<string, never>>({
  name: 'global_average_pool',
  shape([x]) {
    needRank('global_average_pool', 'the input', x, 4);
    return [x[0], x[1], 1, 1];
  },
  gradient: ([x], _, grad) => [broadcastTo(grad, x.shape, 1 / (x.shape[2] * x.shape[3]))],
  reference([x]) {
    const pixels = x.shape[2] * x.shape[3];
    const y = new Float64Array(x.shape[0] * x.shape[1]);
    for (let i = 0; i < y.length; i++) {
      for (let p = 0; p < pixels; p++) y[i] += x.data[i * pixels + p] / pixels;
    }
    return y;
  },
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const [n, c, h, w] = value.inputs[0].shape;
    to.emit(Opcode.GlobalAveragePool, [x, x.stride, y, y.stride, n, c, h * w]);
  },
  onnx: (value, to) => to.node('GlobalAveragePool', [to.name(value.inputs[0])]),
});

export function globalAveragePool(x: Value): Value {
  return apply(globalAveragePoolOp, [x], {});
}
