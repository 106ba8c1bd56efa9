import { add } from '../../ops/binary.js';
import { broadcastTo } from '../../ops/reduce.js';
import { GhostkitError } from '../../tensor/error.js';
import { constant } from '../leaves.js';
import { topological, type Value } from '../value.js';

/**
 * The gradients of `loss` (one element) with respect to `targets`, as values of the same graph: reverse-mode differentiation by the operators' own
 * rules. A target that the loss does not depend on has the gradient `undefined`. Throws, by name, for an operator without a rule.
 */
export function gradients(loss: Value, targets: readonly Value[]): (Value | undefined)[] {
  const order = topological([loss]);
  const wanted = dependents(order, targets);
  const sums = new Map<Value, Value>([[loss, broadcastTo(constant([1], [1]), loss.shape)]]);
  for (const value of order.reverse()) {
    const grad = sums.get(value);
    if (!grad || !value.inputs.some((input) => wanted.has(input))) continue;
    if (!value.op.gradient) throw new GhostkitError(`${value.op.name} has no gradient: it cannot be trained through`);
    const parts = value.op.gradient(value.inputs, value, grad);
    for (const [i, input] of value.inputs.entries()) {
      const part = parts[i];
      if (!part || !wanted.has(input)) continue;
      const before = sums.get(input);
      sums.set(input, before ? add(before, part) : part);
    }
  }
  return targets.map((target) => sums.get(target));
}

/** The values of `order` that depend on a target, the targets included. */
function dependents(order: readonly Value[], targets: readonly Value[]): Set<Value> {
  const found = new Set<Value>(targets);
  for (const value of order) if (value.inputs.some((input) => found.has(input))) found.add(value);
  return found;
}
