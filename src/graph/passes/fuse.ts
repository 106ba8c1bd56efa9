import { type ActivationName, activationOp } from '../../ops/activation.js';
import { binaryOp } from '../../ops/binary.js';
import { type Conv2dAttrs, conv2dFrom, conv2dOp, conv2dOperands } from '../../ops/conv2d.js';
import { sameShape } from '../../tensor/tensor.js';
import { apply, type Graph, isOp, rewrite, type Value, valuesOf } from '../value.js';
import { onlyReadOnce } from './readers.js';

/**
 * Moves element-wise work into the kernel that produces or reads its operand, so that no activation is written to memory only to be
 * read again: an activation into what it follows, a residual addition into a convolution, a squeeze-excite gate into the
 * pointwise convolution behind it. Whatever has another reader or is a graph output stays as it is.
 */
export function fuse(graph: Graph): Graph {
  const order = new Map(valuesOf(graph).map((value, i) => [value, i]));
  const onceRead = onlyReadOnce(graph);
  // Inputs come before their readers, so conv -> add -> relu grows into one convolution step by step.
  return rewrite(graph, (value, original) => {
    const fusable = (i: number) => onceRead(original.inputs[i]);
    if (isOp(value, activationOp)) return fusable(0) ? fuseActivation(value) : value;
    if (isOp(value, conv2dOp)) return fusable(0) ? fuseGate(value) : value;
    if (isOp(value, binaryOp) && value.attrs.kind === 'add') {
      const latest = (i: number) => order.get(original.inputs[i]) as number;
      const candidates = [0, 1].filter((i) => fusable(i) && takesResidual(value.inputs[i], value));
      // The convolution that is computed last: the other operand is then there already.
      const chosen = candidates.sort((i, j) => latest(j) - latest(i))[0];
      if (chosen !== undefined) {
        // The addition is the convolution's only reader, so the residual cannot depend on the convolution.
        const conv = value.inputs[chosen] as Value<Conv2dAttrs>;
        const operands = { ...conv2dOperands(conv), residual: value.inputs[1 - chosen] };
        return conv2dFrom(operands, { ...conv.attrs, activation: value.attrs.activation });
      }
    }
    return value;
  });
}

function fuseActivation(value: Value<{ kind: ActivationName }>): Value {
  const [x] = value.inputs;
  const attrs = x.attrs as { activation?: ActivationName };
  return attrs.activation === 'none' ? apply(x.op, x.inputs, { ...attrs, activation: value.attrs.kind }) : value;
}

function takesResidual(conv: Value, sum: Value): boolean {
  return (
    isOp(conv, conv2dOp) &&
    conv.attrs.activation === 'none' &&
    !conv.attrs.residual &&
    sum.inputs.every((v) => sameShape(v.shape, sum.shape))
  );
}

function fuseGate(conv: Value<Conv2dAttrs>): Value {
  const { stride, padding, groups, scale } = conv.attrs;
  const operands = conv2dOperands(conv);
  const { x: product, weight } = operands;
  const pointwise =
    sameShape(weight.shape.slice(2), [1, 1]) && groups === 1 && [...stride, ...padding].join() === '1,1,0,0,0,0';
  if (!pointwise || scale) return conv;
  if (!isOp(product, binaryOp) || product.attrs.kind !== 'mul' || product.attrs.activation !== 'none') return conv;
  const gateShape = [product.shape[0], product.shape[1], 1, 1];
  const gate = product.inputs.findLastIndex((v) => sameShape(v.shape, gateShape));
  if (gate < 0 || !sameShape(product.inputs[1 - gate].shape, product.shape)) return conv;
  return conv2dFrom({ ...operands, x: product.inputs[1 - gate], scale: product.inputs[gate] }, conv.attrs);
}
