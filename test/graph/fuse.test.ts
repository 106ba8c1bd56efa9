import { describe, expect, it } from 'vitest';
import { input } from '../../src/graph/leaves.js';
import { fuse } from '../../src/graph/passes/fuse.js';
import { apply, countOps, type Value } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';
import { applied, convolutions, graphOf, Layers } from './support.js';

const image = [2, 4, 5, 6];
const kinds: ops.ActivationName[] = [
  'relu',
  'relu6',
  'hard_sigmoid',
  'hard_swish',
  'sigmoid',
  'tanh',
  'leaky_relu',
  'gelu',
];

describe('fuse', () => {
  const producers: Record<string, (l: Layers, x: Value) => Value> = {
    conv2d: (l, x) => l.conv(x, 3, 3, { bias: true }),
    linear: (l, x) => ops.linear(ops.flatten(x), l.array([3, 120])),
    batch_norm: (l, x) => l.bn(x),
    binary: (l, x) => ops.mul(x, l.array([5, 6])),
  };
  it.each(Object.entries(producers))('activations into %s', (name, build) => {
    for (const kind of kinds) {
      const graph = graphOf(image, (x) => apply(ops.activationOp, [build(new Layers(), x)], { kind }));
      const { y } = applied(fuse, graph).outputs;
      expect([y.op.name, (y.attrs as { activation: string }).activation]).toEqual([name, kind]);
    }
  });

  it('only one activation, and none into operators that take none', () => {
    const l = new Layers();
    const twice = applied(
      fuse,
      graphOf(image, (x) => ops.relu6(ops.tanh(l.conv(x, 3, 1)))),
    );
    expect(countOps(twice)).toMatchObject({ conv2d: 1, activation: 1 });
    expect(convolutions(twice)[0].attrs.activation).toBe('tanh');
    expect(
      countOps(
        applied(
          fuse,
          graphOf(image, (x) => ops.relu(ops.maxPool(x, 2))),
        ),
      ).activation,
    ).toBe(1);
  });

  it('a residual, and the activation behind the sum', () => {
    const l = new Layers();
    for (const flip of [false, true]) {
      const graph = graphOf(image, (x) => {
        const conv = l.conv(x, 4, 3, { padding: 1, bias: true });
        return ops.relu(flip ? ops.add(x, conv) : ops.add(conv, x));
      });
      const result = applied(fuse, graph);
      expect(countOps(result)).toEqual({ input: 1, constant: 2, conv2d: 1 });
      expect(convolutions(result)[0].attrs).toMatchObject({ residual: true, bias: true, activation: 'relu' });
    }
  });

  it('a residual into the convolution that is computed last', () => {
    const l = new Layers();
    const graph = graphOf(image, (x) => {
      const shortcut = l.conv(x, 3, 1);
      const long = l.conv(ops.relu(l.conv(shortcut, 4, 1)), 3, 1, { name: 'last' });
      const other = l.conv(x, 3, 1, { name: 'other' });
      // The order of the operands does not matter, nor which of them was made first.
      return { a: ops.add(other, ops.maxPool(long, 1)), b: ops.concat([shortcut, long]) };
    });
    expect(countOps(applied(fuse, graph)).binary).toBeUndefined();

    for (const flip of [false, true]) {
      const two = graphOf(image, (x) => {
        const first = l.conv(x, 3, 1);
        const second = l.conv(ops.relu(l.conv(x, 8, 1)), 3, 1);
        return flip ? ops.add(second, first) : ops.add(first, second);
      });
      const result = applied(fuse, two);
      const wanted = two.outputs.y.inputs[1];
      expect(countOps(result)).toMatchObject({ conv2d: 3 });
      // The second operand is computed last.
      expect(result.outputs.y.inputs[1]).toBe(wanted.inputs[1]);
      expect(result.outputs.y.inputs[2].inputs[1]).toBe(two.outputs.y.inputs[0].inputs[1]);
    }
  });

  it('a sum whose activation is fused already', () => {
    const l = new Layers();
    const graph = graphOf(image, (x) => apply(ops.binaryOp, [l.conv(x, 4, 1), x], { kind: 'add', activation: 'relu' }));
    expect(countOps(applied(fuse, graph))).toEqual({ input: 1, constant: 1, conv2d: 1 });
  });

  it('chains of sums, one into each convolution', () => {
    const l = new Layers();
    const graph = graphOf(image, (x) => [1, 2, 3].reduce((sum) => ops.add(sum, l.conv(x, 4, 1)), x));
    expect(countOps(applied(fuse, graph))).toEqual({ input: 1, constant: 3, conv2d: 3 });
  });

  it('a gate of squeeze-and-excitation, from either side, beside residual and activation', () => {
    const l = new Layers();
    for (const flip of [false, true]) {
      const graph = graphOf(image, (x) => {
        const y = ops.relu(l.depthwise(x, 3));
        const gate = ops.hardSigmoid(l.conv(ops.relu(l.conv(ops.globalAveragePool(y), 2, 1)), 4, 1));
        const conv = l.conv(flip ? ops.mul(gate, y) : ops.mul(y, gate), 4, 1);
        return ops.hardSwish(ops.add(x, conv));
      });
      const result = applied(fuse, graph);
      expect(countOps(result)).toEqual({ input: 1, constant: 4, conv2d: 4, global_average_pool: 1 });
      expect(convolutions(result)[3].attrs).toMatchObject({ scale: true, residual: true, activation: 'hard_swish' });
    }
  });

  it('is done after one time', () => {
    const l = new Layers();
    const graph = graphOf(image, (x) => {
      const conv = l.conv(ops.mul(x, ops.globalAveragePool(x)), 4, 1);
      return ops.relu(ops.add(ops.add(conv, x), l.bn(x)));
    });
    const once = applied(fuse, graph);
    expect(countOps(once)).toMatchObject({ conv2d: 1, batch_norm: 1, binary: 1 });
    expect(fuse(once).outputs.y).toBe(once.outputs.y);
  });

  const l = new Layers(3);
  const gated = (x: Value) => ops.mul(x, ops.globalAveragePool(x));
  const untouched: Record<string, (x: Value) => Value | Record<string, Value>> = {
    'an activation whose operand is an output': (x) => {
      const conv = l.conv(x, 3, 1);
      return { conv, y: ops.relu(conv) };
    },
    'an activation whose operand is read elsewhere': (x) => {
      const conv = l.conv(x, 4, 1);
      return { a: ops.relu(conv), b: ops.tanh(conv) };
    },
    'a sum whose convolution is an output': (x) => {
      const conv = l.conv(x, 4, 1);
      return { conv, y: ops.add(conv, x) };
    },
    'a sum whose other operand depends on the convolution': (x) => {
      const conv = l.conv(x, 4, 1);
      return ops.add(conv, ops.maxPool(conv, 1));
    },
    'a convolution and itself': (x) => {
      const conv = l.conv(x, 4, 1);
      return ops.add(conv, conv);
    },
    'a residual that is broadcast': (x) => ops.add(l.conv(x, 4, 1), ops.globalAveragePool(x)),
    'a convolution that is broadcast': (x) => ops.add(l.conv(ops.globalAveragePool(x), 4, 1), x),
    'a product and a difference': (x) => ({ a: ops.mul(l.conv(x, 4, 1), x), b: ops.sub(l.conv(x, 4, 1), x) }),
    'a gate in front of a 3x3 convolution': (x) => l.conv(gated(x), 4, 3),
    'a gate in front of a strided convolution': (x) => l.conv(gated(x), 4, 1, { stride: 2 }),
    'a gate in front of a padded convolution': (x) => l.conv(gated(x), 4, 1, { padding: 1 }),
    'a gate in front of a grouped convolution': (x) => l.conv(gated(x), 4, 1, { groups: 2 }),
    'a gated value that is an output': (x) => {
      const value = gated(x);
      return { value, y: l.conv(value, 3, 1) };
    },
    'a gated value that is read twice': (x) => {
      const value = gated(x);
      return { a: l.conv(value, 3, 1), b: l.conv(value, 3, 1) };
    },
    'a gate in front of another': (x) => {
      const attrs = { ...ops.conv2dAttrs({}), activation: 'none' } as const;
      return ops.conv2dFrom({ x: gated(x), weight: l.array([3, 4, 1, 1]), scale: ops.globalAveragePool(x) }, attrs);
    },
    'a product of pixels': (x) => l.conv(ops.mul(x, ops.tanh(x)), 3, 1),
    'a gate over what is the same for every picture': (x) =>
      l.conv(ops.mul(l.array([1, 4, 5, 6]), ops.globalAveragePool(x)), 3, 1),
    'a gate that is no product': (x) => l.conv(ops.div(x, ops.sigmoid(ops.globalAveragePool(x))), 3, 1),
    'a gate with an activation': (x) => {
      const product = gated(x);
      return l.conv(apply(product.op, product.inputs, { kind: 'mul', activation: 'relu' }), 3, 1);
    },
  };
  it.each(Object.entries(untouched))('leaves alone: %s', (_, build) => {
    const graph = graphOf(image, build);
    const result = applied(fuse, graph);
    for (const [name, value] of Object.entries(graph.outputs)) expect(result.outputs[name]).toBe(value);
  });

  it('a gate for the whole batch is no gate per picture', () => {
    const x = input('x', image);
    const gate = input('gate', [1, 4, 1, 1]);
    const graph = { inputs: { x, gate }, outputs: { y: l.conv(ops.mul(x, gate), 3, 1) } };
    expect(applied(fuse, graph).outputs.y).toBe(graph.outputs.y);
  });

  it('a second sum, and a sum behind an activation, stay sums', () => {
    const second = graphOf(image, (x) => ops.add(ops.add(l.conv(x, 4, 1), x), ops.tanh(x)));
    expect(countOps(applied(fuse, second)).binary).toBe(1);
    const behind = graphOf(image, (x) => ops.add(ops.relu(l.conv(x, 4, 1)), x));
    expect(countOps(applied(fuse, behind)).binary).toBe(1);
  });
});
