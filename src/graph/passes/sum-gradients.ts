import { binaryOp } from '../../ops/binary.js';
import { convInputGradientOp } from '../../ops/conv2d-gradient.js';
import { sameShape } from '../../tensor/tensor.js';
import { apply, type Graph, isOp, rewrite, type Value, valuesOf } from '../value.js';
import { onlyReadOnce } from './readers.js';

/**
 * Where the gradients of a value's readers are added up, lets a convolution's kernel add what is there already to what it computes, instead of
 * writing it to memory for an addition.
 */
export function sumGradients(graph: Graph): Graph {
  const order = new Map(valuesOf(graph).map((value, i) => [value, i]));
  const onceRead = onlyReadOnce(graph);
  return rewrite(graph, (value, original) => {
    if (!isOp(value, binaryOp) || value.attrs.kind !== 'add' || value.attrs.activation !== 'none') return value;
    const takes = (i: number) =>
      onceRead(original.inputs[i]) &&
      isOp(value.inputs[i], convInputGradientOp) &&
      value.inputs[i].inputs.length === 2 &&
      sameShape(value.inputs[0].shape, value.inputs[1].shape);
    const latest = (i: number) => order.get(original.inputs[i]) as number;
    // The one that is computed last: the other is then there already.
    const chosen = [0, 1].filter(takes).sort((i, j) => latest(j) - latest(i))[0];
    if (chosen === undefined) return value;
    const gradient = value.inputs[chosen];
    return apply(gradient.op, [...gradient.inputs, value.inputs[1 - chosen]], gradient.attrs) as Value;
  });
}
