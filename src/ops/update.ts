import type { Lowering, View } from '../graph/lowering.js';
import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { sizeOf } from '../tensor/tensor.js';

// Operators that change parameters in place. They run behind everything else of a step, so that no value of the step sees a parameter half
// changed. Their first input is the parameter; their result only stands for the change having been made.

function dense(value: Value, to: Lowering): View {
  const view = to.view(value);
  if (view.stride !== view.channels && view.rows > 1) throw new GhostkitError(`${value.op.name}: its memory has gaps`);
  return view;
}

export interface SgdAttrs {
  readonly momentum: number;
  readonly weightDecay: number;
  readonly nesterov: boolean;
}

/** Inputs: parameter, gradient, momentum buffer, learning rate `[1]`, factor of the gradient `[1]` (or more, the first counts). */
export const sgdOp = defineOperator<SgdAttrs>({
  name: 'sgd',
  update: true,
  shape: () => [1],
  lower(value, to) {
    const [parameter, grad, buffer] = value.inputs.slice(0, 3).map((v) => dense(v, to));
    const [rate, factor] = value.inputs.slice(3).map((v) => to.view(v));
    const { momentum, weightDecay, nesterov } = value.attrs;
    const numbers = [{ float: momentum }, { float: weightDecay }, nesterov ? 1 : 0];
    to.emit(Opcode.Sgd, [parameter, grad, buffer, sizeOf(value.inputs[0].shape), rate, ...numbers, factor]);
  },
});

export interface AdamWAttrs {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** Inputs: parameter, gradient, first and second moment, learning rate `[1]`, bias corrections `[2]`, factor of the gradient `[1]`. */
export const adamWOp = defineOperator<AdamWAttrs>({
  name: 'adamw',
  update: true,
  shape: () => [1],
  lower(value, to) {
    const [parameter, grad, first, second] = value.inputs.slice(0, 4).map((v) => dense(v, to));
    const [rate, corrections, factor] = value.inputs.slice(4).map((v) => to.view(v));
    const { betas, epsilon, weightDecay } = value.attrs;
    const numbers = [...betas, epsilon, weightDecay].map((float) => ({ float }));
    const count = sizeOf(value.inputs[0].shape);
    to.emit(Opcode.AdamW, [parameter, grad, first, second, count, rate, ...numbers, corrections, factor]);
  },
});

/** `target += weight * (factor * value - target)`: running statistics and averaged weights. Inputs: target, value. */
export const averageOp = defineOperator<{ weight: number; factor: number }>({
  name: 'average',
  update: true,
  shape: () => [1],
  lower(value, to) {
    const [target, source] = value.inputs.map((v) => dense(v, to));
    const { weight, factor } = value.attrs;
    to.emit(Opcode.Average, [target, source, sizeOf(value.inputs[0].shape), { float: weight }, { float: factor }]);
  },
});

/** `[factor, norm]`: what gradients have to be multiplied with so that their norm together is at most `limit`, and that norm. */
export const clipOp = defineOperator<{ limit: number }>({
  name: 'clip_factor',
  shape: () => [2],
  reference(inputs, { attrs }) {
    const norm = Math.sqrt(inputs.reduce((sum, { data }) => data.reduce((s, v) => s + v * v, sum), 0));
    return Float64Array.of(Math.min(1, attrs.limit / (norm + 1e-6)), norm);
  },
  lower(value, to) {
    const sum = { buffer: to.temporary(2), offset: 0 };
    for (const [i, grad] of value.inputs.entries()) {
      to.emit(Opcode.SquaredNorm, [dense(grad, to), sizeOf(grad.shape), sum, i === 0 ? 1 : 0]);
    }
    to.emit(Opcode.ClipFactor, [sum, { float: value.attrs.limit }, to.view(value)]);
  },
});

export function average(target: Value, value: Value, weight: number, factor = 1): Value {
  return apply(averageOp, [target, value], { weight, factor });
}
