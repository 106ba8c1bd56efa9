import { describe, expect, it } from 'vitest';
import { constant, input } from '../../../src/graph/leaves.js';
import { apply, type Value, valuesOf } from '../../../src/graph/value.js';
import { ACTIVATIONS } from '../../../src/ops/activation.js';
import * as ops from '../../../src/ops/index.js';
import type { Shape } from '../../../src/tensor/tensor.js';
import { expectSame, noise } from './run.js';

const fixed = (seed: number, ...shape: number[]) => constant(shape, noise(shape, seed));
const positive = (seed: number, ...shape: number[]) =>
  constant(
    shape,
    noise(shape, seed).map((v) => 1 + v / 2),
  );

const image: Shape = [2, 6, 7, 9];
const statistics = (c: number) => ({
  weight: fixed(1, c),
  bias: fixed(2, c),
  runningMean: fixed(3, c),
  runningVar: positive(4, c),
});
const convolution = { stride: [2, 1], padding: [1, 2, 0, 1], dilation: [1, 2], groups: 3 } as const;

/** Small graphs of one operator each: the reference of ghostkit against an implementation by others. */
const cases: Record<string, [Shape, (x: Value) => Value]> = {
  'conv2d, everything at once': [image, (x) => ops.conv2d(x, fixed(1, 9, 2, 3, 2), fixed(2, 9), convolution)],
  'conv2d, pointwise': [image, (x) => ops.conv2d(x, fixed(1, 5, 6, 1, 1))],
  'conv2d, depthwise': [image, (x) => ops.conv2d(x, fixed(1, 6, 1, 5, 5), fixed(2, 6), { padding: 2, groups: 6 })],
  'conv2d, two kernels a channel': [image, (x) => ops.conv2d(x, fixed(1, 12, 1, 3, 3), undefined, { groups: 6 })],
  'conv2d with scale, bias, residual and activation': [
    image,
    (x) =>
      ops.conv2dFrom(
        {
          x,
          weight: fixed(1, 4, 6, 1, 1),
          bias: fixed(2, 4),
          residual: fixed(3, 2, 4, 7, 9),
          scale: fixed(4, 2, 6, 1, 1),
        },
        { ...ops.conv2dAttrs({}), activation: 'hard_swish' },
      ),
  ],
  linear: [[3, 10], (x) => ops.linear(x, fixed(1, 4, 10), fixed(2, 4))],
  'linear without bias': [[3, 10], (x) => ops.linear(x, fixed(1, 4, 10))],
  'linear with an activation': [
    [3, 10],
    (x) => apply(ops.linearOp, [x, fixed(1, 4, 10), fixed(2, 4)], { bias: true, activation: 'tanh' }),
  ],
  'batch norm': [image, (x) => ops.batchNorm(x, statistics(6), { epsilon: 1e-3 })],
  'batch norm of vectors': [[4, 5], (x) => ops.batchNorm(x, statistics(5))],
  'batch norm with an activation': [
    image,
    (x) => {
      const p = statistics(6);
      const attrs = { epsilon: 1e-5, momentum: 0.1, activation: 'relu' } as const;
      return apply(ops.batchNormOp, [x, p.weight, p.bias, p.runningMean, p.runningVar], attrs);
    },
  ],
  'add, same shapes': [image, (x) => ops.add(x, fixed(1, ...image))],
  'sub, one number': [image, (x) => ops.sub(constant([], [0.5]), x)],
  'mul, a number per channel and image': [image, (x) => ops.mul(x, fixed(1, 2, 6, 1, 1))],
  'mul, a number per pixel': [image, (x) => ops.mul(x, fixed(1, 1, 1, 7, 9))],
  'div, lower rank': [image, (x) => ops.div(x, positive(1, 6, 1, 1))],
  'add, both broadcast': [[2, 1, 7, 1], (x) => ops.add(x, fixed(1, 1, 3, 1, 5))],
  'add of vectors with an activation': [
    [2, 5],
    (x) => apply(ops.binaryOp, [x, fixed(1, 5)], { kind: 'add', activation: 'leaky_relu' }),
  ],
  concat: [image, (x) => ops.concat([x, fixed(1, 2, 2, 7, 9), x])],
  'concat of vectors': [[2, 3], (x) => ops.concat([x, fixed(1, 2, 2)])],
  slice: [image, (x) => ops.slice(x, 1, 4)],
  'slice of vectors': [[2, 7], (x) => ops.slice(x, 3, 7)],
  'max pool': [image, (x) => ops.maxPool(x, 3, { stride: 2, padding: 1 })],
  'average pool': [image, (x) => ops.averagePool(x, 2)],
  'average pool, padding counts': [image, (x) => ops.averagePool(x, 3, { stride: 2, padding: 1 })],
  'average pool, padding does not count': [
    image,
    (x) => ops.averagePool(x, 3, { stride: 1, padding: 1, countIncludePad: false }),
  ],
  'global average pool': [image, ops.globalAveragePool],
  'reshape to vectors': [image, ops.flatten],
  'reshape of vectors to images': [[2, 24], (x) => ops.reshape(x, [2, 4, 3, 2])],
  'reshape over the batch': [image, (x) => ops.reshape(x, [4, 3, 9, 7])],
  'reshape to a number': [[1, 1], (x) => ops.reshape(x, [])],
  transpose: [image, (x) => ops.transpose(x, [2, 0, 3, 1])],
  'transpose of a matrix': [[3, 11], (x) => ops.transpose(x, [1, 0])],
  softmax: [[3, 11], ops.softmax],
  'softmax over channels': [image, ops.softmax],
  'instance norm': [image, (x) => ops.instanceNorm(x)],
  'instance norm with a scale by channel': [
    image,
    (x) => ops.instanceNorm(x, { scale: fixed(1, 6), shift: fixed(2, 6) }, { epsilon: 1e-4 }),
  ],
  'adaptive instance norm with an activation': [
    image,
    (x) =>
      apply(ops.instanceNormOp, [x, fixed(1, 2, 6), fixed(2, 2, 6)], {
        epsilon: 1e-4,
        affine: true,
        activation: 'relu',
      }),
  ],
  'layer norm': [image, (x) => ops.layerNorm(x, { scale: fixed(1, 6), shift: fixed(2, 6) })],
  'layer norm of vectors': [
    [4, 5],
    (x) => ops.layerNorm(x, { scale: fixed(1, 5), shift: fixed(2, 5) }, { epsilon: 0.1 }),
  ],
  'error function': [image, ops.erf],
  exponential: [image, ops.exp],
  logarithm: [image, (x) => ops.log(ops.add(ops.relu(x), constant([], [0.25])))],
  'square root': [image, (x) => ops.sqrt(ops.relu(x))],
  maximum: [image, (x) => ops.maximum(x, fixed(1, 6, 1, 1))],
  minimum: [image, (x) => ops.minimum(fixed(1, ...image), x)],
  'parametric ReLU': [image, (x) => ops.prelu(x, fixed(1, 6))],
  'parametric ReLU of vectors': [[4, 5], (x) => ops.prelu(x, fixed(1, 5))],
  'leaky ReLU of another slope': [image, (x) => ops.leakyRelu(x, 0.2)],
  'upsampling, nearest': [image, (x) => ops.upsampleNearest(x, 2)],
  'resize, nearest': [image, (x) => ops.resizeNearest(x, [3, 12])],
  'resize, bilinear': [image, (x) => ops.resizeBilinear(x, [14, 5])],
  'resize, bilinear with aligned corners': [image, (x) => ops.resizeBilinear(x, [13, 18], { alignCorners: true })],
  dropout: [image, (x) => ops.relu(ops.dropout(x, 0.5))],
  'correlation, one pair with an empty target': [
    [1, 7, 4, 5],
    (x) => {
      const mask = (seed: number, ...shape: number[]) =>
        constant(
          shape,
          noise(shape, seed).map((v, i) => (v > 0 && i < 2 * shape[1] ? 1 : 0)),
        );
      const [target, values] = [fixed(1, 1, 7, 3, 2), fixed(2, 1, 3, 3, 2)];
      return ops.correlation(
        { source: x, target, sourceMasks: mask(3, 3, 20), targetMasks: mask(4, 3, 6), values },
        0.05,
      );
    },
  ],
};
for (const kind of ACTIVATIONS) cases[`activation ${kind}`] = [image, (x) => apply(ops.activationOp, [x], { kind })];

const graphOf = ([shape, build]: (typeof cases)[string]) => {
  const x = input('x', shape);
  return { inputs: { x }, outputs: { y: build(x) } };
};

describe('ONNX operators', () => {
  // Scale 6: both bends of ReLU6 and of the hard functions lie inside.
  it.each(Object.entries(cases))('%s', (_, each) => expectSame(graphOf(each), { scale: 6 }));

  it('are all of the operators that have a reference', () => {
    const tested = new Set(Object.values(cases).flatMap((each) => valuesOf(graphOf(each)).map((v) => v.op.name)));
    const known = Object.values(ops).flatMap((op) =>
      typeof op === 'object' && 'reference' in op && 'name' in op ? [op.name] : [],
    );
    expect(known.length).toBeGreaterThan(10);
    expect(known.filter((name) => !tested.has(name))).toEqual([]);
  });
});
