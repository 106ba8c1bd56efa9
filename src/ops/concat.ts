import { defineOperator } from '../graph/operator.js';
import { sameQuantization } from '../graph/quantization.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { slice } from './slice.js';

/** Joins values along the channels (dimension 1). The executor lets the inputs' producers write into the result where it can. */
export const concatOp = defineOperator<Record<string, never>>({
  name: 'concat',
  shape(inputs) {
    const [first] = inputs;
    if (
      first.length < 2 ||
      inputs.some((s) => s.length !== first.length || s.some((d, i) => i !== 1 && d !== first[i]))
    ) {
      throw new GhostkitError(`concat: shapes ${inputs.map(formatShape).join(' ')} differ in more than their channels`);
    }
    return first.map((d, i) => (i === 1 ? inputs.reduce((n, s) => n + s[1], 0) : d));
  },
  quantization(inputs) {
    const [{ quantization }] = inputs;
    if (inputs.some((v) => !sameQuantization(v.quantization, quantization))) {
      throw new GhostkitError('concat: its inputs are not quantised alike');
    }
    return quantization;
  },
  reference(inputs, { shape }) {
    const y = new Float64Array(shape.reduce((a, b) => a * b, 1));
    const inner = shape.slice(2).reduce((a, b) => a * b, 1);
    let channel = 0;
    for (const x of inputs) {
      const length = x.shape[1] * inner;
      for (let i = 0; i < shape[0]; i++) {
        y.set(x.data.subarray(i * length, (i + 1) * length), (i * shape[1] + channel) * inner);
      }
      channel += x.shape[1];
    }
    return y;
  },
  gradient(inputs, _, grad) {
    let channel = 0;
    return inputs.map((x) => {
      const start = channel;
      channel += x.shape[1];
      return slice(grad, start, channel);
    });
  },
  lower(value, to) {
    const y = to.view(value);
    let channel = 0;
    for (const input of value.inputs) {
      const x = to.view(input);
      const target = { ...y, offset: y.offset + channel };
      if (x.buffer !== target.buffer || x.offset !== target.offset) {
        to.emit(y.bytes ? Opcode.Int8Copy : Opcode.Copy, [x, x.stride, target, y.stride, x.rows, x.channels]);
      }
      channel += x.channels;
    }
  },
  onnx: (value, to) =>
    to.node(
      'Concat',
      value.inputs.map((v) => to.name(v)),
      { axis: 1 },
    ),
});

export function concat(values: readonly Value[]): Value {
  if (values.length === 0) throw new GhostkitError('concat: nothing to join');
  return values.length === 1 ? values[0] : apply(concatOp, values, {});
}
