import { describe, expect, it } from 'vitest';
import { constant } from '../../src/graph/leaves.js';
import { reparameterize } from '../../src/graph/passes/reparameterize.js';
import { apply, countOps, type Value } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';
import { applied, graphOf, Layers } from './support.js';

const image = [2, 4, 6, 5];
const sum = (...terms: Value[]) => terms.reduce(ops.add);

describe('reparameterize leaves alone', () => {
  const l = new Layers(9);
  const activated = (v: Value) => apply(v.op, v.inputs, { ...(v.attrs as object), activation: 'relu' });
  const cases: Record<string, (x: Value) => Value | Record<string, Value>> = {
    // So much padding that the result is as large as the input.
    'an identity beside a stride': (x) => ops.add(l.depthwise(x, 3, { stride: 2, padding: [4, 3, 3, 3] }), x),
    'different strides': (x) =>
      ops.add(
        l.depthwise(x, 3, { stride: 2, padding: [4, 3, 3, 3] }),
        l.depthwise(x, 3, { stride: [2, 1], padding: [4, 1, 3, 1] }),
      ),
    'a residual around an inner activation': (x) => ops.add(x, l.convBn(ops.relu(l.conv(x, 8, 1)), 4, 1)),
    'an activation between a branch and the sum': (x) => ops.add(ops.relu(l.depthwiseBn(x, 3)), l.bn(x)),
    'a fused activation in a branch': (x) => ops.add(activated(l.depthwise(x, 3)), x),
    'a fused residual or gate in a branch': (x) => {
      const plain = { ...ops.conv2dAttrs({}), activation: 'none' } as const;
      const weight = l.array([4, 4, 1, 1]);
      const residual = ops.conv2dFrom({ x, weight, residual: ops.tanh(x) }, plain);
      return sum(residual, ops.conv2dFrom({ x, weight, scale: ops.globalAveragePool(x) }, plain), x);
    },
    'a fused activation behind an inner sum': (x) =>
      ops.mul(ops.relu(activated(ops.add(l.depthwise(x, 3), x))), constant([], [2])),
    'a branch that is read elsewhere': (x) => {
      const branch = l.depthwiseBn(x, 3);
      return ops.mul(ops.add(branch, x), ops.relu(branch));
    },
    'a convolution in a branch that is read elsewhere': (x) => {
      const conv = l.depthwise(x, 3);
      return { y: ops.add(l.bn(conv), x), z: ops.relu(conv) };
    },
    'a branch that is an output': (x) => {
      const branch = l.depthwiseBn(x, 3);
      return { branch, y: ops.add(branch, x) };
    },
    'a batch norm in front of a padded convolution': (x) => ops.add(l.conv(l.bn(x), 4, 3, { padding: 1 }), x),
    'different sources': (x) => ops.add(l.depthwise(ops.relu(x), 3), l.depthwise(ops.tanh(x), 3)),
    'a weight that is only known at run time': (x) =>
      ops.add(
        ops.conv2d(x, ops.reshape(ops.globalAveragePool(ops.slice(x, 0, 2)), [4, 1, 1, 1]), undefined, { groups: 4 }),
        x,
      ),
    'a gate that is only known at run time': (x) => ops.add(ops.mul(x, ops.globalAveragePool(x)), x),
    'a constant that differs by pixel': (x) => ops.add(ops.mul(x, l.array([1, 1, 6, 5])), x),
    'a branch that is broadcast': (x) => ops.add(l.depthwise(x, 5), l.depthwise(x, 5, { padding: [2, 0, 2, 0] })),
    'a difference and a product': (x) => ops.mul(ops.sub(l.depthwise(x, 3), x), x),
    vectors: (x) => {
      const v = ops.flatten(x);
      return ops.add(v, ops.mul(v, constant([], [2])));
    },
    'dilations that only a larger kernel would hold': (x) =>
      ops.add(l.depthwise(x, 3), l.depthwise(x, 3, { dilation: 2, padding: 2 })),
    'a single branch': (x) => ops.relu(l.bn(ops.mul(l.conv(x, 4, 3), constant([], [2])))),
  };
  it.each(Object.entries(cases))('%s', (_, build) => {
    const graph = graphOf(image, build);
    const result = applied(reparameterize, graph);
    for (const [name, value] of Object.entries(graph.outputs)) expect(result.outputs[name]).toBe(value);
  });

  it('an inner sum that is an output, but merges it itself', () => {
    const graph = graphOf(image, (x) => {
      const inner = ops.add(l.depthwise(x, 3), x);
      return { inner, y: ops.add(inner, l.depthwise(x, 3)) };
    });
    expect(countOps(applied(reparameterize, graph))).toMatchObject({ conv2d: 2, binary: 1 });
  });
});
