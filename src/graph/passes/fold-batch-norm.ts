import type { ActivationName } from '../../ops/activation.js';
import { conv2dFrom, conv2dOp, conv2dOperands, hasConstantWeight } from '../../ops/conv2d.js';
import { linearOp } from '../../ops/linear.js';
import { constant, dataOf, nameOf } from '../leaves.js';
import { apply, type Graph, isOp, rewrite, type Value } from '../value.js';
import { type Affine, affineOf } from './affine.js';
import { biasNameOf } from './names.js';
import { onlyReadOnce } from './readers.js';

/**
 * Makes a batch norm (or any other affine function per channel) part of the convolution or linear layer in front of it, where
 * the weights are constant and nobody else reads what stands between the two: a result that is also a graph output, or that has
 * another reader, must still exist. Computed in double precision and rounded once; the weight keeps its name.
 */
export function foldBatchNorm(graph: Graph): Graph {
  const foldable = onlyReadOnce(graph);
  return rewrite(graph, (value, original) => {
    const affine = affineOf(value);
    // The rebuilt value's inputs stand where the original's did, so the readers of the original decide.
    if (!affine || !foldable(original.inputs[value.inputs.indexOf(affine.x)])) return value;
    const { activation } = value.attrs as { activation: ActivationName };
    return fold(affine, activation) ?? value;
  });
}

function fold({ x: layer, scale, shift }: Affine, activation: ActivationName): Value | undefined {
  if (isOp(layer, conv2dOp)) {
    if (layer.attrs.activation !== 'none' || layer.attrs.residual || !hasConstantWeight(layer)) return undefined;
    const operands = conv2dOperands(layer);
    const folded = foldArrays(operands.weight, operands.bias, scale, shift);
    return conv2dFrom({ ...operands, ...folded }, { ...layer.attrs, activation });
  }
  if (isOp(layer, linearOp)) {
    const [x, weight, bias] = layer.inputs;
    if (layer.attrs.activation !== 'none' || !dataOf(weight) || (bias && !dataOf(bias))) return undefined;
    const folded = foldArrays(weight, bias, scale, shift);
    return apply(linearOp, [x, folded.weight, folded.bias], { bias: true, activation });
  }
  return undefined;
}

function foldArrays(weight: Value, bias: Value | undefined, scale: Float64Array, shift: Float64Array) {
  const w = dataOf(weight) as Float32Array;
  const b = bias && dataOf(bias);
  const fanIn = w.length / scale.length;
  return {
    weight: constant(
      weight.shape,
      w.map((v, i) => v * scale[Math.floor(i / fanIn)]),
      nameOf(weight),
    ),
    bias: constant(
      [scale.length],
      Float32Array.from(shift, (v, o) => (b ? b[o] * scale[o] : 0) + v),
      (bias && nameOf(bias)) ?? biasNameOf(nameOf(weight)),
    ),
  };
}
