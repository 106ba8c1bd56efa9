import { constant } from '../graph/leaves.js';
import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { activationOp, LEAKY_SLOPE } from './activation.js';

/**
 * `x` where it is positive, `slope * x` elsewhere: `x: [N,C,H,W]` or `[N,C]`, `slope: [C]` or one number `[1]` (He et al.,
 * arXiv:1502.01852).
 */
export const preluOp = defineOperator<Record<string, never>>({
  name: 'prelu',
  shape([x, slope]) {
    if ((x.length !== 4 && x.length !== 2) || slope.length !== 1 || (slope[0] !== x[1] && slope[0] !== 1)) {
      throw new GhostkitError(`prelu: input ${formatShape(x)} does not fit slope ${formatShape(slope)}`);
    }
    return x;
  },
  reference([x, slope]) {
    const inner = x.data.length / (x.shape[0] * x.shape[1]);
    return x.data.map((v, i) => (v < 0 ? v * slope.data[Math.floor(i / inner) % slope.data.length] : v));
  },
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    const slope = to.constant(value.inputs[1]);
    const slopes = slope.length === 1 ? new Float32Array(y.channels).fill(slope[0]) : slope;
    to.emit(Opcode.PRelu, [x, x.stride, y, y.stride, y.rows, y.channels, to.weights(slopes)]);
  },
  onnx(value, to) {
    const [x, slope] = value.inputs;
    const shape = [slope.shape[0], ...x.shape.slice(2).map(() => 1)];
    const sizes = to.initializer([shape.length], BigInt64Array.from(shape, BigInt));
    return to.node('PRelu', [
      to.name(x),
      shape.length > 1 ? to.node('Reshape', [to.name(slope), sizes]) : to.name(slope),
    ]);
  },
});

/** A learnt slope for each channel below zero. */
export function prelu(x: Value, slope: Value): Value {
  return apply(preluOp, [x, slope], {});
}

/** A fixed slope below zero. PyTorch's default, 0.01, can be fused into other operators; any other is a pass of its own. */
export function leakyRelu(x: Value, slope = LEAKY_SLOPE): Value {
  return slope === LEAKY_SLOPE ? apply(activationOp, [x], { kind: 'leaky_relu' }) : prelu(x, constant([1], [slope]));
}
