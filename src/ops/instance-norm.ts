import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape } from '../tensor/tensor.js';
import { type ActivationName, activate, activationCode, activationOnnx } from './activation.js';
import { needRank } from './shapes.js';

export interface InstanceNormAttrs {
  /** Added to the variance. */
  readonly epsilon: number;
  /** Whether a scale and a shift stand behind `x`. */
  readonly affine: boolean;
  readonly activation: ActivationName;
}

/** Pixels whose sums the kernel keeps apart (kernels/instance-norm.ts). */
const CHUNK = 1024;

/**
 * Every channel of every image of `x: [N,C,H,W]` brought to mean 0 and variance 1 over its own pixels, then
 * `activation(x * scale + shift)`. Scale and shift are `[C]`, or `[N,C]` where every image has its own (adaptive instance norm).
 */
export const instanceNormOp = defineOperator<InstanceNormAttrs>({
  name: 'instance_norm',
  shape([x, scale, shift], { affine }) {
    needRank('instance_norm', 'the input', x, 4);
    const fits = (s: Shape) => [formatShape([x[1]]), formatShape([x[0], x[1]])].includes(formatShape(s));
    if (affine && !(fits(scale) && fits(shift))) {
      throw new GhostkitError(
        `instance_norm: input ${formatShape(x)} does not fit scale ${formatShape(scale)} and shift ${formatShape(shift)}`,
      );
    }
    return x;
  },
  reference([x, scale, shift], { attrs, shape: [n, c, h, w] }) {
    const pixels = h * w;
    const y = new Float64Array(x.data.length);
    for (let i = 0; i < n * c; i++) {
      const plane = x.data.subarray(i * pixels, (i + 1) * pixels);
      const mean = plane.reduce((sum, v) => sum + v, 0) / pixels;
      const variance = plane.reduce((sum, v) => sum + (v - mean) ** 2, 0) / pixels;
      const factor = (attrs.affine ? scale.data[i % scale.data.length] : 1) / Math.sqrt(variance + attrs.epsilon);
      const offset = attrs.affine ? shift.data[i % shift.data.length] : 0;
      for (let p = 0; p < pixels; p++) y[i * pixels + p] = (plane[p] - mean) * factor + offset;
    }
    return activate(attrs.activation, y);
  },
  lower(value, to) {
    const [input, ...affine] = value.inputs;
    const x = to.view(input);
    const y = to.view(value);
    const [n, c, h, w] = value.shape;
    const padded = Math.ceil(c / 4) * 4;
    const chunks = Math.ceil((h * w) / CHUNK);
    // Two double-precision sums for each channel of each chunk.
    const sums = { buffer: to.temporary(n * chunks * padded * 4), offset: 0 };
    to.emit(Opcode.InstanceStatistics, [x, x.stride, sums, n, h * w, c]);
    const [scale, shift] = affine.map((v) => [to.view(v), v.shape.length === 2 ? to.view(v).stride : 0]);
    to.emit(Opcode.InstanceNorm, [
      ...[x, x.stride, y, y.stride, sums, n, h * w, c],
      ...(scale ?? [0, 0]),
      ...(shift ?? [0, 0]),
      { float: value.attrs.epsilon },
      activationCode(value.attrs.activation),
      to.scratch(2 * padded),
      8 * padded,
    ]);
  },
  onnx(value, to) {
    const [x, ...affine] = value.inputs;
    const { epsilon, activation } = value.attrs;
    const c = x.shape[1];
    const attributes = { epsilon: { float: epsilon } };
    const perChannel = affine.length > 0 && affine.every((v) => v.shape.length === 1);
    const one = () => to.initializer([c], new Float32Array(c).fill(1));
    const zero = () => to.initializer([c], new Float32Array(c));
    const own = perChannel ? affine.map((v) => to.name(v)) : [one(), zero()];
    let y = to.node('InstanceNormalization', [to.name(x), ...own], attributes);
    if (affine.length > 0 && !perChannel) {
      const image = to.initializer([4], BigInt64Array.of(-1n, BigInt(c), 1n, 1n));
      const [scale, shift] = affine.map((v) => to.node('Reshape', [to.name(v), image]));
      y = to.node('Add', [to.node('Mul', [y, scale]), shift]);
    }
    return activationOnnx(activation, to, y);
  },
});

/** A scale and a shift, each `[C]` or `[N,C]`. */
export interface Affine2d {
  readonly scale: Value;
  readonly shift: Value;
}

/**
 * Instance normalisation (Ulyanov et al., arXiv:1607.08022); with a scale and shift of `[N,C]` it is adaptive (Huang and Belongie,
 * arXiv:1703.06868).
 */
export function instanceNorm(x: Value, affine?: Affine2d, { epsilon = 1e-5 } = {}): Value {
  const inputs = affine ? [x, affine.scale, affine.shift] : [x];
  return apply(instanceNormOp, inputs, { epsilon, affine: affine !== undefined, activation: 'none' });
}
