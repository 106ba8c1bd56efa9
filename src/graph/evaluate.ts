import { GhostkitError } from '../tensor/error.js';
import { formatShape, sizeOf } from '../tensor/tensor.js';
import { dataOf, inputOp } from './leaves.js';
import type { NdArray } from './operator.js';
import { type Graph, isOp, type Value, valuesOf } from './value.js';

/**
 * Computes a graph in double precision from the operators' plain definitions. Slow, and the measure of everything that is
 * fast: executors and passes are tested against it.
 */
export function evaluate(graph: Graph, inputs: Readonly<Record<string, Float64Array>>): Record<string, NdArray> {
  const results = new Map<Value, NdArray>();
  for (const value of valuesOf(graph)) {
    results.set(value, { shape: value.shape, data: leaf(value, inputs) ?? reference(value, results) });
  }
  const outputs: Record<string, NdArray> = {};
  for (const [name, value] of Object.entries(graph.outputs)) outputs[name] = results.get(value) as NdArray;
  return outputs;
}

function leaf(value: Value, inputs: Readonly<Record<string, Float64Array>>): Float64Array | undefined {
  if (!isOp(value, inputOp)) {
    const data = dataOf(value);
    return data && Float64Array.from(data);
  }
  const { name } = value.attrs;
  const data = inputs[name];
  if (data?.length !== sizeOf(value.shape)) {
    const got = data ? `${data.length} elements` : 'nothing';
    throw new GhostkitError(`input ${name}: ${formatShape(value.shape)} is needed, got ${got}`);
  }
  return data;
}

function reference(value: Value, results: ReadonlyMap<Value, NdArray>): Float64Array {
  if (!value.op.reference) throw new GhostkitError(`${value.op.name}: has no reference to be computed with`);
  return value.op.reference(
    value.inputs.map((v) => results.get(v) as NdArray),
    value,
  );
}
