import type { Value } from '../../../graph/value.js';
import { batchNorm } from '../../../ops/batch-norm.js';
import { add } from '../../../ops/binary.js';
import { conv2d } from '../../../ops/conv2d.js';
import { linear } from '../../../ops/linear.js';
import { formatShape, type Shape, sameShape } from '../../../tensor/tensor.js';
import { alongChannels } from './dimensions.js';
import type { Node } from './node.js';
import { Flow, type Known, reshaped, type Tensor } from './tensors.js';
import { windowPadding } from './windows.js';

// Layers with weights.

export function importConv(node: Node): Tensor {
  const weight = node.known(1, 'weight');
  const { shape } = weight;
  // A convolution along one dimension is one of images of one row.
  const isFlat = shape.length === 3;
  if (shape.length !== 4 && !isFlat)
    node.fail(`only 1-D and 2-D convolutions are supported, its weight is ${shapeOf(weight)}`);
  const bias = node.optional(2, 'bias');
  if (bias && !sameShape(bias.shape, [shape[0]])) node.fail(`its bias is ${shapeOf(bias)}`);
  const kernel = isFlat ? ([1, shape[2]] as const) : ([shape[2], shape[3]] as const);
  const declared = node.list('kernel_shape');
  if (declared && !sameShape(declared, shape.slice(2)))
    node.fail(`its weight ${shapeOf(weight)} is not of its kernel_shape`);
  const [stride, dilation] = ['strides', 'dilations'].map((name) => node.pair(name, [1, 1], isFlat));
  const groups = node.number('group', 1);
  if (!(Number.isInteger(groups) && groups >= 1)) node.fail(`it has ${groups} groups`);
  if (weight.size === 0) node.fail(`its weight ${shapeOf(weight)} is empty`);
  let x = isFlat ? rowOf(node) : node.image(0);
  // Zeros in front of it are its own.
  const outer = node.context.padded.get(x);
  if (outer && node.text('auto_pad', 'NOTSET') === 'NOTSET') x = outer.x;
  const own = windowPadding(node, x.shape, kernel, stride, dilation);
  const [top, left, bottom, right] = outer && x === outer.x ? outer.padding : [0, 0, 0, 0];
  const padding = [own[0] + top, own[1] + left, own[2] + bottom, own[3] + right] as const;
  const by = isFlat
    ? node.context.leaf(weight.name, [shape[0], shape[1], ...kernel], () => weight.floats(), true)
    : node.leaf(weight, { learnable: true });
  const y = conv2d(x, by, bias && node.leaf(bias, { learnable: true }), { stride, padding, dilation, groups });
  return new Flow(isFlat ? reshaped(y, [y.shape[0], y.shape[1], y.shape[3]]) : y);
}

/** An input `[N,C,L]` as images of one row. */
function rowOf(node: Node): Value {
  const x = node.flow(0).materialize();
  if (x.shape.length !== 3) node.fail(`only [N,C,L] is supported with such a weight, got ${formatShape(x.shape)}`);
  return reshaped(x, [x.shape[0], x.shape[1], 1, x.shape[2]]);
}

const shapeOf = ({ shape }: Known) => formatShape(shape);

export function importBatchNorm(node: Node): Tensor {
  if (node.number('training_mode', 0) !== 0 || node.proto.outputs.filter((name) => name !== '').length > 1) {
    node.fail('it is in training mode; export the model in evaluation mode');
  }
  if (node.number('spatial', 1) !== 1) node.fail('only statistics for each channel are supported');
  const x = node.flow(0).materialize();
  const [weight, bias, runningMean, runningVar] = [1, 2, 3, 4].map((i) =>
    channelLeaf(node, i, ['scale', 'bias', 'mean', 'variance'][i - 1], i < 3),
  );
  const parameters = { weight, bias, runningMean, runningVar };
  return new Flow(batchNorm(x, parameters, { epsilon: node.number('epsilon', 1e-5) }));
}

/** A list of numbers by channel. A layer of one channel has named parameters too. */
export function channelLeaf(node: Node, i: number, what: string, learnable: boolean): Value {
  const known = node.known(i, what);
  return node.context.leaf(known.name, known.shape, () => known.floats(), learnable);
}

export function importGemm(node: Node): Tensor {
  const given = node.flow(0);
  const turned = node.number('transA', 0) !== 0 && given.shape.length === 2;
  const x = (turned ? given.transposed([1, 0]) : given).materialize();
  const weight = node.known(1, 'weight');
  if (x.shape.length !== 2 || weight.shape.length !== 2) node.fail('only a matrix times a matrix is supported');
  const alpha = node.number('alpha', 1);
  const beta = node.number('beta', 1);
  const by = denseWeight(node, weight, node.number('transB', 0) !== 0, alpha);
  if (!node.has(2)) return new Flow(linear(x, by));
  const bias = node.known(2, 'bias');
  const outputs = by.shape[0];
  const perOutput = bias.size === outputs && (bias.shape.at(-1) ?? 1) === outputs;
  if (!perOutput && bias.size !== 1) node.fail(`its bias is ${shapeOf(bias)} for ${outputs} outputs`);
  const scaled = () => {
    const data = bias.floats().map((v) => v * beta);
    return perOutput ? data : new Float32Array(outputs).fill(data[0]);
  };
  node.spend(perOutput ? 0 : outputs);
  const asStored = beta === 1 && perOutput;
  const leaf = asStored
    ? node.context.leaf(bias.name, [outputs], scaled, true)
    : node.derived(bias.name, `scaled${beta}`, [outputs], scaled, true);
  return new Flow(linear(x, by, leaf));
}

/** A weight as `linear` has it, `[outputs, inputs]`. */
function denseWeight(node: Node, weight: Known, transposed: boolean, alpha = 1): Value {
  const [rows, columns] = weight.shape;
  if (weight.size === 0) node.fail(`its weight ${shapeOf(weight)} is empty`);
  const shape: Shape = transposed ? [rows, columns] : [columns, rows];
  const data = () => {
    const from = weight.floats();
    if (alpha !== 1) for (let i = 0; i < from.length; i++) from[i] *= alpha;
    if (transposed) return from;
    const to = new Float32Array(from.length);
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) to[c * rows + r] = from[r * columns + c];
    return to;
  };
  if (transposed && alpha === 1) return node.context.leaf(weight.name, shape, data, true);
  const how = [...(transposed ? [] : ['transposed']), ...(alpha === 1 ? [] : [`scaled${alpha}`])];
  return node.derived(weight.name, how.join('.'), shape, data, true);
}

export function importMatMul(node: Node): Tensor {
  const weight = node.known(1, 'second factor');
  const x = node.flow(0);
  if (weight.shape.length !== 2) node.fail(`only a weight of two dimensions is supported, got ${shapeOf(weight)}`);
  const inputs = x.shape.at(-1);
  if (inputs !== weight.shape[0]) node.fail(`${formatShape(x.shape)} does not fit ${shapeOf(weight)}`);
  return alongChannels([x], x.shape.length - 1, ([value]) => {
    if (value.shape.length === 2) return linear(value, denseWeight(node, weight, false));
    // Of images it is a pointwise convolution.
    const shape = [weight.shape[1], weight.shape[0], 1, 1];
    return conv2d(
      value,
      node.derived(weight.name, 'pointwise', shape, () => transposedFloats(weight), true),
    );
  });
}

function transposedFloats(weight: Known): Float32Array {
  const [rows, columns] = weight.shape;
  const from = weight.floats();
  return Float32Array.from({ length: from.length }, (_, i) => from[(i % rows) * columns + Math.floor(i / rows)]);
}

/** Sums of any number of inputs. */
export function importSum(node: Node): Tensor {
  if (node.inputs.length === 0) node.fail('nothing to sum');
  const values = node.inputs.map((_, i) => node.flow(i).materialize());
  return new Flow(values.reduce((a, b) => add(a, b)));
}
