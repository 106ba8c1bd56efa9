import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { GhostkitError } from '../tensor/error.js';
import { rowsAndChannels } from './shapes.js';

/** The images `start` (inclusive) to `end` (exclusive): dimension 0 of the input, in its place. */
export const batchPartOp = defineOperator<{ readonly start: number; readonly end: number }>({
  name: 'batch_part',
  shape([x], { start, end }) {
    if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= x[0])) {
      throw new GhostkitError(`batch_part: images ${start} to ${end} of ${x[0]}`);
    }
    return [end - start, ...x.slice(1)];
  },
  reference([x], { attrs: { start, end } }) {
    const image = x.data.length / x.shape[0];
    return x.data.slice(start * image, end * image);
  },
  alias(value, to) {
    const x = to.view(value.inputs[0]);
    const { rows } = rowsAndChannels(value.shape);
    const before = (rows / value.shape[0]) * value.attrs.start;
    to.place(value, { ...x, offset: x.offset + before * x.stride, rows });
    return true;
  },
});

export function batchPart(x: Value, start: number, end: number): Value {
  return apply(batchPartOp, [x], { start, end });
}
