import type { Value } from '../../../graph/value.js';
import { concat as concatChannels } from '../../../ops/concat.js';
import { broadcastShapes } from '../../../ops/shapes.js';
import { slice as sliceChannels } from '../../../ops/slice.js';
import { softmax } from '../../../ops/softmax.js';
import { formatShape, type Shape, sameShape } from '../../../tensor/tensor.js';
import { permutationOf, sliceRanges } from './constants.js';
import { padChannels, padSpatially } from './layers.js';
import type { Node } from './node.js';
import { flattened, reshapeTarget, squeezed, unsqueezed } from './shape-rules.js';
import { asImage, Flow, reshaped, type Tensor } from './tensors.js';

// What moves values about.

const reshaping =
  (rule: (node: Node, shape: Shape) => Shape) =>
  (node: Node): Tensor => {
    const x = node.flow(0);
    const target = rule(node, x.shape);
    return sameShape(target, x.shape) ? x : new Flow(reshaped(x.materialize(), target));
  };

export const importReshape = reshaping(reshapeTarget);
export const importSqueeze = reshaping(squeezed);
export const importUnsqueeze = reshaping(unsqueezed);
export const importFlatten = reshaping(flattened);

export function importTranspose(node: Node): Tensor {
  const x = node.flow(0);
  return x.transposed(permutationOf(node, x.shape.length));
}

/** An operator on channels (dimension 1 of a value), of another dimension of the tensors: that one takes the channels' place. */
function alongChannels(node: Node, flows: readonly Flow[], axis: number, f: (values: Value[]) => Value): Flow {
  const rank = flows[0].shape.length;
  if (rank !== 2 && rank !== 4) node.fail(`only [N,C] and [N,C,H,W] are supported, got ${formatShape(flows[0].shape)}`);
  const [{ axes }] = flows;
  const place = axes[axis];
  const order = axes.map((at) => (at === place ? 1 : at === 1 ? place : at));
  return new Flow(f(flows.map((flow) => flow.withAxes(order).value)), order);
}

export function importConcat(node: Node): Tensor {
  if (node.inputs.length === 0) node.fail('nothing to join');
  const flows = node.inputs.map((_, i) => node.flow(i));
  const rank = flows[0].shape.length;
  if (flows.some((flow) => flow.shape.length !== rank)) node.fail('its inputs differ in their number of dimensions');
  const axis = node.axis(node.number('axis') ?? node.fail('its axis is missing'), rank);
  return alongChannels(node, flows, axis, concatChannels);
}

export function importSlice(node: Node): Tensor {
  const x = node.flow(0);
  let result = x;
  for (const [axis, { first, count, step }] of sliceRanges(node, x.shape).entries()) {
    if (first === 0 && count === x.shape[axis] && step === 1) continue;
    if (step !== 1) node.fail(`steps of ${step} are not supported`);
    if (count === 0) node.fail(`nothing is left of ${formatShape(x.shape)}`);
    result = alongChannels(node, [result], axis, ([value]) => sliceChannels(value, first, first + count));
  }
  return result;
}

/** Several results: slices one behind the other. */
export function importSplit(node: Node): Tensor[] {
  const x = node.flow(0);
  const axis = node.axis(node.number('axis', 0), x.shape.length);
  const count = node.proto.outputs.length;
  if (!(count >= 1 && count <= x.shape[axis])) node.fail(`it has ${count} parts of ${x.shape[axis]}`);
  const declared = node.number('num_outputs', count);
  if (declared !== count) node.fail(`it has ${count} outputs and num_outputs ${declared}`);
  const size = Math.ceil(x.shape[axis] / count);
  const even = Array.from({ length: count }, (_, i) => Math.min(size, x.shape[axis] - i * size));
  const sizes = node.listOrInput('split', 1) ?? even;
  if (sizes.length !== count) node.fail(`it has ${sizes.length} parts for ${count} outputs`);
  if (sizes.some((s) => s < 1) || sizes.reduce((a, b) => a + b, 0) !== x.shape[axis]) {
    node.fail(`its parts ${formatShape(sizes.slice(0, 8))} do not add up to ${x.shape[axis]}`);
  }
  let start = 0;
  return sizes.map((part) => {
    const from = start;
    start += part;
    return alongChannels(node, [x], axis, ([value]) => sliceChannels(value, from, from + part));
  });
}

export function importSoftmax(node: Node): Tensor {
  const x = node.flow(0);
  const rank = x.shape.length;
  const axis = node.axis(node.number('axis', node.context.opset < 13 ? 1 : -1), rank);
  // Before version 13 everything from the axis on was one dimension.
  const rest = x.shape.slice(axis + 1).some((d) => d !== 1);
  if (node.context.opset < 13 && rest) node.fail('a softmax over several dimensions is not supported');
  return alongChannels(node, [x], axis, ([value]) => softmax(value));
}

export function importPad(node: Node): Tensor {
  const mode = node.text('mode', 'constant');
  let x = node.flow(0);
  const rank = x.shape.length;
  const pads = node.listOrInput('pads', 1) ?? node.list('paddings') ?? node.fail('its pads are missing');
  const axes = (node.integers(3, 'axes') ?? x.shape.map((_, i) => i)).map((axis) => node.axis(axis, rank));
  if (pads.length !== 2 * axes.length) node.fail(`it has ${pads.length} pads for ${axes.length} dimensions`);
  if (pads.every((p) => p === 0)) return x;
  x = asImage(
    x,
    axes.filter((_, i) => pads[i] !== 0 || pads[i + axes.length] !== 0),
  );
  const [front, back] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(0)];
  for (const [i, axis] of axes.entries()) {
    front[x.axes[axis]] = pads[i];
    back[x.axes[axis]] = pads[i + axes.length];
  }
  if (mode !== 'constant' || (node.scalar(2, 'value') ?? node.number('value', 0)) !== 0) {
    node.fail('only padding with zeros is supported');
  }
  if ([...front, ...back].some((p) => p < 0 || p > 2 ** 16)) node.fail('its pads must be small and not negative');
  if ((rank !== 2 && rank !== 4) || front[0] + back[0] > 0) node.fail('only channels and pixels can be padded');
  let { value } = x;
  if (front[1] + back[1] > 0) value = padChannels(node, value, front[1], back[1]);
  if ([2, 3].some((axis) => front[axis] + back[axis] > 0)) {
    value = padSpatially(node, value, [front[2], front[3], back[2], back[3]]);
  }
  return new Flow(value, x.axes);
}

/** Only of no effect: an image that is repeated has no operator here. */
export function importExpand(node: Node): Tensor {
  const x = node.flow(0);
  const shape = node.integers(1, 'shape') ?? node.fail('its shape is missing');
  const target = broadcastShapes('Expand', x.shape, shape);
  return sameShape(target, x.shape)
    ? x
    : node.fail(`${formatShape(x.shape)} cannot be repeated to ${formatShape(target)}`);
}
