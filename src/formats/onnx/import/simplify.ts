import { dataOf } from '../../../graph/leaves.js';
import { apply, type Graph, isOp, rewrite, type Value } from '../../../graph/value.js';
import { activationOp, gelu } from '../../../ops/activation.js';
import { type BinaryName, binaryOp } from '../../../ops/binary.js';
import { linear, linearOp } from '../../../ops/linear.js';
import { functionOp } from '../../../ops/math.js';
import { sameShape } from '../../../tensor/tensor.js';

/**
 * Puts operators of the graph in place of what exporters spell out: hard-sigmoid and hard-swish in terms of ReLU6, GELU in terms of the
 * error function, and a bias behind a matrix product.
 */
export function simplify(graph: Graph): Graph {
  return rewrite(
    graph,
    (value) => hardSwishOf(value) ?? hardSigmoidOf(value) ?? geluOf(value) ?? biasOf(value) ?? value,
  );
}

const activation = (x: Value, kind: 'hard_sigmoid' | 'hard_swish') => apply(activationOp, [x], { kind });

const isActivation = (value: Value, kind: string) => isOp(value, activationOp) && value.attrs.kind === kind;

/** The operands of an arithmetic node without an activation. */
function operandsOf(value: Value, kind: BinaryName): readonly Value[] | undefined {
  return isOp(value, binaryOp) && value.attrs.kind === kind && value.attrs.activation === 'none'
    ? value.inputs
    : undefined;
}

/** What is combined with a constant of one element near `number`, on either side unless the order matters. */
function withNumber(value: Value, kind: BinaryName, number: number): Value | undefined {
  const [a, b] = operandsOf(value, kind) ?? [];
  if (!a || !b) return undefined;
  const is = (v: Value) => {
    const data = dataOf(v);
    return data?.length === 1 && Math.abs(data[0] - number) < 1e-6 * Math.abs(number);
  };
  if (is(b) && sameShape(a.shape, value.shape)) return a;
  const turns = kind === 'add' || kind === 'mul';
  return turns && is(a) && sameShape(b.shape, value.shape) ? b : undefined;
}

/** `x` where the value is a sixth of something. */
const sixfold = (value: Value) => withNumber(value, 'div', 6) ?? withNumber(value, 'mul', 1 / 6);

/** `x` where the value is `relu6(x + 3)`. */
function shifted(value: Value): Value | undefined {
  return isActivation(value, 'relu6') ? withNumber(value.inputs[0], 'add', 3) : undefined;
}

function hardSigmoidOf(value: Value): Value | undefined {
  const six = sixfold(value);
  const x = six && shifted(six);
  return x && activation(x, 'hard_sigmoid');
}

function hardSwishOf(value: Value): Value | undefined {
  const [a, b] = operandsOf(value, 'mul') ?? [];
  for (const [x, gate] of [
    [a, b],
    [b, a],
  ]) {
    if (x && gate && isActivation(gate, 'hard_sigmoid') && gate.inputs[0] === x) return activation(x, 'hard_swish');
  }
  const [p, q] = operandsOf(sixfold(value) ?? value, 'mul') ?? [];
  if (!sixfold(value) || !p || !q) return undefined;
  if (shifted(q) === p) return activation(p, 'hard_swish');
  return shifted(p) === q ? activation(q, 'hard_swish') : undefined;
}

/** `x * (erf(x / sqrt(2)) + 1) / 2`, whatever is multiplied first. */
function geluOf(value: Value): Value | undefined {
  const operands = operandsOf(value, 'mul') ?? [];
  const halved = operands.flatMap((operand, i) => {
    const half = withNumber(operand, 'mul', 0.5) ?? withNumber(operand, 'div', 2);
    return half ? [[half, operands[1 - i]]] : [];
  });
  const product = withNumber(value, 'mul', 0.5) ?? withNumber(value, 'div', 2);
  const whole = product && operandsOf(product, 'mul');
  for (const [a, b] of whole ? [...halved, whole] : halved) {
    if (below(b) === a) return gelu(a);
    if (below(a) === b) return gelu(b);
  }
  return undefined;
}

/** `x` where the value is `erf(x / sqrt(2)) + 1`. */
function below(value: Value): Value | undefined {
  const inner = withNumber(value, 'add', 1);
  if (!inner || !isOp(inner, functionOp) || inner.attrs.kind !== 'erf') return undefined;
  const [x] = inner.inputs;
  return withNumber(x, 'div', Math.SQRT2) ?? withNumber(x, 'mul', Math.SQRT1_2);
}

function biasOf(value: Value): Value | undefined {
  const operands = operandsOf(value, 'add') ?? [];
  for (const [i, layer] of operands.entries()) {
    const bias = operands[1 - i];
    if (!isOp(layer, linearOp) || layer.attrs.bias || layer.attrs.activation !== 'none') continue;
    if (dataOf(bias) && sameShape(bias.shape, [layer.shape[1]])) return linear(layer.inputs[0], layer.inputs[1], bias);
  }
  return undefined;
}
