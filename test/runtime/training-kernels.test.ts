import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, input } from '../../src/graph/leaves.js';
import { batchNormTrain, batchStatistics } from '../../src/ops/batch-norm-train.js';
import { dropoutTrain } from '../../src/ops/dropout-train.js';
import * as ops from '../../src/ops/index.js';
import { sumTo } from '../../src/ops/reduce.js';
import type { Shape } from '../../src/tensor/tensor.js';
import { type Case, differentiable, type Operand, pairOfNorms } from '../graph/differentiable.js';
import { gradientGraph, merged, runTraining, type TrainingGraph, trainingError } from './training-support.js';

/** Gradients are sums over the whole batch, in single precision for the most part. */
const BOUND = 5e-6;
/** What is summed to a single number may nearly cancel. */
const CANCELLING = 1e-4;
const cancels = /element-wise|sum to|pointwise/;

const cases = differentiable({ batch: 3, pixels: 13, channels: 37, scaleAnywhere: false });

async function expectExact(training: TrainingGraph, bound = BOUND, relaxed = true) {
  const { error, of } = await trainingError(training, { relaxed });
  expect(error, of).toBeLessThan(bound);
}

const convolution = (x: Shape, weight: Shape, options: ops.Conv2dOptions, data: Partial<Operand> = {}): Case => ({
  operands: {
    x: { shape: x, ...data },
    weight: { shape: weight, parameter: true },
    bias: { shape: [weight[0]], parameter: true },
  },
  build: (v) => ops.conv2d(v.x, v.weight, v.bias, options),
});

const norm = (shape: Shape, activation: 'none' | 'relu', of?: Operand['of']): Case => ({
  operands: {
    x: { shape, of },
    weight: { shape: [shape[1]], parameter: true },
    bias: { shape: [shape[1]], parameter: true },
  },
  build: ({ x, weight, bias }) => batchNormTrain([x, weight, bias, batchStatistics(x)], { epsilon: 1e-5, activation }),
});

describe('the kernels of training agree with the definitions in double precision', () => {
  it.each(Object.entries(cases))('%s, and its gradient', async (name, arbitrary) => {
    await fc.assert(
      fc.asyncProperty(arbitrary, fc.nat(), fc.boolean(), (each, seed, relaxed) =>
        expectExact(gradientGraph(each, seed), cancels.test(name) ? CANCELLING : BOUND, relaxed),
      ),
      { numRuns: 30 },
    );
  });

  // More than one partial sum in each, and a last one that is not full.
  const large: Record<string, Case> = {
    pointwise: convolution([3, 13, 41, 47], [11, 13, 1, 1], {}),
    'three by three': convolution([2, 5, 59, 61], [9, 5, 3, 3], { padding: 1 }),
    strided: convolution([2, 3, 121, 119], [8, 3, 3, 3], { stride: 2, padding: [1, 0, 0, 1] }),
    grouped: convolution([2, 6, 53, 57], [14, 3, 1, 3], { groups: 2, dilation: [1, 2] }),
    depthwise: convolution([2, 19, 53, 51], [19, 1, 5, 5], { groups: 19, padding: 2 }),
    'depthwise, strided': convolution([3, 10, 83, 87], [10, 1, 3, 3], { groups: 10, padding: 1, stride: 2 }),
    'one line of pixels an image': convolution([37, 7, 1, 150], [5, 7, 1, 3], { padding: [0, 1] }),
    'batch norm': norm([3, 29, 45, 41], 'none', (v) => 3 * v + 1),
    'batch norm with ReLU': norm([3, 21, 43, 47], 'relu', (v) => v - 0.1),
    'batch norm of rows': norm([5003, 3], 'relu'),
    'two batch norms': pairOfNorms([3, 22, 43, 41], 'relu', (v) => 2 * v - 0.3),
  };
  it.each(Object.entries(large))('many rows, in several partial sums: %s', async (_, each) => {
    await expectExact(gradientGraph(each, 1));
    await expectExact(gradientGraph(each, 1), BOUND, false);
  });

  it('convolutions of one tap whose output is as large as the input, but not of the same pixels', async () => {
    for (const [size, padding] of [
      [2, [0, 0, 1, 1]],
      [3, [1, 1, 1, 1]],
      [5, [2, 2, 2, 2]],
    ] as const) {
      const options = { stride: 2, padding };
      await expectExact(gradientGraph(convolution([2, 9, size, size], [10, 9, 1, 1], options), 2));
      await expectExact(gradientGraph(convolution([2, 9, size, size], [9, 1, 1, 1], { ...options, groups: 9 }), 2));
    }
  });

  it('the gradient of what only a part was taken of, beside zeros', async () => {
    // A gate of squeeze-excite that is cut off a wider one: its gradient, a sum, is written between the zeros.
    const each: Case = {
      operands: { x: { shape: [3, 5, 4, 6] }, gates: { shape: [3, 11, 1, 1] } },
      build: ({ x, gates }) => ops.mul(x, ops.slice(gates, 2, 7)),
    };
    await expectExact(gradientGraph(each, 3));
    const split: Case = {
      operands: { x: { shape: [2, 10, 5, 3] }, weight: { shape: [6, 4, 3, 3], parameter: true } },
      build: ({ x, weight }) => {
        const [a, b, c] = [ops.slice(x, 0, 3), ops.slice(x, 3, 7), ops.slice(x, 7, 10)];
        return ops.concat([ops.relu(c), ops.conv2d(b, weight, undefined, { padding: 1 }), ops.mul(a, c), a]);
      },
    };
    await expectExact(gradientGraph(split, 3));
  });

  it('weights that are frozen for good', async () => {
    for (const groups of [1, 7]) {
      const each = convolution([2, 7, 9, 8], [7, 7 / groups, 3, 5], { groups, padding: 1, stride: [1, 2] });
      await expectExact({ ...gradientGraph(each, 4), live: [] });
      const plain = convolution([2, 7, 9, 8], [7, 7 / groups, 3, 5], { groups, padding: 2 });
      await expectExact({ ...gradientGraph(plain, 4), live: [] });
    }
  });

  it('the first of several maxima takes the gradient', async () => {
    const ties = (v: number) => Math.max(0, Math.round(2 * v));
    for (const kernel of [2, 3]) {
      const each: Case = {
        operands: { x: { shape: [2, 13, 9, 10], of: ties } },
        build: ({ x }) => ops.maxPool(x, kernel, { stride: 2, padding: 1 }),
      };
      await expectExact(gradientGraph(each, kernel));
    }
  });

  it('batch norm of values far from zero, with an outlier where the sums start', async () => {
    await expectExact(
      gradientGraph(
        norm([4, 9, 17, 19], 'none', (v) => 1000 + v),
        5,
      ),
      1e-3,
    );
    await expectExact(
      gradientGraph(
        norm([4, 9, 17, 19], 'none', (v, i) => (i % (17 * 19) === 0 ? 20 : v)),
        5,
      ),
      1e-4,
    );
  });

  it('sums of a hundred thousand elements', async () => {
    const x = input('x', [1, 10, 100, 100]);
    const data = Float32Array.from({ length: 100_000 }, (_, i) => 1 + (i % 7) / 8);
    const outputs = { all: sumTo([x], [1, 1, 1, 1]), channels: sumTo([x], [1, 10, 1, 1]), line: sumTo([x], [100]) };
    await expectExact({ graph: { inputs: { x }, outputs }, live: [], inputs: { x: data } });
  });

  it('is the same to the bit for any number of threads', async () => {
    const samples = Object.values(cases).flatMap((arbitrary, i) => fc.sample(arbitrary, { numRuns: 2, seed: i + 1 }));
    const all = merged([...samples, ...Object.values(large)].map((each, i) => gradientGraph(each, i)));
    for (const relaxed of [true, false]) {
      const one = await runTraining(all, { threads: 1, relaxed });
      for (const threads of [2, 3]) {
        const other = await runTraining(all, { threads, relaxed });
        // As bits: zeros have signs, and NaN differs from itself.
        for (const [name, data] of Object.entries(one)) {
          expect(Buffer.compare(Buffer.from(other[name].buffer), Buffer.from(data.buffer)), name).toBe(0);
        }
      }
    }
  });
});

describe('dropout in training', () => {
  const mask = async (seed: number, salt: number, p = 0.25) => {
    const x = input('x', [50, 1000]);
    const outputs = { y: dropoutTrain(x, constant([1], [seed]), p, salt) };
    const inputs = { x: new Float32Array(50_000).fill(1) };
    return (await runTraining({ graph: { inputs: { x }, outputs }, live: [], inputs })).y;
  };
  const mean = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length;
  const correlation = (a: Float32Array, b: Float32Array, shift: number) => {
    let sum = 0;
    for (let i = 0; i + shift < a.length; i++) sum += (a[i] - 1) * (b[i + shift] - 1);
    // The variance of an element is p / (1 - p).
    return sum / (a.length - shift) / (0.25 / 0.75);
  };

  it('drops its share, keeps the mean, and depends on seed and salt alone', async () => {
    const y = await mask(1, 0);
    expect(y.filter((v) => v === 0).length / y.length).toBeCloseTo(0.25, 2);
    expect(mean(y)).toBeCloseTo(1, 2);
    expect(new Set(y)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    expect(await mask(1, 0)).toEqual(y);
  });

  it('drops independently from step to step and layer to layer', async () => {
    const y = await mask(1, 0);
    for (const other of [await mask(2, 0), await mask(1, 1), await mask(2, 1)]) {
      for (const shift of [0, 1, 2]) {
        expect(Math.abs(correlation(y, other, shift))).toBeLessThan(0.03);
        expect(Math.abs(correlation(other, y, shift))).toBeLessThan(0.03);
      }
    }
    expect(Math.abs(correlation(y, y, 1))).toBeLessThan(0.03);
  });
});
