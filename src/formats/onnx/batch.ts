import { type Graph, isOp, type Value, valuesOf } from '../../graph/value.js';
import { broadcastToOp, repeatedBatch } from '../../ops/reduce.js';
import { reshapedBatch, reshapeOp } from '../../ops/reshape.js';
import { GhostkitError } from '../../tensor/error.js';
import { formatShape, type Shape, sameShape } from '../../tensor/tensor.js';

/**
 * The values whose first dimension grows with the batch, once it is certain that the graph means the same for any batch: the shape rules are run again
 * for twice as many images, and every value that depends on an input must be twice as long. Throws otherwise.
 */
export function batchedValues(graph: Graph): Set<Value> {
  const batched = new Set<Value>();
  const batch = Object.values(graph.inputs)[0]?.shape[0] ?? 1;
  const shapes = new Map<Value, Shape>();
  for (const value of Object.values(graph.inputs)) {
    batched.add(value);
    shapes.set(value, doubled(value, value.shape[0]));
  }
  for (const value of valuesOf(graph)) {
    if (shapes.has(value)) continue;
    if (!value.inputs.some((v) => batched.has(v))) {
      shapes.set(value, value.shape);
      continue;
    }
    const wanted = doubled(value, batch);
    if (!sameShape(shapeFor(value, shapes), wanted)) throw fixed(value, 'its result does not follow the batch');
    batched.add(value);
    shapes.set(value, wanted);
  }
  return batched;
}

/** How a file calls the first dimension of a value that grows with the batch `N`. */
export function batchName(graph: Graph, value: Value): string {
  const [{ shape }] = Object.values(graph.inputs);
  const times = value.shape[0] / shape[0];
  return times === 1 ? 'N' : `${times}N`;
}

function doubled(value: Value, batch: number): Shape {
  if (value.shape.length === 0) throw fixed(value, 'it has no batch dimension');
  if (value.shape[0] % batch !== 0) throw fixed(value, 'its first dimension is no multiple of the batch');
  return [2 * value.shape[0], ...value.shape.slice(1)];
}

function shapeFor(value: Value, shapes: ReadonlyMap<Value, Shape>): Shape {
  const inputs = value.inputs.map((v) => shapes.get(v) as Shape);
  try {
    // These carry their results' shapes along; in the file the first dimension is what is left.
    const from = value.inputs[0]?.shape;
    if (isOp(value, reshapeOp))
      return value.op.shape(inputs, { shape: reshapedBatch(value.attrs.shape, from, inputs[0]) });
    if (isOp(value, broadcastToOp)) {
      return value.op.shape(inputs, { ...value.attrs, shape: repeatedBatch(value.attrs.shape, from, inputs[0]) });
    }
    return value.op.shape(inputs, value.attrs);
  } catch (cause) {
    throw fixed(value, (cause as Error).message);
  }
}

function fixed(value: Value, why: string): GhostkitError {
  return new GhostkitError(
    `the batch cannot be left open: ${value.op.name} ${formatShape(value.shape)} needs this batch size (${why}); export without dynamicBatch`,
  );
}
