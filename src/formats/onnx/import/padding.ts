import type { Value } from '../../../graph/value.js';
import { conv2d } from '../../../ops/conv2d.js';
import { linear } from '../../../ops/linear.js';
import type { Node } from './node.js';

// Zeros around values, which convolutions with fixed weights put there.

/** The weights of a depthwise convolution that changes nothing. */
export function channelOnes(node: Node, x: Value): { ones: Value; channels: number } {
  const channels = x.shape[1];
  node.spend(channels);
  const data = () => new Float32Array(channels).fill(1);
  return { ones: node.derived(node.result, 'ones', [channels, 1, 1, 1], data, false), channels };
}

/** A value around which `[top, left, bottom, right]` zeros stand: a depthwise convolution with ones. */
export function padSpatially(node: Node, x: Value, padding: readonly [number, number, number, number]): Value {
  const { ones, channels } = channelOnes(node, x);
  const value = conv2d(x, ones, undefined, { groups: channels, padding });
  node.context.padded.set(value, { x, padding });
  return value;
}

/** `front` and `back` channels of zeros around those of `x`: a pointwise convolution with parts of the unit matrix. */
export function padChannels(node: Node, x: Value, front: number, back: number): Value {
  const inner = x.shape[1];
  const outer = front + inner + back;
  node.spend(inner * outer);
  const unit = () => {
    const data = new Float32Array(inner * outer);
    for (let c = 0; c < inner; c++) data[(front + c) * inner + c] = 1;
    return data;
  };
  const image = x.shape.length === 4;
  const kernel = node.derived(node.result, 'unit', image ? [outer, inner, 1, 1] : [outer, inner], unit, false);
  return image ? conv2d(x, kernel) : linear(x, kernel);
}
