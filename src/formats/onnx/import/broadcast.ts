import type { Value } from '../../../graph/value.js';
import { apply } from '../../../graph/value.js';
import { type BinaryName, binaryOp } from '../../../ops/binary.js';
import { broadcastShapes } from '../../../ops/shapes.js';
import { formatShape, type Shape, sameShape, sizeOf } from '../../../tensor/tensor.js';
import { permuted } from './arrays.js';
import type { Node } from './node.js';
import { Flow, type Known, reshaped, type Tensor } from './tensors.js';

// Arithmetic of two tensors, in whichever order of dimensions they are.

const KINDS: Readonly<Record<string, BinaryName>> = { Add: 'add', Sub: 'sub', Mul: 'mul', Div: 'div' };

export function importBinary(node: Node): Tensor {
  return combined(node, KINDS[node.opType], node.input(0), node.input(1));
}

/** Two tensors element by element, of which one may be constant. */
export function combined(node: Node, kind: BinaryName, a: Tensor, b: Tensor): Flow {
  const order = orderOf(a, b);
  if (order.length > 4) return merged(node, kind, a, b);
  const [left, right] = [a, b].map((operand) =>
    operand instanceof Flow ? along(operand, order) : constantAlong(node, operand, order),
  );
  return new Flow(binary(kind, left, right), order);
}

const binary = (kind: BinaryName, a: Value, b: Value) => apply(binaryOp, [a, b], { kind, activation: 'none' });

/** More than four dimensions: neighbours along which both are repeated, or neither is, count as one. */
function merged(node: Node, kind: BinaryName, a: Tensor, b: Tensor): Flow {
  const shape = broadcastShapes(node.opType, a.shape, b.shape);
  const [p, q] = [a, b].map((x) => [...new Array<number>(shape.length - x.shape.length).fill(1), ...x.shape]);
  // A dimension of one element in both goes with any.
  const kinds = shape.map((d, i) => (d === 1 ? undefined : `${p[i] === d} ${q[i] === d}`));
  // The batch stays a dimension of its own where that can be.
  const runs = [1, 0].map((apart) => runsOf(kinds, apart)).find((each) => each.length <= 4);
  if (!runs) return node.fail(`${formatShape(a.shape)} and ${formatShape(b.shape)} have too many dimensions`);
  const sizes = (of: Shape) => runs.map((run) => sizeOf(run.map((axis) => of[axis])));
  const [left, right] = [[a, p] as const, [b, q] as const].map(([x, of]) =>
    reshaped(x instanceof Flow ? x.materialize() : node.leaf(x), sizes(of)),
  );
  return new Flow(reshaped(binary(kind, left, right), shape));
}

/** Neighbours of one kind, those behind the first `apart` dimensions. */
function runsOf(kinds: readonly (string | undefined)[], apart: number): number[][] {
  const runs: { axes: number[]; kind?: string }[] = [];
  for (const [i, kind] of kinds.entries()) {
    const last = runs.at(-1);
    if (!last || i <= apart || (kind && last.kind && kind !== last.kind)) runs.push({ axes: [i], kind });
    else {
      last.axes.push(i);
      last.kind ??= kind;
    }
  }
  return runs.map(({ axes }) => axes);
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
