import { type ActivationName, activationOp } from '../../ops/activation.js';
import { binaryOp, mul } from '../../ops/binary.js';
import { conv2dFrom, conv2dOp, conv2dOperands } from '../../ops/conv2d.js';
import { linearOp } from '../../ops/linear.js';
import type { Operator } from '../operator.js';
import { apply, type Graph, isOp, rewrite, usersOf, type Value } from '../value.js';

/** Activations that are no more than bounds: a quantised layer has them for nothing. */
const BOUNDS: readonly ActivationName[] = ['none', 'relu', 'relu6'];

/** Whether a value is a product of an image and a gate `[N,C,1,1]`, and which of its operands is the gate. */
export function gateOf(value: Value): number | undefined {
  if (!isOp(value, binaryOp) || value.attrs.kind !== 'mul' || value.attrs.activation !== 'none') return undefined;
  const { shape, inputs } = value;
  if (shape.length !== 4) return undefined;
  const whole = inputs.findIndex((v) => v.shape.join() === shape.join());
  const gate = inputs.findLastIndex((v) => v.shape.join() === [shape[0], shape[1], 1, 1].join());
  return whole >= 0 && gate >= 0 && whole !== gate ? gate : undefined;
}

/**
 * Takes apart what a quantised kernel does not do in one: a gate and the convolution that reads it, an activation that is more than a bound and
 * the layer in front of it, unless that only computes a gate. What stays in float is fused again later.
 */
export function separate(graph: Graph): Graph {
  const gated = rewrite(graph, (value) => {
    if (!isOp(value, conv2dOp) || !value.attrs.scale) return value;
    const { scale, x, ...operands } = conv2dOperands(value);
    return conv2dFrom({ ...operands, x: mul(x, scale as Value) }, value.attrs);
  });
  const users = usersOf(gated);
  const onlyGate = (value: Value) =>
    users.get(value)?.every((user) => {
      const gate = gateOf(user);
      return gate !== undefined && user.inputs[gate] === value;
    }) ?? false;
  return rewrite(gated, (value, original) => {
    if (!isOp(value, conv2dOp) && !isOp(value, linearOp)) return value;
    const { activation: kind } = value.attrs;
    const dense = !isOp(value, conv2dOp) || (value.attrs.groups === 1 && !value.attrs.residual);
    if (BOUNDS.includes(kind) || (dense && onlyGate(original))) return value;
    const plain = apply(value.op as Operator<unknown>, value.inputs, { ...value.attrs, activation: 'none' });
    return apply(activationOp, [plain], { kind });
  });
}
