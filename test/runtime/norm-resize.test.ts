import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, input } from '../../src/graph/leaves.js';
import { apply, type Value } from '../../src/graph/value.js';
import { compileGraph } from '../../src/nn/compile.js';
import * as ops from '../../src/ops/index.js';
import { executorError, noise, noiseConstant } from './support.js';

const bound = 2e-6;

const image = {
  n: fc.integer({ min: 1, max: 3 }),
  c: fc.integer({ min: 1, max: 37 }),
  h: fc.integer({ min: 1, max: 19 }),
  w: fc.integer({ min: 2, max: 19 }),
  threads: fc.integer({ min: 1, max: 3 }),
  relaxed: fc.boolean(),
};

const graphOf = (x: Value, y: Value) => ({ inputs: { x }, outputs: { y } });

describe('the kernels of the head swap agree with the definitions in double precision', () => {
  it('instance norm: plain, with a scale by channel, with one by image', async () => {
    const cases = fc.record({
      ...image,
      affine: fc.constantFrom('none', 'channel', 'image'),
      activation: fc.constantFrom<ops.ActivationName>('none', 'relu', 'tanh'),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ n, c, h, w, affine, activation, ...options }) => {
        const x = input('x', [n, c, h, w]);
        // Adaptive parameters come out of a wider value, as a projector's slices do.
        const wide = noiseConstant('p', [n, 2 * c + 3]);
        const parameter = (name: string, start: number) =>
          affine === 'channel'
            ? noiseConstant(name, [c])
            : ops.slice(ops.add(wide, constant([1], [0])), start, start + c);
        const inputs = affine === 'none' ? [x] : [x, parameter('scale', 1), parameter('shift', c + 2)];
        const y = apply(ops.instanceNormOp, inputs, { epsilon: 1e-4, affine: affine !== 'none', activation });
        expect(await executorError(graphOf(x, y), options)).toBeLessThan(bound);
      }),
      { numRuns: 60 },
    );
  });

  it('instance norm of many pixels far from zero', async () => {
    const x = input('x', [1, 5, 150, 70]);
    const far = ops.add(x, constant([1, 5, 1, 1], [0, 1, -10, 100, 30]));
    // What is lost is lost in the sum itself: 100 has no more digits.
    expect(await executorError(graphOf(x, ops.instanceNorm(far)))).toBeLessThan(2e-5);
    expect(await executorError(graphOf(x, ops.instanceNorm(x)))).toBeLessThan(bound);
  });

  it('instance norm is the same for any number of threads', async () => {
    const x = input('x', [2, 21, 40, 41]);
    const results = [];
    for (const threads of [1, 2, 3]) {
      const net = await compileGraph(graphOf(x, ops.instanceNorm(x)), { threads });
      results.push(net.run({ x: noise('x', x.shape) }).y.data);
      net.close();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it('convolution to few outputs, and of many small groups', async () => {
    const cases = fc.record({
      ...image,
      h: fc.integer({ min: 4, max: 19 }),
      w: fc.integer({ min: 4, max: 19 }),
      vectors: fc.integer({ min: 4, max: 9 }),
      outputs: fc.integer({ min: 1, max: 4 }),
      stride: fc.integer({ min: 1, max: 2 }),
      residual: fc.boolean(),
      group: fc.integer({ min: 1, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ n, h, w, vectors, outputs, stride, residual, group, ...options }) => {
        const x = input('x', [n, 4 * vectors, h, w]);
        const attrs = { ...ops.conv2dAttrs({ stride, padding: [1, 0, 1, 2] }), activation: 'leaky_relu' as const };
        const operands = {
          x,
          weight: noiseConstant('w', [outputs, 4 * vectors, 3, 3]),
          bias: noiseConstant('b', [outputs]),
        };
        const { shape } = ops.conv2dFrom(operands, attrs);
        const few = ops.conv2dFrom({ ...operands, residual: residual ? noiseConstant('r', shape) : undefined }, attrs);
        const many = ops.conv2d(x, noiseConstant('g', [4 * vectors * group, vectors, 3, 3]), undefined, { groups: 4 });
        const pairs = ops.conv2d(x, noiseConstant('h', [2 * vectors * group, 2, 2, 2]), undefined, {
          groups: 2 * vectors,
        });
        expect(await executorError({ inputs: { x }, outputs: { few, many, pairs } }, options)).toBeLessThan(bound);
      }),
      { numRuns: 40 },
    );
  });

  it('parametric and leaky ReLU, on images and on rows', async () => {
    const cases = fc.record({ ...image, rows: fc.boolean(), slope: fc.constantFrom('channel', 0.2, 0.01) });
    await fc.assert(
      fc.asyncProperty(cases, async ({ n, c, h, w, rows, slope, ...options }) => {
        const x = input('x', rows ? [n, c] : [n, c, h, w]);
        const y = slope === 'channel' ? ops.prelu(x, noiseConstant('s', [c])) : ops.leakyRelu(x, slope as number);
        expect(await executorError(graphOf(x, y), options)).toBeLessThan(bound);
      }),
      { numRuns: 30 },
    );
  });

  it('resizing, nearest and bilinear', async () => {
    const cases = fc.record({
      ...image,
      oh: fc.integer({ min: 1, max: 40 }),
      ow: fc.integer({ min: 1, max: 40 }),
      factor: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ n, c, h, w, oh, ow, factor, ...options }) => {
        const x = input('x', [n, c, h, w]);
        const size = [oh, ow] as const;
        const outputs = {
          nearest: ops.resizeNearest(x, size),
          twice: ops.upsampleNearest(x, factor),
          bilinear: ops.resizeBilinear(x, size),
          aligned: ops.resizeBilinear(x, size, { alignCorners: true }),
        };
        expect(await executorError({ inputs: { x }, outputs }, options)).toBeLessThan(bound);
      }),
      { numRuns: 40 },
    );
  });
});
