import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape } from '../tensor/tensor.js';
import { mul, sub } from './binary.js';
import { sumTo } from './reduce.js';
import { planesOf } from './shapes.js';

/** Softmax over dimension 1 of `[N,C]` or `[N,C,H,W]`. */
export const softmaxOp = defineOperator<Record<string, never>>({
  name: 'softmax',
  shape([x]) {
    if (x.length !== 2 && x.length !== 4)
      throw new GhostkitError(`softmax: takes [N,C] or [N,C,H,W], got ${formatShape(x)}`);
    return x;
  },
  reference([x], { shape }) {
    const [, c] = shape;
    const y = new Float64Array(x.data.length);
    for (const { start, step } of planesOf(shape)) {
      let most = Number.NEGATIVE_INFINITY;
      for (let k = 0; k < c; k++) most = Math.max(most, x.data[start + k * step]);
      let sum = 0;
      for (let k = 0; k < c; k++) {
        const at = start + k * step;
        y[at] = Math.exp(x.data[at] - most);
        sum += y[at];
      }
      for (let k = 0; k < c; k++) y[start + k * step] /= sum;
    }
    return y;
  },
  gradient: ([x], y, grad) => [
    mul(
      y,
      sub(
        grad,
        sumTo(
          [grad, y],
          x.shape.map((d, i) => (i === 1 ? 1 : d)),
        ),
      ),
    ),
  ],
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    to.emit(Opcode.Softmax, [x, x.stride, y, y.stride, y.rows, y.channels]);
  },
  onnx: (value, to) => to.node('Softmax', [to.name(value.inputs[0])], { axis: 1 }),
});

export function softmax(x: Value): Value {
  return apply(softmaxOp, [x], {});
}
