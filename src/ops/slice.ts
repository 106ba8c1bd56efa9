import { constant } from '../graph/leaves.js';
import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { concat } from './concat.js';
import { broadcastTo } from './reduce.js';

/** The channels `start` (inclusive) to `end` (exclusive): dimension 1 of the input. */
export const sliceOp = defineOperator<{ start: number; end: number }>({
  name: 'slice',
  shape([x], { start, end }) {
    if (x.length !== 4 && x.length !== 2) throw new GhostkitError('slice: takes [N,C,H,W] or [N,C]');
    if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= x[1])) {
      throw new GhostkitError(`slice: channels ${start} to ${end} of ${x[1]}`);
    }
    return x.map((d, i) => (i === 1 ? end - start : d));
  },
  quantization: ([x]) => x.quantization,
  reference([x], { attrs, shape }) {
    const inner = shape.slice(2).reduce((a, b) => a * b, 1);
    const length = shape[1] * inner;
    const y = new Float64Array(shape[0] * length);
    for (let i = 0; i < shape[0]; i++) {
      const from = (i * x.shape[1] + attrs.start) * inner;
      y.set(x.data.subarray(from, from + length), i * length);
    }
    return y;
  },
  gradient([x], { attrs: { start, end } }, grad) {
    const zeros = (channels: number) =>
      broadcastTo(
        constant([1, 1, 1, 1].slice(0, x.shape.length), [0]),
        x.shape.map((d, i) => (i === 1 ? channels : d)),
      );
    const parts = [grad];
    if (start > 0) parts.unshift(zeros(start));
    if (end < x.shape[1]) parts.push(zeros(x.shape[1] - end));
    return [concat(parts)];
  },
  alias(value, to) {
    const x = to.view(value.inputs[0]);
    to.place(value, { ...x, offset: x.offset + value.attrs.start, channels: value.shape[1] });
    return true;
  },
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const from = { ...x, offset: x.offset + value.attrs.start };
    to.emit(x.bytes ? Opcode.Int8Copy : Opcode.Copy, [from, x.stride, y, y.stride, y.rows, y.channels]);
  },
  onnx(value, to) {
    const integers = (...v: number[]) => to.initializer([v.length], BigInt64Array.from(v, BigInt));
    const { start, end } = value.attrs;
    return to.node('Slice', [to.name(value.inputs[0]), integers(start), integers(end), integers(1)]);
  },
});

/** Channels `start` to `end` of a value; the value itself when that is all of them. */
export function slice(x: Value, start: number, end: number): Value {
  return start === 0 && end === x.shape[1] ? x : apply(sliceOp, [x], { start, end });
}
