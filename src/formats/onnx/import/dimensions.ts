import type { Value } from '../../../graph/value.js';
import { type Shape, sizeOf } from '../../../tensor/tensor.js';
import { Flow, reshaped } from './tensors.js';

/**
 * An operator on channels (dimension 1 of `[N,C]` or `[N,C,H,W]`), of another dimension of the tensors: that one takes the channels' place. It may change
 * how many they are.
 */
export function alongChannels(flows: readonly Flow[], axis: number, f: (values: Value[]) => Value): Flow {
  const [{ axes, shape }] = flows;
  const rank = shape.length;
  if (rank === 2 || rank === 4) {
    const place = axes[axis];
    const order = axes.map((at) => (at === place ? 1 : at === 1 ? place : at));
    return new Flow(f(flows.map((flow) => flow.withAxes(order).value)), order);
  }
  // What is before it counts as images, what is behind it as pixels.
  const [before, behind] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const pixels = sizeOf(behind);
  const folded = (channels: number): Shape =>
    pixels === 1 ? [sizeOf(before), channels] : [sizeOf(before), channels, pixels, 1];
  const result = f(flows.map((flow) => reshaped(flow.materialize(), folded(flow.shape[axis]))));
  return new Flow(reshaped(result, [...before, result.shape[1], ...behind]));
}
