import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, dataOf, input, nameOf } from '../../src/graph/leaves.js';
import { foldBatchNorm } from '../../src/graph/passes/fold-batch-norm.js';
import { apply, countOps, type Value } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';
import { applied, convolutions, graphOf, Layers } from './support.js';

const image = [2, 4, 5, 6];

describe('foldBatchNorm', () => {
  it('folds into convolutions of every kind', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom([1, 1], [2, 1], [1, 3], [4, 2]),
        fc.constantFrom(1, 2, 3),
        fc.constantFrom(1, 2),
        fc.boolean(),
        (seed, [groups, multiple], kernel, stride, bias) => {
          const layers = new Layers(seed);
          const graph = graphOf(image, (x) =>
            layers.convBn(x, groups * multiple, kernel, { groups, stride, padding: [1, 0], bias }),
          );
          const folded = applied(foldBatchNorm, graph);
          expect(countOps(folded)).toEqual({ input: 1, constant: 2, conv2d: 1 });
        },
      ),
      { numRuns: 30 },
    );
  });

  it('names the weight as before and the bias after it', () => {
    const layers = new Layers();
    const names = (name: string | undefined, bias: boolean) => {
      const folded = foldBatchNorm(graphOf(image, (x) => layers.bn(layers.conv(x, 3, 1, { name, bias }), 'bn')));
      return convolutions(folded)[0].inputs.slice(1).map(nameOf);
    };
    expect(names('blocks.0.conv', false)).toEqual(['blocks.0.conv.weight', 'blocks.0.conv.bias']);
    expect(names('blocks.0.conv', true)).toEqual(['blocks.0.conv.weight', 'blocks.0.conv.bias']);
    expect(names(undefined, false)).toEqual([undefined, undefined]);
    const imported = graphOf(image, (x) => layers.bn(ops.conv2d(x, layers.array([3, 4, 1, 1], 'onnx::Conv_7'))));
    expect(convolutions(foldBatchNorm(imported))[0].inputs.slice(1).map(nameOf)).toEqual([
      'onnx::Conv_7',
      'onnx::Conv_7.bias',
    ]);
  });

  it('computes in double precision and rounds once', () => {
    const [w, g, b, m, v] = [0.1, 0.7, 0.3, 0.9, 0.2].map(Math.fround);
    const one = (value: number) => constant([1], [value]);
    const graph = graphOf([1, 1, 2, 2], (x) =>
      ops.batchNorm(ops.conv2d(x, constant([1, 1, 1, 1], [w])), {
        weight: one(g),
        bias: one(b),
        runningMean: one(m),
        runningVar: one(v),
      }),
    );
    const [conv] = convolutions(applied(foldBatchNorm, graph, 1e-6));
    const scale = g / Math.sqrt(v + 1e-5);
    expect(conv.inputs.slice(1).map((i) => dataOf(i)?.[0])).toEqual([
      Math.fround(w * scale),
      Math.fround(b - m * scale),
    ]);
  });

  it('folds into linear layers, keeps a fused activation, and folds chains and other affine functions', () => {
    const layers = new Layers();
    const activated = (x: Value) => apply(x.op, x.inputs, { ...(x.attrs as object), activation: 'relu' });
    const linear = graphOf([3, 6], (x) =>
      activated(layers.bn(ops.linear(x, layers.array([5, 6], 'fc.weight'), layers.array([5], 'fc.bias')))),
    );
    expect(countOps(applied(foldBatchNorm, linear))).toEqual({ input: 1, constant: 2, linear: 1 });

    const unbiased = graphOf([3, 6], (x) => layers.bn(ops.linear(x, layers.array([5, 6], 'fc.weight'))));
    const folded = applied(foldBatchNorm, unbiased);
    expect(folded.outputs.y.inputs.slice(1).map(nameOf)).toEqual(['fc.weight', 'fc.bias']);

    const convolution = graphOf(image, (x) => activated(layers.bn(layers.convBn(x, 3, 3))));
    expect(countOps(applied(foldBatchNorm, convolution))).toEqual({ input: 1, constant: 2, conv2d: 1 });

    const arithmetic = graphOf(image, (x) => {
      const scaled = ops.mul(layers.array([1, 3, 1, 1]), layers.conv(x, 3, 1));
      const shifted = ops.add(ops.sub(scaled, layers.array([3, 1, 1])), constant([], [0.5]));
      return layers.depthwise(ops.sub(constant([1], [2]), ops.div(shifted, constant([1, 1], [4]))), 1);
    });
    expect(countOps(applied(foldBatchNorm, arithmetic))).toEqual({ input: 1, constant: 2, conv2d: 1 });
  });

  it('keeps a squeeze-excite gate: it multiplies the input', () => {
    const layers = new Layers();
    const graph = graphOf(image, (x) =>
      layers.bn(
        ops.conv2dFrom(
          { x, weight: layers.array([3, 4, 1, 1]), scale: ops.globalAveragePool(x) },
          { ...ops.conv2dAttrs({}), activation: 'none' },
        ),
      ),
    );
    expect(countOps(applied(foldBatchNorm, graph)).batch_norm).toBeUndefined();
  });

  const layers = new Layers(5);
  const untouched: Record<string, (x: Value) => Value | Record<string, Value>> = {
    'the convolution is a graph output': (x) => {
      const conv = layers.conv(x, 3, 1);
      return { conv, y: layers.bn(conv) };
    },
    'the convolution has another reader': (x) => {
      const conv = layers.conv(x, 3, 1);
      return ops.mul(layers.bn(conv), conv);
    },
    'two batch norms read the convolution': (x) => {
      const conv = layers.conv(x, 3, 1);
      return ops.concat([layers.bn(conv), layers.bn(conv)]);
    },
    'an activation stands between': (x) => layers.bn(ops.relu(layers.conv(x, 3, 1))),
    'an activation is fused': (x) => {
      const conv = layers.conv(x, 3, 1) as Value<ops.Conv2dAttrs>;
      return layers.bn(apply(conv.op, conv.inputs, { ...conv.attrs, activation: 'relu' }));
    },
    'a residual is fused': (x) =>
      layers.bn(
        ops.conv2dFrom(
          { x, weight: layers.array([4, 4, 1, 1]), residual: x },
          { ...ops.conv2dAttrs({}), activation: 'none' },
        ),
      ),
    'the batch norm comes first: padding is not normalised': (x) => layers.conv(layers.bn(x), 3, 3, { padding: 1 }),
    'the weight is only known at run time': (x) =>
      layers.bn(ops.conv2d(x, ops.reshape(ops.globalAveragePool(x), [2, 4, 1, 1]))),
    'the scale is only known at run time': (x) => ops.mul(layers.conv(x, 4, 1), ops.globalAveragePool(x)),
    'the constant differs by pixel': (x) => ops.mul(layers.conv(x, 4, 1), layers.array([1, 1, 5, 6])),
    'the constant widens the result': (x) => ops.mul(layers.conv(x, 1, 1), layers.array([1, 3, 1, 1])),
  };
  it.each(Object.entries(untouched))('does nothing where %s', (_, build) => {
    const graph = graphOf(image, build);
    expect(countOps(applied(foldBatchNorm, graph))).toEqual(countOps(graph));
  });

  it('keeps a batch norm whose statistics are inputs', () => {
    const x = input('x', [1, 2, 2, 2]);
    const mean = input('mean', [2]);
    const p = {
      weight: layers.array([2]),
      bias: layers.array([2]),
      runningMean: mean,
      runningVar: constant([2], [1, 4]),
    };
    const graph = { inputs: { x, mean }, outputs: { y: ops.batchNorm(layers.conv(x, 2, 1), p) } };
    expect(countOps(applied(foldBatchNorm, graph)).batch_norm).toBe(1);
  });
});
