import { constant } from '../../../graph/leaves.js';
import { apply, type Value } from '../../../graph/value.js';
import { type ActivationName, activationOp, gelu, relu, relu6, sigmoid, tanh } from '../../../ops/activation.js';
import { add, div, maximum, minimum, mul, sub } from '../../../ops/binary.js';
import { erf, exp, log, sqrt } from '../../../ops/math.js';
import { leakyRelu, prelu } from '../../../ops/prelu.js';
import { formatShape } from '../../../tensor/tensor.js';
import { combined } from './broadcast.js';
import type { Node } from './node.js';
import { Flow, Known, reshaped, type Tensor } from './tensors.js';

/** Element-wise functions of one value leave the order of its dimensions as it is. */
const unary =
  (f: (x: Value, node: Node) => Value) =>
  (node: Node): Tensor => {
    const x = node.flow(0);
    return new Flow(f(x.value, node), x.axes);
  };

const activation = (kind: ActivationName) => unary((x) => apply(activationOp, [x], { kind }));

const number = (v: number) => constant([], [v]);
const negative = (x: Value) => mul(x, number(-1));

export const importRelu = activation('relu');
export const importSigmoid = unary(sigmoid);
export const importTanh = unary(tanh);
export const importHardSwish = activation('hard_swish');
export const importNeg = unary(negative);
export const importAbs = unary((x) => add(relu(x), relu(negative(x))));

export const importErf = unary(erf);
export const importExp = unary(exp);
export const importLog = unary(log);
export const importSqrt = unary(sqrt);
export const importReciprocal = unary((x) => div(number(1), x));
export const importSwish = unary((x, node) => mul(x, sigmoid(scaledBy(x, node.number('alpha', 1)))));
export const importSoftplus = unary(softplus);
export const importMish = unary((x) => mul(x, tanh(softplus(x))));
export const importSoftsign = unary((x) => div(x, add(number(1), maximum(x, negative(x)))));

const scaledBy = (x: Value, by: number) => (by === 1 ? x : mul(x, number(by)));

/** `log(1 + e^x)`, in which nothing large is raised. */
function softplus(x: Value): Value {
  return add(relu(x), log(add(number(1), exp(minimum(x, negative(x))))));
}

/** `x` above zero and `alpha * (e^(x / width) - 1)` below. */
const exponential = (x: Value, alpha: number, width = 1) =>
  add(relu(x), mul(sub(exp(minimum(scaledBy(x, 1 / width), number(0))), number(1)), number(alpha)));

export const importElu = unary((x, node) => exponential(x, node.number('alpha', 1)));
export const importCelu = unary((x, node) => exponential(x, node.number('alpha', 1), node.number('alpha', 1)));
export const importSelu = unary((x, node) =>
  mul(exponential(x, node.number('alpha', 1.6732632)), number(node.number('gamma', 1.050701))),
);

export const importGelu = unary((x, node) => {
  if (node.text('approximate', 'none') === 'none') return gelu(x);
  const cubic = add(x, mul(mul(mul(x, x), x), number(0.044715)));
  return mul(mul(x, number(0.5)), add(number(1), tanh(mul(cubic, number(Math.sqrt(2 / Math.PI))))));
});

/** The largest exponent that is multiplied out. */
const MOST_FACTORS = 8;

/** Powers with a fixed exponent. */
export const importPow = unary((x, node) => {
  const exponent = node.scalar(1, 'exponent') as number;
  const whole = Math.abs(exponent);
  const power = (): Value => {
    if (whole === 0.5) return sqrt(x);
    if (!Number.isInteger(whole)) return exp(mul(log(x), number(whole)));
    if (whole < 1 || whole > MOST_FACTORS) return node.fail(`the exponent ${exponent} is not supported`);
    return Array.from({ length: whole }, () => x).reduce((a, b) => mul(a, b));
  };
  return exponent < 0 ? div(number(1), power()) : power();
});

export const importLeakyRelu = unary((x, node) => {
  const alpha = node.number('alpha', 0.01);
  // 0.01 is what can be fused; the attribute is a float32.
  return leakyRelu(x, alpha === Math.fround(0.01) ? undefined : alpha);
});

export const importHardSigmoid = unary((x, node) => {
  const alpha = node.number('alpha', 0.2);
  const beta = node.number('beta', 0.5);
  const paper = Math.abs(alpha - 1 / 6) < 1e-6 && beta === 0.5;
  if (paper) return apply(activationOp, [x], { kind: 'hard_sigmoid' });
  return clamp(add(mul(x, number(alpha)), number(beta)), 0, 1);
});

/** Up to here float32 keeps a sum of a bound and a value to six decimals. */
const SMALL_BOUND = 16;

/** `min(max(x, low), high)`, in rectifiers. */
function clamp(x: Value, low: number, high: number): Value {
  if (low === 0 && high === 6) return relu6(x);
  if (low >= high) return add(mul(relu6(x), number(0)), number(high));
  const above = Number.isFinite(low) ? low : undefined;
  const below = Number.isFinite(high) ? high : undefined;
  const isLarge = [above, below].some((bound) => bound !== undefined && Math.abs(bound) > SMALL_BOUND);
  // Above zero the lower bound, which is taken off and put back, is no larger than the values that stay.
  if (isLarge && high <= 0) return negative(clamp(negative(x), -high, -low));
  if (isLarge && low < 0) return sub(capped(x, high), capped(negative(x), -low));
  const from = above === undefined || above === 0 ? x : sub(x, number(above));
  const back = (y: Value) => (above === undefined || above === 0 ? y : add(y, number(above)));
  if (above === undefined) return below === undefined ? x : sub(number(below), relu(sub(number(below), x)));
  if (below === undefined) return back(relu(from));
  const width = below - above;
  return back(mul(relu6(mul(from, number(6 / width))), number(width / 6)));
}

/** `min(max(x, 0), high)` without a rounding: a sum with a large bound would take most digits of a value. */
function capped(x: Value, high: number): Value {
  if (high === Number.POSITIVE_INFINITY) return relu(x);
  // Powers of two change no digit, and of numbers up to twice the bound the differences are exact. Infinities end at the ReLU6.
  const scale = 2 ** Math.ceil(Math.log2(high / 6));
  const near = mul(relu6(mul(x, number(1 / scale))), number(scale));
  return sub(near, relu(sub(near, number(high))));
}

export const importClip = unary((x, node) => {
  const low = node.number('min') ?? node.scalar(1, 'min') ?? Number.NEGATIVE_INFINITY;
  const high = node.number('max') ?? node.scalar(2, 'max') ?? Number.POSITIVE_INFINITY;
  // The largest float32 is how older exporters write no bound; a bound has a double, by which infinities are stopped.
  const bound = (v: number) => (Math.abs(v) >= 2 ** 127 ? Math.sign(v) * Number.POSITIVE_INFINITY : v);
  return clamp(x, bound(low), bound(high));
});

/** The largest or smallest of any number of values. */
export function importExtreme(node: Node): Tensor {
  const flow = node.inputs.findIndex((input) => input instanceof Flow);
  const other = node.inputs[1 - flow];
  if (node.inputs.length === 2 && other instanceof Known && other.size === 1) return bounded(node, flow);
  const kind = node.opType === 'Max' ? 'max' : 'min';
  return node.inputs.map((_, i) => node.input(i)).reduce((a, b) => combined(node, kind, a, b));
}

/** The larger or smaller of a value and a number. */
function bounded(node: Node, flow: number): Tensor {
  const bound = node.scalar(1 - flow, 'bound') as number;
  const { value, axes } = node.flow(flow);
  const none = Number.POSITIVE_INFINITY;
  const result = new Flow(node.opType === 'Max' ? clamp(value, bound, none) : clamp(value, -none, bound), axes);
  // A number may have more dimensions than the value.
  const missing = node.input(1 - flow).shape.length - axes.length;
  if (missing <= 0) return result;
  return new Flow(reshaped(result.materialize(), [...new Array<number>(missing).fill(1), ...result.shape]));
}

export function importPRelu(node: Node): Tensor {
  const x = node.flow(0).materialize();
  const slope = node.known(1, 'slope');
  const channels = x.shape[1];
  const padded = [...new Array<number>(Math.max(x.shape.length - slope.shape.length, 0)).fill(1), ...slope.shape];
  const perChannel = padded.length === x.shape.length && padded.every((d, i) => d === (i === 1 ? channels : 1));
  if (slope.size !== 1 && !perChannel) node.fail(`a slope of ${formatShape(slope.shape)} is not supported`);
  const parameter = node.context.leaf(slope.name, [slope.size], () => slope.floats(), true);
  return new Flow(prelu(x, parameter));
}
