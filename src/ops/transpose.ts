import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Activation, BinaryOperator, Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, sizeOf } from '../tensor/tensor.js';
import { imageShape, storedStrides } from './binary.js';
import { broadcastStrides, eachOffset } from './shapes.js';

/** The dimensions in another order: dimension `i` of the result is dimension `order[i]` of the input. At most 4 dimensions. */
export const transposeOp = defineOperator<{ order: readonly number[] }>({
  name: 'transpose',
  shape([x], { order }) {
    if (x.length > 4 || order.length !== x.length || !x.every((_, i) => order.includes(i))) {
      throw new GhostkitError(`transpose: ${formatShape(x)} has no order of dimensions ${formatShape(order)}`);
    }
    return order.map((axis) => x[axis]);
  },
  reference([x], { attrs: { order }, shape }) {
    const y = new Float64Array(sizeOf(shape));
    const strides = broadcastStrides(x.shape, x.shape);
    const moved = order.map((axis) => strides[axis]);
    eachOffset(shape, [moved], (i, [at]) => {
      y[i] = x.data[at];
    });
    return y;
  },
  gradient: (_, { attrs: { order } }, grad) => [
    transpose(
      grad,
      order.map((_, i) => order.indexOf(i)),
    ),
  ],
  lower(value, to) {
    const [input] = value.inputs;
    const rank = value.shape.length;
    const x = to.view(input);
    const y = to.view(value);
    // The element-wise kernel takes any strides, over n, h, w and c: the input is read across, times one.
    const place = (axis: number) => (rank === 4 ? [0, 3, 1, 2][axis] : axis + 4 - rank);
    const strides = storedStrides(input.shape, rank, x);
    const across = [0, 0, 0, 0];
    for (const [i, axis] of value.attrs.order.entries()) across[place(i)] = strides[place(axis)];
    const [n, c, h, w] = imageShape(value.shape, rank);
    to.emit(Opcode.Binary, [
      ...[x, ...across],
      ...[to.weights(Float32Array.of(1)), 0, 0, 0, 0],
      ...[y, ...storedStrides(value.shape, rank, y)],
      ...[n, h, w, c, BinaryOperator.Multiply, Activation.None],
    ]);
  },
  onnx: (value, to) => to.node('Transpose', [to.name(value.inputs[0])], { perm: value.attrs.order }),
});

export function transpose(x: Value, order: readonly number[]): Value {
  return order.every((axis, i) => axis === i) ? x : apply(transposeOp, [x], { order });
}
