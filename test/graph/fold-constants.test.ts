import { describe, expect, it } from 'vitest';
import { constant, dataOf, nameOf, parameter } from '../../src/graph/leaves.js';
import { foldConstants } from '../../src/graph/passes/fold-constants.js';
import { countOps } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';
import { applied, convolutions, graphOf, Layers } from './support.js';

describe('foldConstants', () => {
  it('computes what depends on no input and keeps the name of the weight', () => {
    const weight = parameter({ name: 'head.weight', shape: [4, 6], data: new Float32Array(24).map((_, i) => i / 8) });
    const graph = graphOf([1, 6, 2, 2], (x) =>
      ops.conv2d(x, ops.reshape(ops.mul(weight, constant([], [2])), [4, 6, 1, 1])),
    );
    const folded = applied(foldConstants, graph);
    expect(countOps(folded)).toEqual({ input: 1, constant: 1, conv2d: 1 });
    const [conv] = convolutions(folded);
    expect(nameOf(conv.inputs[1])).toBe('head.weight');
    expect(dataOf(conv.inputs[1])?.[5]).toBe(1.25);
  });

  it('rounds a chain once', () => {
    const third = ops.div(constant([1], [1]), constant([1], [3]));
    const chain = ops.mul(ops.sub(third, constant([1], [0.333])), constant([1], [3000]));
    const folded = applied(
      foldConstants,
      graphOf([1], (x) => ops.add(x, chain)),
      1e-6,
    );
    expect(dataOf(folded.outputs.y.inputs[1])?.[0]).toBe(Math.fround((1 / 3 - Math.fround(0.333)) * 3000));
  });

  it('leaves everything else alone', () => {
    const layers = new Layers();
    const graph = graphOf([1, 2, 3, 3], (x) => ops.relu(layers.convBn(x, 2, 3)));
    expect(foldConstants(graph).outputs.y).toBe(graph.outputs.y);
  });

  it('folds outputs too', () => {
    const graph = graphOf([1], (x) => ({ x, one: ops.relu(constant([1], [1])) }));
    expect(countOps(applied(foldConstants, graph))).toEqual({ input: 1, constant: 1 });
  });
});
