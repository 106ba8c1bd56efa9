import { type Graph, isOp, type Value, valuesOf } from '../../graph/value.js';
import { reshapeOp } from '../../ops/reshape.js';
import { GhostkitError } from '../../tensor/error.js';
import { formatShape, type Shape, sameShape } from '../../tensor/tensor.js';

/**
 * The values whose first dimension is the batch, once it is certain that the graph means the same for any batch: the shape rules are
 * run again for one image more, and every value that depends on an input must grow by exactly that. Throws otherwise.
 */
export function batchedValues(graph: Graph): Set<Value> {
  const batched = new Set<Value>();
  const shapes = new Map<Value, Shape>();
  for (const value of Object.values(graph.inputs)) {
    batched.add(value);
    shapes.set(value, oneMore(value));
  }
  for (const value of valuesOf(graph)) {
    if (shapes.has(value)) continue;
    if (!value.inputs.some((v) => batched.has(v))) {
      shapes.set(value, value.shape);
      continue;
    }
    const wanted = oneMore(value);
    if (!sameShape(shapeFor(value, shapes), wanted)) throw fixed(value, 'its result does not follow the batch');
    batched.add(value);
    shapes.set(value, wanted);
  }
  return batched;
}

function oneMore(value: Value): Shape {
  if (value.shape.length === 0) throw fixed(value, 'it has no batch dimension');
  return [value.shape[0] + 1, ...value.shape.slice(1)];
}

function shapeFor(value: Value, shapes: ReadonlyMap<Value, Shape>): Shape {
  const inputs = value.inputs.map((v) => shapes.get(v) as Shape);
  try {
    // A reshape carries its result's shape along; in the file its first dimension is the input's where the two are equal.
    if (isOp(value, reshapeOp)) {
      const { shape } = value.attrs;
      const first = shape[0] === value.inputs[0].shape[0] ? inputs[0][0] : shape[0];
      return value.op.shape(inputs, { shape: [first, ...shape.slice(1)] });
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
