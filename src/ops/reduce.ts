import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Activation, BinaryOperator, Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape, sameShape, sizeOf } from '../tensor/tensor.js';
import { imageShape, mul, storedStrides } from './binary.js';
import { broadcastShapes, broadcastStrides, eachOffset } from './shapes.js';

/** The sum of `x` (of the product of two values of one shape, where there are two) over the dimensions that `shape` broadcasts. */
export const sumToOp = defineOperator<{ shape: Shape; factor: number }>({
  name: 'sum_to',
  shape(inputs, { shape }) {
    const [x] = inputs;
    if (inputs.some((s) => !sameShape(s, x)) || !sameShape(broadcastShapes('sum_to', x, shape), x)) {
      throw new GhostkitError(`sum_to: ${inputs.map(formatShape).join(' ')} cannot be summed to ${formatShape(shape)}`);
    }
    return shape;
  },
  reference(inputs, { attrs: { factor }, shape }) {
    const [x] = inputs;
    const y = new Float64Array(sizeOf(shape));
    eachOffset(x.shape, [broadcastStrides(shape, x.shape)], (i, [at]) => {
      y[at] += factor * inputs.reduce((product, { data }) => product * data[i], 1);
    });
    return y;
  },
  gradient(inputs, value, grad) {
    const { factor } = value.attrs;
    const spread = broadcastTo(grad, inputs[0].shape, factor);
    return inputs.length === 1 ? [spread] : [mul(spread, inputs[1]), mul(spread, inputs[0])];
  },
  lower(value, to) {
    const rank = value.inputs[0].shape.length;
    const views = value.inputs.map((v) => to.view(v));
    const [x, other = x] = views;
    const y = to.view(value);
    const [n, c, h, w] = imageShape(value.inputs[0].shape, rank);
    to.emit(Opcode.SumTo, [
      ...[x, x.stride, other, other.stride, views.length],
      ...[y, ...storedStrides(value.shape, rank, y)],
      ...[n, h, w, c],
      { float: value.attrs.factor },
    ]);
  },
});

/** `factor * x`, repeated to `shape` by NumPy's broadcasting. */
export const broadcastToOp = defineOperator<{ shape: Shape; factor: number }>({
  name: 'broadcast_to',
  shape([x], { shape }) {
    if (!sameShape(broadcastShapes('broadcast_to', x, shape), shape)) {
      throw new GhostkitError(`broadcast_to: ${formatShape(x)} does not broadcast to ${formatShape(shape)}`);
    }
    return shape;
  },
  reference([x], { attrs, shape }) {
    const y = new Float64Array(sizeOf(shape));
    eachOffset(shape, [broadcastStrides(x.shape, shape)], (i, [at]) => {
      y[i] = attrs.factor * x.data[at];
    });
    return y;
  },
  gradient: ([x], { attrs }, grad) => [sumTo([grad], x.shape, attrs.factor)],
  lower(value, to) {
    const rank = value.shape.length;
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const [n, c, h, w] = imageShape(value.shape, rank);
    to.emit(Opcode.Binary, [
      ...[x, ...storedStrides(value.inputs[0].shape, rank, x)],
      ...[to.weights(Float32Array.of(value.attrs.factor)), 0, 0, 0, 0],
      ...[y, ...storedStrides(value.shape, rank, y)],
      ...[n, h, w, c],
      BinaryOperator.Multiply,
      Activation.None,
    ]);
  },
  onnx(value, to) {
    const { shape, factor } = value.attrs;
    const [x] = value.inputs;
    // A one leaves a dimension as it is, the batch among them.
    const missing = shape.length - x.shape.length;
    const sizes = BigInt64Array.from(shape, (d, i) => BigInt(x.shape[i - missing] === d ? 1 : d));
    const repeated = to.node('Expand', [to.name(x), to.initializer([shape.length], sizes)]);
    return factor === 1 ? repeated : to.node('Mul', [repeated, to.initializer([], Float32Array.of(factor))]);
  },
});

/** The shape to which an input of another batch is repeated: its own where it was not repeated along the batch. */
export function repeatedBatch(shape: Shape, from: Shape, to: Shape): Shape {
  const [first, ...rest] = shape;
  return from.length === shape.length && first === from[0] ? [to[0], ...rest] : shape;
}

/** Sums a value, or the product of two, to a shape that broadcasts to theirs, times `factor`. */
export function sumTo(values: readonly Value[], shape: Shape, factor = 1): Value {
  const [x] = values;
  if (values.length === 1 && factor === 1 && sameShape(x.shape, shape)) return x;
  return apply(sumToOp, values, { shape, factor });
}

export function broadcastTo(x: Value, shape: Shape, factor = 1): Value {
  return factor === 1 && sameShape(x.shape, shape) ? x : apply(broadcastToOp, [x], { shape, factor });
}
