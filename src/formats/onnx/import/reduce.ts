import { constant } from '../../../graph/leaves.js';
import { apply, type Value } from '../../../graph/value.js';
import { relu } from '../../../ops/activation.js';
import { add, mul, sub } from '../../../ops/binary.js';
import { conv2d } from '../../../ops/conv2d.js';
import { exp, log, sqrt } from '../../../ops/math.js';
import { globalAveragePool, poolOp } from '../../../ops/pool.js';
import { type Shape, sizeOf } from '../../../tensor/tensor.js';
import type { Node } from './node.js';
import { asImage, Flow, reshaped, type Tensor } from './tensors.js';

// Means, sums and maxima over any dimensions: windows as large as these.

/** One window over whole dimensions of an image. */
function poolAll(x: Value, kind: 'max' | 'average', rows = true, columns = true): Value {
  const kernel = [rows ? x.shape[2] : 1, columns ? x.shape[3] : 1] as const;
  return apply(poolOp, [x], { kind, kernel, stride: kernel, padding: [0, 0, 0, 0], countIncludePad: true });
}

export function importGlobalPool(node: Node): Tensor {
  const x = node.image(0);
  return new Flow(node.opType === 'GlobalMaxPool' ? poolAll(x, 'max') : globalAveragePool(x));
}

/** What is over whole dimensions of a tensor, of which one element stays. */
interface Reduction {
  mean(x: Flow): Flow;
  max(x: Flow): Flow;
  sum(x: Flow): Flow;
}

const number = (v: number) => constant([], [v]);
const negative = (x: Value) => mul(x, number(-1));
const map = (x: Flow, f: (value: Value) => Value) => new Flow(f(x.value), x.axes);
const square = (x: Flow) => map(x, (v) => mul(v, v));

/** Two tensors of as many dimensions. */
const both = (a: Flow, b: Flow, f: (a: Value, b: Value) => Value) =>
  new Flow(f(a.value, b.withAxes(a.axes).value), a.axes);

const logSumExp = (x: Flow, over: Reduction): Flow => {
  const most = over.max(x);
  const sum = over.sum(map(both(x, most, sub), exp));
  return both(map(sum, log), most, add);
};

const KINDS: Readonly<Record<string, (x: Flow, over: Reduction) => Flow>> = {
  ReduceL1: (x, over) => over.sum(map(x, (v) => add(relu(v), relu(negative(v))))),
  ReduceL2: (x, over) => map(over.sum(square(x)), sqrt),
  ReduceLogSum: (x, over) => map(over.sum(x), log),
  ReduceLogSumExp: logSumExp,
  ReduceMax: (x, over) => over.max(x),
  ReduceMean: (x, over) => over.mean(x),
  ReduceMin: (x, over) => map(over.max(map(x, negative)), negative),
  ReduceSum: (x, over) => over.sum(x),
  ReduceSumSquare: (x, over) => over.sum(square(x)),
};

/** What it reduces: `axes`, all of them where none are listed. */
export function reducedAxes(node: Node, rank: number): number[] | undefined {
  const listed = node.listOrInput('axes', 1) ?? [];
  if (listed.length === 0 && node.number('noop_with_empty_axes', 0) !== 0) return undefined;
  const axes = listed.length > 0 ? listed : Array.from({ length: rank }, (_, i) => i);
  return axes.map((axis) => node.axis(axis, rank));
}

export function importReduce(node: Node): Tensor {
  const x = node.flow(0);
  const axes = reducedAxes(node, x.shape.length);
  if (!axes) return x;
  const result = KINDS[node.opType](x, over(node, x.shape, axes));
  if (node.number('keepdims', 1) !== 0) return result;
  const shape = x.shape.filter((_, i) => !axes.includes(i));
  return new Flow(reshaped(result.materialize(), shape));
}

/** `x - log(sum(e^x))`. */
export function importLogSoftmax(node: Node): Tensor {
  const x = node.flow(0);
  const axis = node.axis(node.number('axis', node.context.opset < 13 ? 1 : -1), x.shape.length);
  // Before version 13 everything from the axis on was one dimension.
  const axes = x.shape.flatMap((_, i) => (i === axis || (i > axis && node.context.opset < 13) ? [i] : []));
  return both(x, logSumExp(x, over(node, x.shape, axes)), sub);
}

function over(node: Node, shape: Shape, axes: readonly number[]): Reduction {
  const mean = (x: Flow) => reduced(node, x, axes, 'average');
  const count = sizeOf(axes.map((axis) => shape[axis]));
  return {
    mean,
    max: (x) => reduced(node, x, axes, 'max'),
    sum: (x) => map(mean(x), (v) => (count === 1 ? v : mul(v, number(count)))),
  };
}

/** The mean or the maximum over some dimensions, which stay with one element each. */
function reduced(node: Node, flow: Flow, axes: readonly number[], kind: 'max' | 'average'): Flow {
  // Dimensions of one element are reduced already.
  const real = axes.filter((axis) => flow.shape[axis] !== 1);
  if (real.length === 0) return flow;
  if (flow.shape.length === 4) {
    const x = asImage(flow, real);
    const stored = real.map((axis) => x.axes[axis]);
    if (stored.every((axis) => axis >= 2)) {
      const [rows, columns] = [stored.includes(2), stored.includes(3)];
      const whole = rows && columns && kind === 'average';
      return new Flow(whole ? globalAveragePool(x.value) : poolAll(x.value, kind, rows, columns), x.axes);
    }
    if (stored.join() === '1' && kind === 'average') return new Flow(channelMean(node, x.value), x.axes);
  }
  // One run of neighbours after the other is rows of images that have no channels.
  let value = flow.materialize();
  const shape = [...flow.shape];
  for (const [from, to] of runsOf(real)) {
    const [before, within, behind] = [shape.slice(0, from), shape.slice(from, to), shape.slice(to)].map(sizeOf);
    value = poolAll(reshaped(value, [before, 1, within, behind]), kind, true, false);
    shape.fill(1, from, to);
  }
  return new Flow(reshaped(value, shape));
}

/** Neighbouring dimensions as ranges. */
function runsOf(axes: readonly number[]): [from: number, to: number][] {
  const runs: [number, number][] = [];
  for (const axis of [...new Set(axes)].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.[1] === axis) last[1]++;
    else runs.push([axis, axis + 1]);
  }
  return runs;
}

/** The mean over the channels of every pixel: a convolution. */
function channelMean(node: Node, x: Value): Value {
  const channels = x.shape[1];
  node.spend(channels);
  const data = () => new Float32Array(channels).fill(1 / channels);
  return conv2d(x, node.derived(node.result, 'mean', [1, channels, 1, 1], data, false));
}
