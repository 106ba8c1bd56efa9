import { describe, expect, it } from 'vitest';
import { evaluate } from '../../src/graph/evaluate.js';
import { constant, input, parameter } from '../../src/graph/leaves.js';
import { defineOperator } from '../../src/graph/operator.js';
import { apply, countOps } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';

describe('evaluate', () => {
  it('computes inputs, constants and parameters in double precision', () => {
    const a = input('a', [2]);
    const b = input('b', [2]);
    const p = { shape: [2], data: Float32Array.of(10, 20) };
    const sum = ops.add(ops.mul(a, constant([2], [2, 3])), parameter(p));
    const { y, z } = evaluate(
      { inputs: { a, b }, outputs: { y: ops.sub(sum, b), z: a } },
      { a: Float64Array.of(1e-12, 1), b: Float64Array.of(10, 0) },
    );
    expect(y.shape).toEqual([2]);
    expect(y.data[0]).toBeCloseTo(2e-12, 14);
    expect(y.data[1]).toBe(23);
    expect([...z.data]).toEqual([1e-12, 1]);
  });

  it('says which input is missing or has the wrong size', () => {
    const x = input('image', [1, 3]);
    const graph = { inputs: { image: x }, outputs: { y: ops.relu(x) } };
    expect(() => evaluate(graph, {})).toThrow('input image: [1,3] is needed, got nothing');
    expect(() => evaluate(graph, { image: new Float64Array(2) })).toThrow(
      'input image: [1,3] is needed, got 2 elements',
    );
  });

  it('says which operator it cannot compute', () => {
    const x = input('x', [1]);
    const opaque = defineOperator<null>({ name: 'opaque', shape: ([s]) => s });
    expect(() =>
      evaluate({ inputs: { x }, outputs: { y: apply(opaque, [x], null) } }, { x: new Float64Array(1) }),
    ).toThrow('opaque: has no reference');
  });

  it('does not overflow the stack on deep graphs', () => {
    const x = input('x', [1]);
    let y = ops.relu(x);
    for (let i = 0; i < 20_000; i++) y = ops.relu(y);
    const graph = { inputs: { x }, outputs: { y } };
    expect(evaluate(graph, { x: Float64Array.of(3) }).y.data[0]).toBe(3);
    expect(countOps(graph)).toEqual({ input: 1, activation: 20_001 });
  });
});
