import type { Shape } from '../tensor/tensor.js';
import type { Operator } from './operator.js';
import type { Quantization } from './quantization.js';

/**
 * A node of the graph and its one result: an operator applied to values. Values are immutable and shared, so a graph is
 * no more than the values that its outputs reach. Every value is a dense array of real numbers, rank 4 means `[N, C, H, W]`; they are stored as
 * float32, or as int8 where the value has a quantisation.
 */
export class Value<A = unknown> {
  constructor(
    readonly op: Operator<A>,
    readonly inputs: readonly Value[],
    readonly attrs: A,
    readonly shape: Shape,
    readonly quantization?: Quantization,
  ) {}
}

/** A static graph: named inputs in, named values out. */
export interface Graph {
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
}

/** Applies an operator: checks its inputs, computes the shape of its result. */
export function apply<A>(op: Operator<A>, inputs: readonly Value[], attrs: A): Value<A> {
  return new Value(
    op,
    inputs,
    attrs,
    op.shape(
      inputs.map((v) => v.shape),
      attrs,
    ),
    op.quantization?.(inputs, attrs),
  );
}

/** Whether `value` is an application of `op`, with the attributes' type known from there on. */
export function isOp<A>(value: Value, op: Operator<A>): value is Value<A> {
  return value.op === (op as unknown);
}

/** All values that `roots` reach, each after its inputs. Iterative: a graph may be deeper than the stack. */
export function topological(roots: Iterable<Value>): Value[] {
  const order: Value[] = [];
  const done = new Set<Value>();
  for (const root of roots) {
    const stack: [Value, number][] = done.has(root) ? [] : [[root, 0]];
    done.add(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const [value, next] = top;
      if (next < value.inputs.length) {
        top[1]++;
        const input = value.inputs[next];
        if (!done.has(input)) {
          done.add(input);
          stack.push([input, 0]);
        }
      } else {
        order.push(value);
        stack.pop();
      }
    }
  }
  return order;
}

/** All values of a graph in an order in which they can be computed. */
export function valuesOf(graph: Graph): Value[] {
  return topological(Object.values(graph.outputs));
}

/** How many values of each operator a graph has, by the operators' names. */
export function countOps(graph: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of valuesOf(graph)) counts[op.name] = (counts[op.name] ?? 0) + 1;
  return counts;
}

/** For every value the values that read it; a graph output counts no extra reader (see {@link outputSet}). */
export function usersOf(graph: Graph): Map<Value, Value[]> {
  const users = new Map<Value, Value[]>();
  for (const value of valuesOf(graph)) {
    for (const input of value.inputs) {
      const list = users.get(input);
      if (list) list.push(value);
      else users.set(input, [value]);
    }
  }
  return users;
}

export function outputSet(graph: Graph): Set<Value> {
  return new Set(Object.values(graph.outputs));
}

/**
 * Rebuilds a graph from its inputs up. `visit` sees each value with its inputs already rebuilt and returns what stands in
 * its place (the value itself to keep it); `original` is the value as it was before the rewrite. Values that are no longer reached
 * are gone: dead code needs no pass of its own.
 */
export function rewrite(graph: Graph, visit: (value: Value, original: Value) => Value): Graph {
  const replaced = new Map<Value, Value>();
  for (const original of valuesOf(graph)) {
    const inputs = original.inputs.map((v) => replaced.get(v) as Value);
    const same = inputs.every((v, i) => v === original.inputs[i]);
    const rebuilt = same ? original : apply(original.op, inputs, original.attrs);
    replaced.set(original, visit(rebuilt, original));
  }
  const outputs = Object.entries(graph.outputs).map(([name, value]) => [name, replaced.get(value) as Value] as const);
  return { inputs: graph.inputs, outputs: Object.fromEntries(outputs) };
}
