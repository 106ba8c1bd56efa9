import { describe, expect, it } from 'vitest';
import { constant, nameOf } from '../../src/graph/leaves.js';
import { deploy, optimize, removeDropout } from '../../src/graph/passes/deploy.js';
import { countOps, valuesOf } from '../../src/graph/value.js';
import { ghostnet } from '../../src/models/ghostnet.js';
import type { Reparam } from '../../src/models/repghost-module.js';
import { repghostnet } from '../../src/models/repghostnet.js';
import { uniformStream } from '../../src/nn/random.js';
import { trace } from '../../src/nn/trace.js';
import * as ops from '../../src/ops/index.js';
import { applied, convolutions, graphOf, Layers } from './support.js';

const input = [1, 3, 32, 32];

/** A network with batch norms that do something. */
function traced(model: ReturnType<typeof repghostnet> | ReturnType<typeof ghostnet>) {
  model.initialize(1);
  const uniform = uniformStream(2);
  for (const [, p] of model.namedParameters()) if (p.shape.length === 1) p.data = p.data.map(() => 0.5 + uniform());
  return trace(model, { input });
}

describe('deploy and optimize', () => {
  it.each<[Reparam, number]>([
    ['bn', 112],
    ['identity', 80],
    ['bn+identity', 112],
    ['none', 80],
  ])('RepGhostNet with %s', (reparam, batchNorms) => {
    const graph = traced(repghostnet({ width: 0.25, classes: 5, reparam }));
    expect(countOps(graph).batch_norm).toBe(batchNorms);
    const deployed = applied(deploy, graph, 1e-5);
    const { batch_norm, dropout, binary, conv2d } = countOps(deployed);
    // 23 sums and products are left: 15 of 16 shortcuts and 8 gates.
    expect({ batch_norm, dropout, binary, conv2d }).toEqual({ binary: 23, conv2d: countOps(graph).conv2d });
    expect(countOps(applied(optimize, deployed))).toEqual({
      input: 1,
      constant: countOps(deployed).constant,
      parameter: countOps(deployed).parameter,
      conv2d,
      global_average_pool: 8,
      reshape: 1,
      linear: 1,
    });
    // What the original calls its weights, and nothing twice.
    const names = valuesOf(deployed)
      .map(nameOf)
      .filter((name) => name !== undefined);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('blocks.3.0.ghost1.cheap_operation.0.weight');
    expect(names).toContain('blocks.3.0.ghost1.cheap_operation.0.bias');
    expect(countOps(deployed).constant + countOps(deployed).parameter).toBe(names.length);
  });

  it('the forms that were converted before have nothing to merge', () => {
    const graph = traced(repghostnet({ width: 0.25, classes: 5, reparam: 'merged' }));
    expect(countOps(applied(deploy, graph, 1e-5)).conv2d).toBe(countOps(graph).conv2d);
  });

  it('GhostNet, whose ghosts are concatenated', () => {
    const graph = traced(ghostnet({ width: 0.25, classes: 5 }));
    const ready = applied((g) => optimize(deploy(g)), graph, 1e-5);
    const { batch_norm, activation, binary, conv2d, concat } = countOps(ready);
    // A residual beside a concatenation has no convolution to go into.
    expect({ batch_norm, activation, binary }).toEqual({ binary: 11 });
    expect({ conv2d, concat }).toEqual({ conv2d: countOps(graph).conv2d, concat: countOps(graph).concat });
  });

  it('optimize alone keeps every branch and every parameter', () => {
    const graph = traced(repghostnet({ width: 0.25, classes: 5 }));
    const ready = applied(optimize, graph);
    expect(countOps(ready)).toEqual({
      ...countOps(graph),
      activation: undefined,
      dropout: undefined,
      binary: countOps(graph).binary - 7,
    });
  });

  it('folds what is constant before it looks for branches', () => {
    const l = new Layers();
    const weight = ops.reshape(ops.mul(l.array([4, 9]), constant([], [2])), [4, 1, 3, 3]);
    const graph = graphOf([1, 4, 5, 5], (x) =>
      l.bn(ops.add(ops.dropout(ops.conv2d(x, weight, undefined, { padding: 1, groups: 4 }), 0.5), l.bn(x))),
    );
    expect(countOps(applied(deploy, graph))).toEqual({ input: 1, constant: 2, conv2d: 1 });
  });

  it('a merged branch that is one number a channel goes into the convolution in front', () => {
    const l = new Layers();
    const graph = graphOf([1, 4, 5, 5], (x) => {
      const y = l.convBn(x, 6, 3);
      return ops.add(y, l.bn(y));
    });
    const [conv] = convolutions(applied(deploy, graph));
    expect(conv.inputs[1].shape).toEqual([6, 4, 3, 3]);
    expect(countOps(deploy(graph)).conv2d).toBe(1);
  });

  it('removeDropout removes nothing else', () => {
    const graph = graphOf([2, 3], (x) => ops.relu(ops.dropout(ops.dropout(ops.tanh(x), 0.2), 0.1)));
    expect(countOps(applied(removeDropout, graph))).toEqual({ input: 1, activation: 2 });
    expect(removeDropout(graphOf([2], (x) => ({ x, y: ops.dropout(x, 0.5) }))).outputs.y.op.name).toBe('input');
  });
});
