import { constant, dataOf, nameOf } from '../leaves.js';
import type { NdArray } from '../operator.js';
import { type Graph, rewrite, type Value } from '../value.js';

/**
 * Computes, now and in double precision, every value that depends on no graph input. A chain of such values is rounded to float32
 * once, at its end. The result takes the name of the first named array that it is made of, so that a reshaped or
 * scaled weight still says which weight it was.
 */
export function foldConstants(graph: Graph): Graph {
  const known = new Map<Value, NdArray>();
  const read = (value: Value): NdArray | undefined => {
    const exact = known.get(value);
    if (exact) return exact;
    const data = dataOf(value);
    return data && { shape: value.shape, data: Float64Array.from(data) };
  };
  return rewrite(graph, (value) => {
    const { op, inputs, shape } = value;
    if (!op.reference || inputs.length === 0 || !inputs.every((v) => dataOf(v))) return value;
    const data = op.reference(
      inputs.map((v) => read(v) as NdArray),
      value,
    );
    const name = inputs.map(nameOf).find((n) => n !== undefined);
    const folded = constant(shape, Float32Array.from(data), name);
    known.set(folded, { shape, data });
    return folded;
  });
}
