import { concat as concatChannels } from '../../../ops/concat.js';
import { conv2d } from '../../../ops/conv2d.js';
import { broadcastTo } from '../../../ops/reduce.js';
import { broadcastShapes } from '../../../ops/shapes.js';
import { slice as sliceChannels } from '../../../ops/slice.js';
import { softmax } from '../../../ops/softmax.js';
import { formatShape, type Shape, sameShape } from '../../../tensor/tensor.js';
import { permutationOf, sliceRanges } from './constants.js';
import { alongChannels } from './dimensions.js';
import type { Node } from './node.js';
import { channelOnes, padChannels, padSpatially } from './padding.js';
import { flattened, reshapeTarget, squeezed, unsqueezed } from './shape-rules.js';
import { asImage, Flow, reshaped, type Tensor } from './tensors.js';

// What moves values about.

/** No network's channels are put together of more parts. */
const MOST_RUNS = 256;

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

export function importConcat(node: Node): Tensor {
  if (node.inputs.length === 0) node.fail('nothing to join');
  const flows = node.inputs.map((_, i) => node.flow(i));
  const rank = flows[0].shape.length;
  if (flows.some((flow) => flow.shape.length !== rank)) node.fail('its inputs differ in their number of dimensions');
  const axis = node.axis(node.number('axis') ?? node.fail('its axis is missing'), rank);
  return alongChannels(flows, axis, concatChannels);
}

export function importSlice(node: Node): Tensor {
  const x = node.flow(0);
  let result = x;
  for (const [axis, { first, count, step }] of sliceRanges(node, x.shape).entries()) {
    if (first === 0 && count === x.shape[axis] && step === 1) continue;
    if (count === 0) node.fail(`nothing is left of ${formatShape(x.shape)}`);
    if (step < 1 || (step > 1 && !isPixels(result, axis))) {
      result = gathered(
        node,
        result,
        axis,
        Array.from({ length: count }, (_, i) => first + i * step),
      );
      continue;
    }
    const stop = first + (count - 1) * step + 1;
    if (first > 0 || stop < x.shape[axis]) {
      result = alongChannels([result], axis, ([value]) => sliceChannels(value, first, stop));
    }
    if (step > 1 && count > 1) result = everyPixel(node, asImage(result, [axis]), axis, step);
  }
  return result;
}

/** Whether a dimension is rows or columns of an image. */
const isPixels = (x: Flow, axis: number) => x.shape.length === 4 && asImage(x, [axis]).axes[axis] >= 2;

/** Every `step`-th row or column of an image: a depthwise convolution with ones. */
function everyPixel(node: Node, { value, axes }: Flow, axis: number, step: number): Flow {
  const stride: [number, number] = axes[axis] === 2 ? [step, 1] : [1, step];
  const { ones, channels } = channelOnes(node, value);
  return new Flow(conv2d(value, ones, undefined, { groups: channels, stride }), axes);
}

/** Elements of a dimension, in any order and number: slices, joined again where they do not follow each other. */
function gathered(node: Node, x: Flow, axis: number, places: readonly number[]): Flow {
  const runs: [number, number][] = [];
  for (const place of places) {
    const last = runs.at(-1);
    if (last?.[1] === place) last[1]++;
    else runs.push([place, place + 1]);
  }
  if (runs.length === 0 || runs.length > MOST_RUNS) {
    node.fail(`${runs.length} parts of dimension ${axis} of ${formatShape(x.shape)} are not supported`);
  }
  if (runs.length === 1 && runs[0][0] === 0 && runs[0][1] === x.shape[axis]) return x;
  return alongChannels([x], axis, ([value]) => {
    const parts = runs.map(([from, to]) => sliceChannels(value, from, to));
    return parts.length === 1 ? parts[0] : concatChannels(parts);
  });
}

export function importGather(node: Node): Tensor {
  const x = node.flow(0);
  const indices = node.known(1, 'indices');
  const axis = node.axis(node.number('axis', 0), x.shape.length);
  node.spend(indices.size);
  const places = [...indices.numbers()].map((i) => node.axis(i, x.shape[axis]));
  const result = gathered(node, x, axis, places);
  if (indices.shape.length === 1) return result;
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  return new Flow(reshaped(result.materialize(), shape));
}

/** Channels become blocks of pixels, or the other way round. */
export function importBlocks(node: Node): Tensor {
  const { shape } = node.flow(0);
  const b = node.number('blocksize', 0);
  if (shape.length !== 4 || !(Number.isInteger(b) && b >= 1))
    return node.fail('only images are supported, by a block size');
  const [n, c, h, w] = shape;
  const toSpace = node.opType === 'DepthToSpace';
  if (toSpace ? c % b ** 2 : h % b || w % b) return node.fail(`${formatShape(shape)} has no blocks of ${b}`);
  const columnFirst = toSpace && node.text('mode', 'DCR') === 'CRD';
  const divided = toSpace
    ? columnFirst
      ? [n, c / b ** 2, b, b, h, w]
      : [n, b, b, c / b ** 2, h, w]
    : [n, c, h / b, b, w / b, b];
  const order = toSpace ? (columnFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]) : [0, 3, 5, 1, 2, 4];
  const moved = new Flow(reshaped(node.flow(0).materialize(), divided)).transposed(order).materialize();
  return new Flow(reshaped(moved, toSpace ? [n, c / b ** 2, h * b, w * b] : [n, c * b ** 2, h / b, w / b]));
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
    return alongChannels([x], axis, ([value]) => sliceChannels(value, from, from + part));
  });
}

export function importSoftmax(node: Node): Tensor {
  const x = node.flow(0);
  const rank = x.shape.length;
  const axis = node.axis(node.number('axis', node.context.opset < 13 ? 1 : -1), rank);
  // Before version 13 everything from the axis on was one dimension.
  const rest = x.shape.slice(axis + 1).some((d) => d !== 1);
  if (node.context.opset < 13 && rest) node.fail('a softmax over several dimensions is not supported');
  return alongChannels([x], axis, ([value]) => softmax(value));
}

export function importPad(node: Node): Tensor {
  const mode = node.text('mode', 'constant');
  let x = node.flow(0);
  const rank = x.shape.length;
  const pads = node.listOrInput('pads', 1) ?? node.list('paddings') ?? node.fail('its pads are missing');
  const axes = (node.integers(3, 'axes') ?? x.shape.map((_, i) => i)).map((axis) => node.axis(axis, rank));
  if (pads.length !== 2 * axes.length) node.fail(`it has ${pads.length} pads for ${axes.length} dimensions`);
  if (pads.every((p) => p === 0)) return x;
  if (mode === 'reflect' || mode === 'edge' || mode === 'wrap') {
    return axes.reduce<Flow>((flow, axis, i) => {
      const places = paddedPlaces(node, mode, flow.shape[axis], pads[i], pads[i + axes.length]);
      return gathered(node, flow, axis, places);
    }, x);
  }
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

/** The elements of a dimension that stand in and around it where it is padded with itself. */
function paddedPlaces(node: Node, mode: string, size: number, front: number, back: number): number[] {
  const most = mode === 'reflect' ? size - 1 : size;
  if ([front, back].some((p) => p < 0 || (p > most && mode !== 'edge') || p > MOST_RUNS)) {
    node.fail(`${size} elements cannot be padded by ${front} and ${back} (${mode})`);
  }
  return Array.from({ length: front + size + back }, (_, i) => {
    const at = i - front;
    if (mode === 'wrap') return (at + size) % size;
    if (mode === 'edge') return Math.min(Math.max(at, 0), size - 1);
    return size === 1 ? 0 : size - 1 - Math.abs(size - 1 - Math.abs(at));
  });
}

export function importExpand(node: Node): Tensor {
  const x = node.flow(0);
  const shape = node.integers(1, 'shape') ?? node.fail('its shape is missing');
  const target = broadcastShapes('Expand', x.shape, shape);
  if (sameShape(target, x.shape)) return x;
  if (target.length > 4) node.fail(`at most 4 dimensions can be repeated, got ${formatShape(target)}`);
  return new Flow(broadcastTo(x.materialize(), target));
}
