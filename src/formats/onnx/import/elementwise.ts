import { constant } from '../../../graph/leaves.js';
import { apply, type Value } from '../../../graph/value.js';
import { type ActivationName, activationOp, relu, relu6, sigmoid, tanh } from '../../../ops/activation.js';
import { type BinaryName, binaryOp } from '../../../ops/binary.js';
import { leakyRelu, prelu } from '../../../ops/prelu.js';
import { formatShape, sameShape, sizeOf } from '../../../tensor/tensor.js';
import { permuted } from './arrays.js';
import type { Node } from './node.js';
import { Flow, type Known, reshaped, type Tensor } from './tensors.js';

/** Element-wise functions of one value leave the order of its dimensions as it is. */
const unary =
  (f: (x: Value, node: Node) => Value) =>
  (node: Node): Tensor => {
    const x = node.flow(0);
    return new Flow(f(x.value, node), x.axes);
  };

const activation = (kind: ActivationName) => unary((x) => apply(activationOp, [x], { kind }));

const binary = (kind: BinaryName) => (a: Value, b: Value) => apply(binaryOp, [a, b], { kind, activation: 'none' });
const [add, sub, mul] = (['add', 'sub', 'mul'] as const).map(binary);
const number = (v: number) => constant([], [v]);
const negative = (x: Value) => mul(x, number(-1));

export const importRelu = activation('relu');
export const importSigmoid = unary(sigmoid);
export const importTanh = unary(tanh);
export const importHardSwish = activation('hard_swish');
export const importNeg = unary(negative);
export const importAbs = unary((x) => add(relu(x), relu(negative(x))));

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

/** The larger or smaller of a value and a number. */
export function importExtreme(node: Node): Tensor {
  const flow = node.inputs.findIndex((input) => input instanceof Flow);
  if (node.inputs.length !== 2 || flow < 0) return node.fail('only a value and a number can be compared');
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

const KINDS: Readonly<Record<string, BinaryName>> = { Add: 'add', Sub: 'sub', Mul: 'mul', Div: 'div' };

export function importBinary(node: Node): Tensor {
  const [a, b] = [node.input(0), node.input(1)];
  const order = orderOf(a, b);
  if (order.length > 4) node.fail(`element-wise operators take at most 4 dimensions, got ${order.length}`);
  const [left, right] = [a, b].map((operand) =>
    operand instanceof Flow ? along(operand, order) : constantAlong(node, operand, order),
  );
  const kind = KINDS[node.opType];
  return new Flow(binary(kind)(left, right), order);
}

/** The order of dimensions in which two operands are computed: that of the first one with as many as the result. */
function orderOf(a: Tensor, b: Tensor): readonly number[] {
  const rank = Math.max(a.shape.length, b.shape.length);
  const flows = [a, b].filter((operand): operand is Flow => operand instanceof Flow && operand.axes.length === rank);
  // An image rather than its gate sets the order: the gate costs nothing to turn.
  const [first] = flows.sort((p, q) => sizeOf(q.shape) - sizeOf(p.shape));
  return first ? first.axes : Array.from({ length: rank }, (_, i) => i);
}

const isPlain = (order: readonly number[]) => order.every((axis, i) => axis === i);

/** A value with its dimensions in that order, ones put in front of them where they are fewer. */
function along(flow: Flow, order: readonly number[]): Value {
  const missing = order.length - flow.axes.length;
  if (missing === 0) return flow.withAxes(order).value;
  const plain = flow.materialize();
  if (isPlain(order)) return plain;
  const whole = reshaped(plain, [...new Array<number>(missing).fill(1), ...plain.shape]);
  return new Flow(whole).withAxes(order).value;
}

function constantAlong(node: Node, known: Known, order: readonly number[]): Value {
  if (isPlain(order) || known.size === 1) {
    // As many ones in front as it takes cost nothing and are left to broadcasting.
    return node.leaf(known);
  }
  const shape = [...new Array<number>(order.length - known.shape.length).fill(1), ...known.shape];
  const turned = new Array<number>(order.length);
  for (const [i, axis] of order.entries()) turned[axis] = shape[i];
  const inverse = order.map((_, axis) => order.indexOf(axis));
  const data = () => Float32Array.from(permuted(known.numbers(), shape, inverse));
  // Arrays are shared by their names: elements along several dimensions stand in another sequence for every order of these.
  const many = turned.filter((d) => d > 1).length > 1;
  if (!many && sameShape(turned, known.shape)) return node.leaf(known);
  return node.derived(known.name, many ? order.join('') : turned.join('x'), turned, data, false);
}
