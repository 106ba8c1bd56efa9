import { defineOperator, type Operator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { rowsAndChannels } from './shapes.js';

const WEYL = 0x9e3779b9;

/** murmur3's finaliser, as the kernel has it. */
function mixed(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Zeroes a share `p` of the elements and scales the others by `1 / (1 - p)`. Which ones depends on the seed `[1]` and `salt` alone. */
export const dropoutTrainOp: Operator<{ p: number; salt: number }> = defineOperator({
  name: 'dropout_train',
  shape: ([x]) => x,
  reference([x, seed], { attrs: { p, salt }, shape }) {
    const start = mixed((Math.imul(seed.data[0], WEYL) + salt) | 0);
    const share = Math.fround(p);
    const { channels } = rowsAndChannels(shape);
    const pixels = shape.length === 4 ? shape[2] * shape[3] : 1;
    return x.data.map((v, i) => {
      // Elements count in the order in which they are stored: channels last.
      const [image, channel, pixel] = [
        Math.floor(i / (channels * pixels)),
        Math.floor(i / pixels) % channels,
        i % pixels,
      ];
      const at = (image * pixels + pixel) * channels + channel;
      return mixed((Math.imul(at, WEYL) + start) | 0) >>> 8 < share * 2 ** 24 ? 0 : v / (1 - share);
    });
  },
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
