import { activationOp } from '../../ops/activation.js';
import { binaryOp } from '../../ops/binary.js';
import { concatOp } from '../../ops/concat.js';
import { conv2dOp, conv2dOperands, hasConstantWeight, isDepthwise } from '../../ops/conv2d.js';
import { linearOp } from '../../ops/linear.js';
import { globalAveragePoolOp } from '../../ops/pool.js';
import { leastDepthwiseScale } from '../../ops/quantized-depthwise.js';
import { reshapeOp } from '../../ops/reshape.js';
import { sliceOp } from '../../ops/slice.js';
import { sameShape, sizeOf } from '../../tensor/tensor.js';
import { dataOf, nameOf } from '../leaves.js';
import { EIGHT_BITS, type Quantization, quantizationFor, SEVEN_BITS } from '../quantization.js';
import { type Graph, isOp, usersOf, type Value, valuesOf } from '../value.js';
import { type QuantizedWeights, quantizedWeights } from './quantized-weights.js';
import { gateOf } from './separate.js';

/** What of a graph is quantised, and how. */
export interface QuantizationPlan {
  /** The quantisation of every value that is stored in 8 bits. */
  readonly tensors: ReadonlyMap<Value, Quantization>;
  /** Layers that are computed in float. */
  readonly floatLayers: ReadonlySet<Value>;
  /** One scale for all weights of a layer. */
  readonly perTensor: boolean;
  /** The mean of each channel of the values, for bias correction; without them biases stay as they are. */
  readonly means?: ReadonlyMap<Value, Float64Array>;
  /** Where the rounded weights of layers are kept, for the next plan with the same means; by the least integer of the layer's input. */
  readonly weights?: Map<Value, QuantizedWeights & { readonly bits: number }>;
}

/** The integers that a value is stored as. */
export type Bits = Pick<Quantization, 'low' | 'high'>;

/** The range of the real numbers that a value's integers stand for. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Whether a value is a layer with weights that there are int8 kernels for. */
export function quantizableLayer(value: Value): boolean {
  if (isOp(value, linearOp)) return value.inputs.slice(1).every((v) => dataOf(v) !== undefined);
  if (!isOp(value, conv2dOp) || !hasConstantWeight(value) || value.attrs.scale) return false;
  const { residual } = conv2dOperands(value);
  if (residual && dataOf(residual) !== undefined) return false;
  return value.attrs.groups === 1 || (isDepthwise(value) && value.inputs[0].shape[1] === value.attrs.groups);
}

/** The name of a layer: that of its weight without `.weight`. */
export function layerName(value: Value): string {
  return (nameOf(value.inputs[1]) ?? value.op.name).replace(/\.weight$/, '');
}

/** Operators that move the bytes of their inputs and change none. */
const moves = (value: Value) =>
  isOp(value, concatOp) ||
  isOp(value, sliceOp) ||
  (isOp(value, reshapeOp) &&
    sameShape(value.shape, [value.inputs[0].shape[0], sizeOf(value.inputs[0].shape.slice(1))]) &&
    value.inputs[0].shape.slice(2).every((d) => d === 1));

/** Whether there is an int8 kernel that computes a value without weights from quantised ones. */
export function quantizableElementwise(value: Value): boolean {
  if (isOp(value, globalAveragePoolOp) || isOp(value, activationOp)) return true;
  if (moves(value)) return value.inputs.every((v) => dataOf(v) === undefined);
  if (gateOf(value) !== undefined) return true;
  return (
    isOp(value, binaryOp) &&
    value.attrs.kind === 'add' &&
    ['none', 'relu', 'relu6'].includes(value.attrs.activation) &&
    value.inputs.every((v) => sameShape(v.shape, value.shape) && dataOf(v) === undefined)
  );
}

/** The inputs that a quantised value reads as integers; a gate stays float. */
export function integerInputs(value: Value): readonly Value[] {
  if (isOp(value, linearOp)) return [value.inputs[0]];
  if (isOp(value, conv2dOp)) {
    const { x, residual } = conv2dOperands(value);
    return residual ? [x, residual] : [x];
  }
  const gate = gateOf(value);
  return gate === undefined ? value.inputs : [value.inputs[1 - gate]];
}

/**
 * The values that are to be stored in 8 bits, in groups that must be quantised alike, each with its range of integers: what a quantised layer reads, what is computed between quantised layers, and nothing that only floats would come of.
 */
export function quantizedGroups(graph: Graph, floatLayers: ReadonlySet<Value>): { values: Value[]; bits: Bits }[] {
  const users = usersOf(graph);
  const order = valuesOf(graph);
  const isLayer = (v: Value) => quantizableLayer(v) && !floatLayers.has(v);
  const inBytes = new Set<Value>();
  // From the results back: what an int8 operator reads is in 8 bits, and an operator without weights is int8 where its own result is to be.
  for (const value of [...order].reverse()) {
    const computed = isLayer(value) || (quantizableElementwise(value) && inBytes.has(value));
    if (computed) for (const v of integerInputs(value)) if (dataOf(v) === undefined) inBytes.add(v);
  }
  // A depthwise kernel and one that adds a residual have no float results: they are converted behind it.
  for (const value of order) {
    if (isLayer(value) && isOp(value, conv2dOp) && (value.attrs.groups > 1 || value.attrs.residual)) inBytes.add(value);
  }
  const group = new Map<Value, Value[]>();
  for (const value of order) if (inBytes.has(value)) group.set(value, [value]);
  for (const value of order) {
    if (!inBytes.has(value) || !moves(value) || !quantizableElementwise(value)) continue;
    for (const v of value.inputs) {
      const [a, b] = [group.get(value) as Value[], group.get(v) as Value[]];
      if (a === b) continue;
      for (const each of b) group.set(each, a);
      a.push(...b);
    }
  }
  const readByLayer = (value: Value) =>
    (users.get(value) ?? []).some((user) => isLayer(user) && user.inputs[0] === value);
  return [...new Set(group.values())].map((values) => ({
    values,
    bits: values.some(readByLayer) ? SEVEN_BITS : EIGHT_BITS,
  }));
}

/** A plan from the ranges that calibration has found. */
export function planQuantization(
  graph: Graph,
  ranges: ReadonlyMap<Value, Range>,
  options: Omit<QuantizationPlan, 'tensors'>,
): QuantizationPlan {
  const tensors = new Map<Value, Quantization>();
  for (const { values, bits } of quantizedGroups(graph, options.floatLayers)) {
    const known = values.map((v) => ranges.get(v)).filter((r) => r !== undefined);
    const min = Math.min(...known.map((r) => r.min));
    const max = Math.max(...known.map((r) => r.max));
    const quantization = quantizationFor(min, max, bits);
    for (const value of values) tensors.set(value, quantization);
  }
  const plan = { ...options, tensors };
  for (const value of valuesOf(graph)) widen(value, plan);
  return plan;
}

/** Makes the steps of a depthwise layer's results, and of what is quantised like them, as large as its arithmetic needs. */
function widen(value: Value, plan: QuantizationPlan & { readonly tensors: Map<Value, Quantization> }): void {
  const { tensors } = plan;
  if (!isOp(value, conv2dOp) || value.attrs.groups === 1 || !quantizableLayer(value) || plan.floatLayers.has(value))
    return;
  const { x, residual } = conv2dOperands(value);
  const [output, input] = [tensors.get(value), tensors.get(x)];
  if (!output || !input) return;
  const { data, scale, biases } = quantizedWeights(value, input, plan);
  const least = leastDepthwiseScale(data, biases, scale, input, residual && tensors.get(residual));
  if (output.scale >= least) return;
  const wider = { ...output, scale: Math.fround(least) };
  for (const [other, quantization] of tensors) if (quantization === output) tensors.set(other, wider);
}
