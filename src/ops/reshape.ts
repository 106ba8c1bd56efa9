import type { View } from '../graph/lowering.js';
import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape, sameShape, sizeOf } from '../tensor/tensor.js';
import { rowsAndChannels } from './shapes.js';

/** The same elements in row-major order under another shape. */
export const reshapeOp = defineOperator<{ shape: Shape }>({
  name: 'reshape',
  shape([x], { shape }) {
    if (sizeOf(x) !== sizeOf(shape))
      throw new GhostkitError(`reshape: ${formatShape(x)} cannot become ${formatShape(shape)}`);
    return shape;
  },
  quantization: ([x]) => x.quantization,
  reference: ([x]) => x.data,
  gradient: ([x], _, grad) => [reshape(grad, x.shape)],
  alias(value, to) {
    const from = value.inputs[0].shape;
    const x = to.view(value.inputs[0]);
    const target = rowsAndChannels(value.shape);
    const sameRows = target.rows === x.rows && target.channels === x.channels;
    const dense = x.stride === x.channels || x.rows === 1;
    if (!(storedRowMajor(from) && storedRowMajor(value.shape) && (sameRows || dense))) return false;
    to.place(value, { ...x, ...target, stride: sameRows ? x.stride : target.channels });
    return true;
  },
  lower(value, to) {
    const [input] = value.inputs;
    if (input.quantization) throw new GhostkitError('reshape: quantised pixels cannot be moved; dequantise them first');
    // Rank 4 is stored with its channels last: its row-major order is made, reshaped and stored again.
    const x = to.view(input);
    const y = to.view(value);
    const [n, c, h, w] = input.shape;
    const middle: View =
      storedRowMajor(value.shape) && y.stride === y.channels ? y : dense(to.temporary(sizeOf(input.shape)), y);
    if (storedRowMajor(input.shape)) to.emit(Opcode.Copy, [x, x.stride, middle, x.channels, x.rows, x.channels]);
    else to.emit(Opcode.ToChannelsFirst, [x, x.stride, middle, n, c, h * w]);
    if (middle === y) return;
    if (storedRowMajor(value.shape)) to.emit(Opcode.Copy, [middle, y.channels, y, y.stride, y.rows, y.channels]);
    else {
      const [on, oc, oh, ow] = value.shape;
      to.emit(Opcode.ToChannelsLast, [middle, y, y.stride, on, oc, oh * ow]);
    }
  },
  onnx: (value, to) =>
    to.node('Reshape', [
      to.name(value.inputs[0]),
      to.initializer(
        [value.shape.length],
        BigInt64Array.from(value.shape, (d, i) => (i > 0 ? BigInt(d) : d === value.inputs[0].shape[0] ? 0n : -1n)),
      ),
    ]),
});

/**
 * A reshape's result where its input has another batch: what is in front of it grows as that does. Where pixels or channels are others too, only a
 * batch that stands alone follows.
 */
export function reshapedBatch(shape: Shape, from: Shape, to: Shape): Shape {
  const [first, ...rest] = shape;
  if (first === from[0]) return [to[0], ...rest];
  const grown = (first * to[0]) / from[0];
  return sameShape(from.slice(1), to.slice(1)) && Number.isInteger(grown) ? [grown, ...rest] : shape;
}

/** Whether the stored order of a shape (channels last for rank 4) is its row-major order. */
function storedRowMajor(shape: Shape): boolean {
  return shape.length !== 4 || shape[1] === 1 || shape[2] * shape[3] === 1;
}

function dense(buffer: View['buffer'], like: View): View {
  return { buffer, offset: 0, rows: like.rows, channels: like.channels, stride: like.channels };
}

export function reshape(x: Value, shape: Shape): Value {
  return apply(reshapeOp, [x], { shape });
}

/** `[N, ...]` to `[N, product of the rest]`. */
export function flatten(x: Value): Value {
  return reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))]);
}
