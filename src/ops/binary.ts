import type { View } from '../graph/lowering.js';
import { defineOperator, type Operator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { BinaryOperator, Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { type Shape, sameShape, sizeOf } from '../tensor/tensor.js';
import { type ActivationName, activate, activationCode, activationGradient, activationOnnx } from './activation.js';
import { sumTo } from './reduce.js';
import { broadcastShapes, broadcastStrides, eachOffset } from './shapes.js';

export type BinaryName = 'add' | 'mul' | 'sub' | 'div' | 'max' | 'min';

export interface BinaryAttrs {
  readonly kind: BinaryName;
  readonly activation: ActivationName;
}

const rules: Readonly<Record<BinaryName, { code: BinaryOperator; onnx: string; f: (a: number, b: number) => number }>> =
  {
    add: { code: BinaryOperator.Add, onnx: 'Add', f: (a, b) => a + b },
    mul: { code: BinaryOperator.Multiply, onnx: 'Mul', f: (a, b) => a * b },
    sub: { code: BinaryOperator.Subtract, onnx: 'Sub', f: (a, b) => a - b },
    div: { code: BinaryOperator.Divide, onnx: 'Div', f: (a, b) => a / b },
    max: { code: BinaryOperator.Maximum, onnx: 'Max', f: Math.max },
    min: { code: BinaryOperator.Minimum, onnx: 'Min', f: Math.min },
  };

/** Element-wise arithmetic, maxima and minima with NumPy's broadcasting, then an activation. */
export const binaryOp: Operator<BinaryAttrs> = defineOperator({
  name: 'binary',
  shape: ([a, b], { kind }) => broadcastShapes(kind, a, b),
  reference([a, b], { attrs, shape }) {
    const y = new Float64Array(shape.reduce((n, d) => n * d, 1));
    const { f } = rules[attrs.kind];
    eachOffset(shape, [broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape)], (i, [p, q]) => {
      y[i] = f(a.data[p], b.data[q]);
    });
    return activate(attrs.activation, y);
  },
  gradient([a, b], value, grad) {
    const { kind, activation } = value.attrs;
    const g = activationGradient(activation, value, grad);
    if (kind === 'add') return [sumTo([g], a.shape), sumTo([g], b.shape)];
    if (kind === 'sub') return [sumTo([g], a.shape), sumTo([g], b.shape, -1)];
    if (kind === 'mul') return [productTo(g, b, a.shape), productTo(g, a, b.shape)];
    if (kind === 'max' || kind === 'min') {
      // To the second where both are the same.
      const toFirst = activationGradient('relu', kind === 'max' ? sub(a, b) : sub(b, a), g);
      return [sumTo([toFirst], a.shape), sumTo([sub(g, toFirst)], b.shape)];
    }
    const quotient = div(a, mul(b, b));
    return [sumTo([div(g, b)], a.shape), sumTo([mul(g, quotient)], b.shape, -1)];
  },
  lower(value, to) {
    const y = to.view(value);
    const operands = value.inputs.map((v) => to.view(v));
    const codes = [rules[value.attrs.kind].code, activationCode(value.attrs.activation)];
    const isNumber = (i: number) => sizeOf(value.inputs[i].shape) === 1;
    const dense = (view: View, i: number) =>
      isNumber(i) || (view.stride === view.channels && sameShape(value.inputs[i].shape, value.shape));
    if (operands.every(dense) && y.stride === y.channels) {
      // Without gaps and broadcasting, but for that of a number, everything is one long row.
      const row = [0, 0, 0, 1];
      to.emit(Opcode.Binary, [
        ...operands.flatMap((view, i) => [view, ...(isNumber(i) ? [0, 0, 0, 0] : row)]),
        y,
        ...row,
        1,
        1,
        1,
        sizeOf(value.shape),
        ...codes,
      ]);
      return;
    }
    const [n, c, h, w] = imageShape(value.shape, value.shape.length);
    const strides = (shape: Shape, view: View) => [view, ...storedStrides(shape, value.shape.length, view)];
    to.emit(Opcode.Binary, [
      ...operands.flatMap((view, i) => strides(value.inputs[i].shape, view)),
      ...strides(value.shape, y),
      ...[n, h, w, c, ...codes],
    ]);
  },
  onnx(value, to) {
    const y = to.node(
      rules[value.attrs.kind].onnx,
      value.inputs.map((v) => to.name(v)),
    );
    return activationOnnx(value.attrs.activation, to, y);
  },
});

/** `g * other`, summed to `shape`: without the product in memory where the two have one shape. */
function productTo(g: Value, other: Value, shape: Shape): Value {
  if (sameShape(g.shape, shape)) return mul(g, other);
  return sameShape(g.shape, other.shape) ? sumTo([g, other], shape) : sumTo([mul(g, other)], shape);
}

/** A shape as `[N,C,H,W]` among operands of rank `rank`: below rank 4 the last dimension is the channels, as it is stored. */
export function imageShape(shape: Shape, rank: number): Shape {
  if (rank > 4) throw new GhostkitError(`element-wise operators take at most 4 dimensions, got ${rank}`);
  const padded = [...new Array<number>(4 - shape.length).fill(1), ...shape];
  return rank === 4 ? padded : [padded[0], padded[3], padded[1], padded[2]];
}

/** Strides in floats over n, h, w and c of a stored operand, 0 where it has one element and is broadcast. */
export function storedStrides(shape: Shape, rank: number, view: View): number[] {
  const [n, c, h, w] = imageShape(shape, rank);
  const rowMajor = rank === 4 && shape.length < 4;
  const steps = rowMajor ? [c * h * w, w, 1, h * w] : [h * w * view.stride, w * view.stride, view.stride, 1];
  return [n, h, w, c].map((size, i) => (size > 1 ? steps[i] : 0));
}

const binary =
  (kind: BinaryName) =>
  (a: Value, b: Value): Value =>
    apply(binaryOp, [a, b], { kind, activation: 'none' });

export const add = binary('add');
export const mul = binary('mul');
export const sub = binary('sub');
export const div = binary('div');
export const maximum = binary('max');
export const minimum = binary('min');
