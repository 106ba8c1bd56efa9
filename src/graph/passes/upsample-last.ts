import { type Conv2dAttrs, conv2dFrom, conv2dOp, conv2dOperands } from '../../ops/conv2d.js';
import { resizeOp } from '../../ops/resize.js';
import { apply, type Graph, isOp, rewrite, type Value } from '../value.js';
import { onlyReadOnce } from './readers.js';

/**
 * Moves an upsampling by repetition behind the pointwise convolution that is its only reader: the same numbers, computed once instead
 * of once for each repetition.
 */
export function upsampleLast(graph: Graph): Graph {
  const onceRead = onlyReadOnce(graph);
  return rewrite(graph, (value, original) => {
    if (!isOp(value, conv2dOp) || !onceRead(original.inputs[0]) || !isPointwise(value)) return value;
    const operands = conv2dOperands(value);
    const { x: resized } = operands;
    if (!isOp(resized, resizeOp) || resized.attrs.mode !== 'nearest') return value;
    const [x] = resized.inputs;
    const { size } = resized.attrs;
    if (size[0] * size[1] <= x.shape[2] * x.shape[3]) return value;
    return apply(resizeOp, [conv2dFrom({ ...operands, x }, value.attrs)], resized.attrs);
  });
}

/** Whether every output pixel depends on the input pixel in its place and on nothing else. */
function isPointwise({ inputs: [, weight], attrs }: Value<Conv2dAttrs>): boolean {
  const { stride, padding, residual, scale } = attrs;
  return (
    weight.shape[2] * weight.shape[3] === 1 && [...stride, ...padding].join() === '1,1,0,0,0,0' && !residual && !scale
  );
}
