import { broadcastToOp, repeatedBatch } from '../../ops/reduce.js';
import { reshapedBatch, reshapeOp } from '../../ops/reshape.js';
import { GhostkitError } from '../../tensor/error.js';
import { formatShape, type Shape } from '../../tensor/tensor.js';
import { input } from '../leaves.js';
import { apply, type Graph, isOp, type Value, valuesOf } from '../value.js';

/**
 * The same graph for an input of another batch or size: every shape rule is run again. Throws a one-line error when an operator does not fit the
 * new shape, or when the name is of no input.
 */
export function reshapeInput(graph: Graph, name: string, shape: Shape): Graph {
  const old = graph.inputs[name];
  if (!old)
    throw new GhostkitError(`there is no input ${name}; the inputs are ${Object.keys(graph.inputs).join(', ')}`);
  if (shape.length !== old.shape.length || shape[1] !== old.shape[1]) {
    throw new GhostkitError(`input ${name}: ${formatShape(old.shape)} cannot become ${formatShape(shape)}`);
  }
  const fresh: Value = input(name, shape);
  const made = new Map<Value, Value>([[old, fresh]]);
  for (const value of valuesOf(graph)) {
    if (made.has(value)) continue;
    const inputs = value.inputs.map((v) => made.get(v) as Value);
    const same = inputs.every((v, i) => v === value.inputs[i]);
    made.set(value, same ? value : apply(value.op, inputs, attrsFor(value, inputs)));
  }
  const outputs = Object.entries(graph.outputs).map(([key, value]) => [key, made.get(value) as Value]);
  return { inputs: { ...graph.inputs, [name]: fresh }, outputs: Object.fromEntries(outputs) };
}

/** Reshapes and repetitions carry their results' shapes along, with the batch in front. */
function attrsFor(value: Value, [x]: readonly Value[]): unknown {
  const from = value.inputs[0]?.shape;
  if (isOp(value, reshapeOp)) return { shape: reshapedBatch(value.attrs.shape, from, x.shape) };
  if (!isOp(value, broadcastToOp)) return value.attrs;
  return { ...value.attrs, shape: repeatedBatch(value.attrs.shape, from, x.shape) };
}
