import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';

/** Zeroes a share `p` of the elements while training; the identity everywhere else. */
export const dropoutOp = defineOperator<{ p: number }>({
  name: 'dropout',
  shape: ([x]) => x,
  reference: ([x]) => x.data,
  gradient: (_inputs, _value, grad) => [grad],
  alias(value, to) {
    to.place(value, to.view(value.inputs[0]));
    return true;
  },
  onnx: (value, to) => to.name(value.inputs[0]),
});

export function dropout(x: Value, p: number): Value {
  return p > 0 ? apply(dropoutOp, [x], { p }) : x;
}
