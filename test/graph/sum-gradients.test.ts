import { describe, expect, it } from 'vitest';
import { sumGradients } from '../../src/graph/passes/sum-gradients.js';
import { countOps, type Graph, type Value } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';
import type { Shape } from '../../src/tensor/tensor.js';
import { gradientGraph, trainingError } from '../runtime/training-support.js';
import type { Case } from './differentiable.js';

/** A value with several readers: convolutions of the kinds whose gradients have kernels of their own, and what `beside` makes of it. */
function readers(weights: Readonly<Record<string, Shape>>, build: Case['build']): Case {
  const operands = Object.fromEntries(
    Object.entries(weights).map(([name, shape]) => [name, { shape, parameter: true }] as const),
  );
  return { operands: { x: { shape: [2, 6, 9, 10] }, ...operands }, build };
}

const sumOf = (values: Value[]) => values.reduce((a, b) => ops.add(a, b));

/** How many additions go. */
const cases: Record<string, { each: Case; fewer: number }> = {
  'a depthwise convolution beside the value itself': {
    each: readers({ w: [6, 1, 3, 3] }, ({ x, w }) =>
      ops.concat([x, ops.conv2d(x, w, undefined, { groups: 6, padding: 1 })]),
    ),
    fewer: 1,
  },
  'strided convolutions, depthwise, dense and grouped': {
    each: readers({ a: [6, 1, 5, 5], b: [6, 6, 3, 3], c: [6, 3, 1, 1] }, ({ x, a, b, c }) =>
      sumOf([
        ops.conv2d(x, a, undefined, { groups: 6, padding: 2, stride: 2 }),
        ops.conv2d(x, b, undefined, { padding: 1, stride: 2 }),
        ops.conv2d(x, c, undefined, { groups: 2, stride: 2 }),
      ]),
    ),
    fewer: 2,
  },
  'what is no convolution': {
    each: readers({}, ({ x }) => ops.concat([ops.relu(x), ops.sigmoid(x)])),
    fewer: 0,
  },
};

describe('sumGradients', () => {
  it.each(Object.entries(cases))('%s', async (_, { each, fewer }) => {
    const training = gradientGraph(each, 7);
    const graph = sumGradients(training.graph);
    const additions = (of: Graph) => countOps(of).binary ?? 0;
    expect(additions(training.graph) - additions(graph)).toBe(fewer);
    for (const relaxed of [true, false]) {
      const { error, of } = await trainingError({ ...training, graph }, { relaxed });
      expect(error, of).toBeLessThan(5e-6);
    }
  });
});
