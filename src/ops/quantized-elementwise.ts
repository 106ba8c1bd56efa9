import { defineOperator } from '../graph/operator.js';
import { onGrid, type Quantization, quantized } from '../graph/quantization.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { sameShape, sizeOf } from '../tensor/tensor.js';
import { type ActivationName, activate, activationOnnx } from './activation.js';
import { globalAveragePoolOp } from './pool.js';
import { scaleOf } from './quantized-conv2d.js';
import { integerRange } from './quantized-lowering.js';
import { writableChannels } from './quantized-view.js';

const WORD = 32767;

/** Digits behind the point of 16-bit results whose largest factor is `factor`, in units of `2^base`: as many as 16 bits leave room for. */
function shiftFor(factor: number, base: number): number {
  const shift = Math.min(6, Math.floor(Math.log2(WORD / factor)) - base);
  if (shift < 1) throw new GhostkitError('a quantised sum or gate of too different scales; leave it in float');
  return shift;
}

/** The sum of two quantised values of one shape, then `none` or `relu`. */
export const quantizedAddOp = defineOperator<{ activation: ActivationName; output: Quantization }>({
  name: 'quantized_add',
  shape([a, b]) {
    if (!sameShape(a, b)) throw new GhostkitError('quantized_add: its operands must have one shape');
    return a;
  },
  quantization: (_, { output }) => output,
  reference: ([a, b], { attrs: { activation, output } }) =>
    activate(
      activation,
      a.data.map((v, i) => v + b.data[i]),
    ).map((v) => onGrid(output, v)),
  lower(value, to) {
    const { activation, output } = value.attrs;
    const [a, b] = value.inputs.map((v) => to.view(v));
    const [p, q] = value.inputs.map(scaleOf);
    const y = to.view(value);
    const shift = shiftFor(Math.max(p.scale, q.scale) / output.scale, 7);
    const factor = ({ scale }: Quantization) => Math.round((scale / output.scale) * 2 ** (7 + shift));
    const offset = output.zeroPoint - (p.scale * p.zeroPoint + q.scale * q.zeroPoint) / output.scale;
    const bias = Math.max(-WORD, Math.min(WORD, Math.round(offset * 2 ** shift + 2 ** (shift - 1))));
    to.emit(Opcode.Int8Add, [
      ...[a, a.stride, b, b.stride, y, y.stride, y.rows, writableChannels(y)],
      ...[factor(p), factor(q), bias, shift],
      ...integerRange(activation, output),
    ]);
  },
  onnx: (value, to) =>
    activationOnnx(
      value.attrs.activation,
      to,
      to.node(
        'Add',
        value.inputs.map((v) => to.name(v)),
      ),
    ),
});

/** A quantised image times a float gate `[N,C,1,1]` (squeeze-excite). */
export const quantizedGateOp = defineOperator<{ output: Quantization }>({
  name: 'quantized_gate',
  shape([x, gate]) {
    if (!sameShape(gate, [x[0], x[1], 1, 1]))
      throw new GhostkitError('quantized_gate: one gate for each channel is needed');
    return x;
  },
  quantization: (_, { output }) => output,
  reference([x, gate], { attrs: { output } }) {
    const pixels = sizeOf(x.shape.slice(2));
    return x.data.map((v, i) => onGrid(output, v * gate.data[Math.floor(i / pixels)]));
  },
  lower(value, to) {
    const { output } = value.attrs;
    const [input, gate] = value.inputs;
    const source = scaleOf(input);
    const [x, g, y] = [to.view(input), to.view(gate), to.view(value)];
    const ratio = source.scale / output.scale;
    const shift = shiftFor(Math.max(1, ratio), 8);
    const [n, , h, w] = value.shape;
    const channels = writableChannels(y);
    const scratch = Math.ceil(channels / 8) * 16;
    to.emit(Opcode.Int8Gate, [
      ...[x, x.stride, y, y.stride, n, channels, h * w, g, g.stride],
      { float: ratio * 2 ** (8 + shift) },
      ...[source.zeroPoint, output.zeroPoint * 2 ** shift + 2 ** (shift - 1), shift],
      ...integerRange('none', output),
      to.scratch(scratch / 4),
      scratch,
    ]);
  },
  onnx: (value, to) =>
    to.node(
      'Mul',
      value.inputs.map((v) => to.name(v)),
    ),
});

/** An activation of a quantised value, by a table of what becomes of each integer. */
export const quantizedActivationOp = defineOperator<{ kind: ActivationName; output: Quantization }>({
  name: 'quantized_activation',
  shape: ([x]) => x,
  quantization: (_, { output }) => output,
  reference: ([x], { attrs: { kind, output } }) =>
    activate(kind, Float64Array.from(x.data)).map((v) => onGrid(output, v)),
  lower(value, to) {
    const { kind, output } = value.attrs;
    const { scale, zeroPoint } = scaleOf(value.inputs[0]);
    const inputs = Float64Array.from({ length: 256 }, (_, i) => scale * (i - 128 - zeroPoint));
    const table = Int8Array.from(activate(kind, inputs), (v) => quantized(output, v));
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    to.emit(Opcode.Int8Table, [x, x.stride, y, y.stride, y.rows, y.channels, to.weights(table)]);
  },
  onnx: (value, to) => activationOnnx(value.attrs.kind, to, to.name(value.inputs[0])),
});

/** The mean over all pixels of a quantised image: `[N,C,H,W]` to `[N,C,1,1]`. */
export const quantizedGlobalAveragePoolOp = defineOperator<{ output: Quantization }>({
  name: 'quantized_global_average_pool',
  shape: (inputs) => globalAveragePoolOp.shape(inputs, {}),
  quantization: (_, { output }) => output,
  reference([x], { attrs: { output } }) {
    const pixels = sizeOf(x.shape.slice(2));
    return Float64Array.from({ length: x.data.length / pixels }, (_, i) => {
      let sum = 0;
      for (let p = 0; p < pixels; p++) sum += x.data[i * pixels + p];
      return onGrid(output, sum / pixels);
    });
  },
  lower(value, to) {
    const [input] = value.inputs;
    const { output } = value.attrs;
    const source = scaleOf(input);
    const x = to.view(input);
    const y = to.view(value);
    const [n, , h, w] = input.shape;
    const ratio = source.scale / output.scale;
    to.emit(Opcode.Int8GlobalAveragePool, [
      ...[x, x.stride, y, y.stride, n, writableChannels(y), h * w],
      { float: ratio / (h * w) },
      { float: output.zeroPoint - ratio * source.zeroPoint },
      ...integerRange('none', output),
    ]);
  },
  onnx: (value, to) => to.node('GlobalAveragePool', [to.name(value.inputs[0])]),
});

export function quantizedAdd(a: Value, b: Value, attrs: { activation: ActivationName; output: Quantization }): Value {
  return apply(quantizedAddOp, [a, b], attrs);
}

export function quantizedGate(x: Value, gate: Value, output: Quantization): Value {
  return apply(quantizedGateOp, [x, gate], { output });
}

export function quantizedActivation(x: Value, kind: ActivationName, output: Quantization): Value {
  return apply(quantizedActivationOp, [x], { kind, output });
}

export function quantizedGlobalAveragePool(x: Value, output: Quantization): Value {
  return apply(quantizedGlobalAveragePoolOp, [x], { output });
}
