import { defineOperator } from '../graph/operator.js';
import { onGrid, type Quantization } from '../graph/quantization.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { scaleOf } from './quantized-conv2d.js';

/** Floats rounded to a quantisation. */
export const quantizeOp = defineOperator<{ output: Quantization }>({
  name: 'quantize',
  shape: ([x]) => x,
  quantization: (_, { output }) => output,
  reference: ([x], { attrs: { output } }) => x.data.map((v) => onGrid(output, v)),
  lower(value, to) {
    const [input] = value.inputs;
    const { scale, zeroPoint, low, high } = value.attrs.output;
    const numbers = [1 / scale, zeroPoint, low, high].map((float) => ({ float }));
    const y = to.view(value);
    const planes = input.shape.length === 4 ? to.asGiven(input) : undefined;
    if (planes) {
      const [n, c, h, w] = input.shape;
      to.emit(Opcode.Int8FromPlanes, [planes, y, y.stride, n, c, h * w, ...numbers]);
      return;
    }
    const x = to.view(input);
    to.emit(Opcode.Int8FromFloats, [x, x.stride, y, y.stride, y.rows, y.channels, ...numbers]);
  },
  onnx: (value, to) => to.name(value.inputs[0]),
});

/** The floats that the integers of a quantised value stand for. */
export const dequantizeOp = defineOperator<Record<string, never>>({
  name: 'dequantize',
  shape: ([x]) => x,
  reference: ([x]) => x.data,
  lower(value, to) {
    const { scale, zeroPoint } = scaleOf(value.inputs[0]);
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    to.emit(Opcode.Int8ToFloats, [
      x,
      x.stride,
      y,
      y.stride,
      y.rows,
      y.channels,
      { float: scale },
      { float: zeroPoint },
    ]);
  },
  onnx: (value, to) => to.name(value.inputs[0]),
});

export function quantize(x: Value, output: Quantization): Value {
  return apply(quantizeOp, [x], { output });
}

export function dequantize(x: Value): Value {
  return apply(dequantizeOp, [x], {});
}
