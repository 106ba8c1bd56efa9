import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, sameShape } from '../tensor/tensor.js';

/** The softmax of a row, and the sum of its targets. */
function rowOf(logits: Float64Array, targets: Float64Array, start: number, classes: number) {
  const x = logits.subarray(start, start + classes);
  const most = x.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exponentials = x.map((v) => Math.exp(v - most));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  const weight = targets.subarray(start, start + classes).reduce((a, b) => a + b, 0);
  return { softmax: exponentials.map((v) => v / sum), logSum: most + Math.log(sum), weight };
}

/** The mean over the batch of the cross-entropy between softmax(logits) and target probabilities, both `[N, classes]`; `[1]`. */
export const crossEntropyOp = defineOperator<Record<string, never>>({
  name: 'cross_entropy',
  shape([logits, targets]) {
    if (logits.length !== 2 || !sameShape(logits, targets)) {
      throw new GhostkitError(
        `cross_entropy: logits ${formatShape(logits)} and targets ${formatShape(targets)} differ`,
      );
    }
    return [1];
  },
  reference([logits, targets]) {
    const [n, classes] = logits.shape;
    let total = 0;
    for (let i = 0; i < n; i++) {
      const { logSum } = rowOf(logits.data, targets.data, i * classes, classes);
      for (let k = i * classes; k < (i + 1) * classes; k++) total += targets.data[k] * (logSum - logits.data[k]);
    }
    return Float64Array.of(total / n);
  },
  gradient: ([logits, targets], _, grad) => [apply(crossEntropyGradientOp, [logits, targets, grad], {}), undefined],
  lower(value, to) {
    const [logits, targets] = value.inputs.map((v) => to.view(v));
    const operands = [logits, logits.stride, targets, targets.stride, logits.rows, logits.channels];
    to.emit(Opcode.CrossEntropy, [...operands, to.view(value)]);
  },
});

/** The gradient of {@link crossEntropyOp} with respect to the logits. */
const crossEntropyGradientOp = defineOperator<Record<string, never>>({
  name: 'cross_entropy_gradient',
  shape: ([logits]) => logits,
  reference([logits, targets, grad]) {
    const [n, classes] = logits.shape;
    const y = new Float64Array(n * classes);
    for (let i = 0; i < n; i++) {
      const { softmax, weight } = rowOf(logits.data, targets.data, i * classes, classes);
      for (let k = 0; k < classes; k++) {
        y[i * classes + k] = ((softmax[k] * weight - targets.data[i * classes + k]) * grad.data[0]) / n;
      }
    }
    return y;
  },
  lower(value, to) {
    const [logits, targets, grad] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const operands = [logits, logits.stride, targets, targets.stride, logits.rows, logits.channels];
    to.emit(Opcode.CrossEntropyGradient, [...operands, grad, y, y.stride]);
  },
});

/** Softmax cross-entropy of `logits: [N, classes]` with probabilities `targets: [N, classes]` (labels are one-hot, possibly smoothed). */
export function crossEntropy(logits: Value, targets: Value): Value {
  return apply(crossEntropyOp, [logits, targets], {});
}
