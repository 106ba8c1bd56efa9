import { defineOperator, type Operator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { rowsAndChannels } from './shapes.js';

/** Zeroes a share `p` of the elements and scales the others by `1 / (1 - p)`. Which ones depends on the seed `[1]` and `salt` alone. */
export const dropoutTrainOp: Operator<{ p: number; salt: number }> = defineOperator({
  name: 'dropout_train',
  shape: ([x]) => x,
  gradient: ([, seed], value, grad) => [apply(dropoutTrainOp, [grad, seed], value.attrs), undefined],
  lower(value, to) {
    const [x, seed] = value.inputs.map((v) => to.view(v));
    const y = to.view(value);
    const { rows, channels } = rowsAndChannels(value.shape);
    const { p, salt } = value.attrs;
    to.emit(Opcode.Dropout, [x, x.stride, y, y.stride, rows, channels, { float: p }, seed, salt]);
  },
});

export function dropoutTrain(x: Value, seed: Value, p: number, salt: number): Value {
  return apply(dropoutTrainOp, [x, seed], { p, salt });
}
