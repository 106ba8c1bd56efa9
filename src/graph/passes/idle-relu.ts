import { type ActivationName, activationOp } from '../../ops/activation.js';
import { concatOp } from '../../ops/concat.js';
import { dropoutOp } from '../../ops/dropout.js';
import { globalAveragePoolOp, poolOp } from '../../ops/pool.js';
import { reshapeOp } from '../../ops/reshape.js';
import { sliceOp } from '../../ops/slice.js';
import { type Graph, isOp, rewrite, type Value } from '../value.js';

const NEVER_NEGATIVE: readonly (ActivationName | undefined)[] = ['relu', 'relu6', 'hard_sigmoid', 'sigmoid'];

/** Operators whose results are not negative if none of their inputs is. */
const KEEPING = [concatOp, sliceOp, poolOp, globalAveragePoolOp, reshapeOp, dropoutOp] as const;

/** Takes out every ReLU of what is never negative, such as the one that stood behind a convolution that became a Ghost module. */
export function removeIdleRelus(graph: Graph): Graph {
  const positive = new Set<Value>();
  const isPositive = (value: Value) =>
    isOp(value, activationOp)
      ? NEVER_NEGATIVE.includes(value.attrs.kind)
      : NEVER_NEGATIVE.includes((value.attrs as { activation?: ActivationName }).activation) ||
        (KEEPING.some((op) => value.op === (op as unknown)) && value.inputs.every((v) => positive.has(v)));
  return rewrite(graph, (value) => {
    if (isOp(value, activationOp) && value.attrs.kind === 'relu' && positive.has(value.inputs[0])) {
      return value.inputs[0];
    }
    if (isPositive(value)) positive.add(value);
    return value;
  });
}
