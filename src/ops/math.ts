import { constant } from '../graph/leaves.js';
import { defineOperator } from '../graph/operator.js';
import { apply, type Value } from '../graph/value.js';
import { Activation, Opcode } from '../kernels/opcodes.js';
import { div, mul } from './binary.js';
import { erfOf } from './erf.js';

export type FunctionName = 'erf' | 'exp' | 'log' | 'sqrt';

interface FunctionRule {
  readonly code: Activation;
  readonly onnx: string;
  readonly f: (x: number) => number;
  /** The gradient of the input `x` from that of the result `y`. */
  gradient(x: Value, y: Value, grad: Value): Value;
}

const number = (v: number) => constant([], [v]);

const rules: Readonly<Record<FunctionName, FunctionRule>> = {
  erf: {
    code: Activation.Erf,
    onnx: 'Erf',
    f: erfOf,
    gradient: (x, _, grad) => mul(grad, mul(exp(mul(mul(x, x), number(-1))), number(2 / Math.sqrt(Math.PI)))),
  },
  exp: { code: Activation.Exp, onnx: 'Exp', f: Math.exp, gradient: (_, y, grad) => mul(grad, y) },
  log: { code: Activation.Log, onnx: 'Log', f: Math.log, gradient: (x, _, grad) => div(grad, x) },
  sqrt: {
    code: Activation.Sqrt,
    onnx: 'Sqrt',
    f: Math.sqrt,
    gradient: (_, y, grad) => mul(div(grad, y), number(0.5)),
  },
};

/** Element-wise functions that networks are made of but that nothing is fused with. */
export const functionOp = defineOperator<{ kind: FunctionName }>({
  name: 'function',
  shape: ([x]) => x,
  reference: ([x], { attrs: { kind } }) => x.data.map(rules[kind].f),
  gradient: ([x], value, grad) => [rules[value.attrs.kind].gradient(x, value, grad)],
  lower(value, to) {
    const x = to.view(value.inputs[0]);
    const y = to.view(value);
    to.emit(Opcode.Unary, [x, x.stride, y, y.stride, y.rows, y.channels, rules[value.attrs.kind].code]);
  },
  onnx: (value, to) => to.node(rules[value.attrs.kind].onnx, [to.name(value.inputs[0])]),
});

const unary = (kind: FunctionName) => (x: Value) => apply(functionOp, [x], { kind });

/** `2/sqrt(pi)` times the integral of `e^-t^2` from 0 to `x`. */
export const erf = unary('erf');
/** e^x, from e^-87 to e^88. */
export const exp = unary('exp');
/** The natural logarithm; NaN below zero. */
export const log = unary('log');
export const sqrt = unary('sqrt');
