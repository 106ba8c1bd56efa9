import { constant } from '../../../graph/leaves.js';
import type { Value } from '../../../graph/value.js';
import { add, mul } from '../../../ops/binary.js';
import { conv2d } from '../../../ops/conv2d.js';
import { instanceNorm } from '../../../ops/instance-norm.js';
import { layerNorm } from '../../../ops/layer-norm.js';
import { exp, log } from '../../../ops/math.js';
import { formatShape, type Shape, sizeOf } from '../../../tensor/tensor.js';
import { alongChannels } from './dimensions.js';
import { channelLeaf } from './layers.js';
import type { Node } from './node.js';
import { Flow, type Known, reshaped, type Tensor } from './tensors.js';

// Normalisation by what is normalised itself.

/** A value over whose pixels its channels are normalised: `[N,C,...]` as `[N,C,pixels,1]`. */
const asPlanes = (x: Value, channels = x.shape[1]) =>
  reshaped(x, [x.shape[0], channels, sizeOf(x.shape.slice(1)) / channels, 1]);

export function importInstanceNorm(node: Node): Tensor {
  const [scale, shift] = [channelLeaf(node, 1, 'scale', true), channelLeaf(node, 2, 'bias', true)];
  const x = node.flow(0).materialize();
  if (x.shape.length < 3) node.fail(`only [N,C,...] is supported, got ${formatShape(x.shape)}`);
  const image = x.shape.length === 4 ? x : asPlanes(x);
  return new Flow(reshaped(instanceNorm(image, { scale, shift }, { epsilon: node.number('epsilon', 1e-5) }), x.shape));
}

/** Groups of channels that are normalised together, then a scale and a shift: for each channel, before version 21 for each group. */
export function importGroupNorm(node: Node): Tensor {
  const x = node.flow(0).materialize();
  const groups = node.number('num_groups', 0);
  const channels = x.shape[1];
  if (!(groups >= 1 && channels % groups === 0)) node.fail(`${channels} channels in ${groups} groups`);
  const y = reshaped(instanceNorm(asPlanes(x, groups), undefined, { epsilon: node.number('epsilon', 1e-5) }), x.shape);
  const [scale, shift] = [1, 2].map((i) => perChannel(node, node.known(i, i === 1 ? 'scale' : 'bias'), x.shape));
  return new Flow(add(mul(y, scale), shift));
}

/** Numbers for each channel, or for each group of them, as they broadcast to `shape`. */
function perChannel(node: Node, known: Known, [, channels, ...pixels]: Shape): Value {
  const each = channels / known.size;
  if (known.shape.length !== 1 || !Number.isInteger(each))
    node.fail(`${formatShape(known.shape)} for ${channels} channels`);
  node.spend(channels);
  const data = () => {
    const numbers = known.floats();
    return Float32Array.from({ length: channels }, (_, c) => numbers[Math.floor(c / each)]);
  };
  return node.derived(known.name, `of${channels}`, [channels, ...pixels.map(() => 1)], data, true);
}

export function importLayerNorm(node: Node): Tensor {
  if (node.proto.outputs.filter((name) => name !== '').length > 1) node.fail('means and deviations are not supported');
  const x = node.flow(0);
  const rank = x.shape.length;
  const axis = node.axis(node.number('axis', -1), rank);
  const count = sizeOf(x.shape.slice(axis));
  const scale = affine(node, node.known(1, 'scale'), count);
  const shift = node.has(2) ? affine(node, node.known(2, 'bias'), count) : constant([count], new Float32Array(count));
  const epsilon = node.number('epsilon', 1e-5);
  if (axis === rank - 1) return alongChannels([x], axis, ([value]) => layerNorm(value, { scale, shift }, { epsilon }));
  // All dimensions from there on are one.
  const rows = reshaped(x.materialize(), [sizeOf(x.shape.slice(0, axis)), count]);
  return new Flow(reshaped(layerNorm(rows, { scale, shift }, { epsilon }), x.shape));
}

function affine(node: Node, known: Known, count: number): Value {
  if (known.size !== count) node.fail(`${formatShape(known.shape)} does not fit ${count} elements`);
  return node.context.leaf(known.name, [count], () => known.floats(), true);
}

/** Local response normalisation (Krizhevsky et al., 2012, section 3.3): by the squares of neighbouring channels. */
export function importLrn(node: Node): Tensor {
  const x = node.image(0);
  const channels = x.shape[1];
  const size = node.number('size') ?? node.fail('its size is missing');
  if (!(Number.isInteger(size) && size >= 1)) node.fail(`its size is ${size}`);
  const [alpha, beta, bias] = [node.number('alpha', 1e-4), node.number('beta', 0.75), node.number('bias', 1)];
  node.spend(channels * channels);
  const neighbours = () => {
    const data = new Float32Array(channels * channels);
    for (let c = 0; c < channels; c++) {
      const first = Math.max(c - Math.floor((size - 1) / 2), 0);
      const last = Math.min(c + Math.ceil((size - 1) / 2), channels - 1);
      data.fill(alpha / size, c * channels + first, c * channels + last + 1);
    }
    return data;
  };
  const kernel = node.derived(node.result, 'neighbours', [channels, channels, 1, 1], neighbours, false);
  const base = add(conv2d(mul(x, x), kernel), constant([], [bias]));
  return new Flow(mul(x, exp(mul(log(base), constant([], [-beta])))));
}
