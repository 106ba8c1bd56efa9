import type { Place } from '../graph/lowering.js';
import type { OnnxBuilder } from '../graph/onnx-builder.js';
import { defineOperator, type NdArray } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape } from '../tensor/tensor.js';

export interface CorrelationAttrs {
  /** The correlations are divided by it before the softmax: the smaller, the closer to taking the most alike pixel's value. */
  readonly temperature: number;
}

/** Keeps a pixel without features from being divided by zero. */
const EPSILON = 1e-8;

/** Rows that the kernel takes at once, and the lanes of a packed pixel's values. */
const ROWS = 4;
const MOST_VALUES = 4;

/**
 * Values by likeness, for K pairs of masks: every pixel of `source: [1,C,h,w]` that is in a source mask gets the mean of
 * `values: [1,V,H,W]` over the pixels of `target: [1,C,H,W]` in the target mask, weighted with `softmax(correlation / temperature)`. The
 * correlation of two pixels is the product of their features, each `(f - mean(f)) / (|f| + 1e-8)`. Masks are `[K,h*w]` and `[K,H*W]`, 0 or 1.
 * The result, `[K,h*w,V]`, is zero outside of the source mask, and where the target mask is empty. V is at most 4.
 */
export const correlationOp = defineOperator<CorrelationAttrs>({
  name: 'correlation',
  shape(inputs, { temperature }) {
    const [source, target, sourceMasks, targetMasks, values] = inputs;
    const fits =
      [source, target, values].every((s) => s.length === 4 && s[0] === 1) &&
      source[1] === target[1] &&
      isMasksOf(sourceMasks, source) &&
      isMasksOf(targetMasks, target) &&
      sourceMasks[0] === targetMasks[0] &&
      formatShape(values.slice(2)) === formatShape(target.slice(2)) &&
      values[1] <= MOST_VALUES;
    if (!fits) throw new GhostkitError(`correlation: shapes ${inputs.map(formatShape).join(' ')} do not fit`);
    if (!(temperature > 0))
      throw new GhostkitError(`correlation: the temperature must be positive, got ${temperature}`);
    return [sourceMasks[0], sourceMasks[1], values[1]];
  },
  reference([source, target, sourceMasks, targetMasks, values], { attrs, shape: [parts, pixels, count] }) {
    const a = normalizedRows(source);
    const b = normalizedRows(target);
    const targetPixels = targetMasks.shape[1];
    const y = new Float64Array(parts * pixels * count);
    for (let part = 0; part < parts; part++) {
      const chosen = chosenOf(targetMasks, part);
      for (const pixel of chosenOf(sourceMasks, part)) {
        const logits = chosen.map((j) => dot(a[pixel], b[j]) / attrs.temperature);
        const most = logits.reduce((p, q) => Math.max(p, q), Number.NEGATIVE_INFINITY);
        const weights = logits.map((v) => Math.exp(v - most));
        const sum = weights.reduce((p, q) => p + q, 0);
        for (let k = 0; k < count; k++) {
          const at = (part * pixels + pixel) * count + k;
          for (const [n, j] of chosen.entries()) y[at] += (weights[n] / sum) * values.data[k * targetPixels + j];
        }
      }
    }
    return y;
  },
  lower(value, to) {
    const [source, target, sourceMasks, targetMasks, values] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const [parts, pixels, count] = value.shape;
    const targetPixels = value.inputs[3].shape[1];
    const columns = Math.ceil(targetPixels / 8) * 8;
    const packed: Place = { buffer: to.temporary(columns * target.channels), offset: 0 };
    const packedValues: Place = { buffer: to.temporary(columns * MOST_VALUES), offset: 0 };
    const scratch = ROWS * (source.channels + columns);
    const part = (view: Place & { stride: number }, i: number, rows = 1) => ({
      buffer: view.buffer,
      offset: view.offset + i * rows * view.stride,
    });
    for (let i = 0; i < parts; i++) {
      to.emit(Opcode.CorrelationPack, [
        ...[target, target.stride, part(targetMasks, i), targetPixels, target.channels],
        ...[values, values.stride, count, packed, packedValues],
      ]);
      to.emit(Opcode.Correlation, [
        ...[source, source.stride, part(sourceMasks, i), pixels, source.channels],
        ...[packed, packedValues, part(targetMasks, i), targetPixels],
        ...[part(y, i, pixels), y.stride, count],
        { float: 1 / value.attrs.temperature },
        to.scratch(scratch),
        scratch,
      ]);
    }
  },
  onnx: correlationOnnx,
});

function isMasksOf(masks: Shape, image: Shape): boolean {
  return masks.length === 2 && masks[1] === image[2] * image[3];
}

function normalizedRows({ shape: [, c, h, w], data }: NdArray): Float64Array[] {
  return Array.from({ length: h * w }, (_, pixel) => {
    const row = Float64Array.from({ length: c }, (_, k) => data[k * h * w + pixel]);
    const mean = row.reduce((p, q) => p + q, 0) / c;
    const norm = Math.sqrt(dot(row, row)) + EPSILON;
    return row.map((v) => (v - mean) / norm);
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function chosenOf({ shape: [, pixels], data }: NdArray, part: number): number[] {
  return Array.from({ length: pixels }, (_, i) => i).filter((i) => data[part * pixels + i] !== 0);
}

/** What stands in for minus infinity where a mask is 0: correlations are within 1, so it need only be large beside `1 / temperature`. */
const EXCLUDED = 10;

/** With plain ONNX operators the whole matrix of correlations exists at once. */
function correlationOnnx(value: Value<CorrelationAttrs>, to: OnnxBuilder): string {
  const [source, target, sourceMasks, targetMasks, values] = value.inputs;
  const [parts, pixels, count] = value.shape;
  const integers = (...v: number[]) => to.initializer([v.length], BigInt64Array.from(v, BigInt));
  const number = (v: number) => to.initializer([], Float32Array.of(v));
  const rows = (x: Value) =>
    to.node('Reshape', [
      to.node('Transpose', [to.name(x)], { perm: [0, 2, 3, 1] }),
      integers(x.shape[2] * x.shape[3], x.shape[1]),
    ]);
  const normalized = (x: Value) => {
    const f = rows(x);
    const centred = to.node('Sub', [f, to.node('ReduceMean', [f], { axes: [1] })]);
    return to.node('Div', [centred, to.node('Add', [to.node('ReduceL2', [f], { axes: [1] }), number(EPSILON)])]);
  };
  const correlations = to.node('MatMul', [
    normalized(source),
    to.node('Transpose', [normalized(target)], { perm: [1, 0] }),
  ]);
  const logits = to.node('Div', [correlations, number(value.attrs.temperature)]);
  const colours = rows(values);
  const one = number(1);
  const excluded = number(EXCLUDED / value.attrs.temperature);
  const results = Array.from({ length: parts }, (_, i) => {
    const row = (masks: Value) => to.node('Slice', [to.name(masks), integers(i), integers(i + 1), integers(0)]);
    const chosen = row(targetMasks);
    const penalty = to.node('Mul', [to.node('Sub', [chosen, one]), excluded]);
    const weights = to.node('Softmax', [to.node('Add', [logits, penalty])], { axis: 1 });
    const means = to.node('MatMul', [weights, colours]);
    const inside = to.node('Transpose', [row(sourceMasks)], { perm: [1, 0] });
    const kept = to.node('Mul', [to.node('Mul', [means, inside]), to.node('ReduceMax', [chosen], { axes: [1] })]);
    return to.node('Reshape', [kept, integers(1, pixels, count)]);
  });
  return to.node('Concat', results, { axis: 0 });
}

export interface CorrelationOperands {
  source: Value;
  target: Value;
  sourceMasks: Value;
  targetMasks: Value;
  values: Value;
}

/** See {@link correlationOp}. */
export function correlation(operands: CorrelationOperands, temperature: number): Value {
  const { source, target, sourceMasks, targetMasks, values } = operands;
  return apply(correlationOp, [source, target, sourceMasks, targetMasks, values], { temperature });
}
