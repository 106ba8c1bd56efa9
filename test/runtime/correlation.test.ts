import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, input } from '../../src/graph/leaves.js';
import * as ops from '../../src/ops/index.js';
import type { Shape } from '../../src/tensor/tensor.js';
import { executorError, noise } from './support.js';

/** Masks with about a share `p` of their pixels. */
const masks = (name: string, shape: Shape, p: number) =>
  constant(
    shape,
    noise(name, shape).map((v) => (v < 2 * p - 1 ? 1 : 0)),
  );

describe('correlation', () => {
  it('agrees with its definition for masks of any size, empty ones too', async () => {
    const cases = fc.record({
      c: fc.integer({ min: 1, max: 37 }),
      parts: fc.integer({ min: 1, max: 3 }),
      h: fc.integer({ min: 1, max: 9 }),
      w: fc.integer({ min: 2, max: 9 }),
      targetHeight: fc.integer({ min: 1, max: 9 }),
      values: fc.integer({ min: 1, max: 4 }),
      shares: fc.tuple(fc.constantFrom(0, 0.1, 0.5, 1), fc.constantFrom(0, 0.1, 0.5, 1)),
      temperature: fc.constantFrom(0.01, 0.1, 3),
      threads: fc.integer({ min: 1, max: 2 }),
      relaxed: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ c, parts, h, w, targetHeight, values, shares, temperature, ...options }) => {
        const inputs = {
          source: input('source', [1, c, h, w]),
          target: input('target', [1, c, targetHeight, w]),
          values: input('values', [1, values, targetHeight, w]),
        };
        const sourceMasks = masks('s', [parts, h * w], shares[0]);
        const targetMasks = masks('t', [parts, targetHeight * w], shares[1]);
        const y = ops.correlation({ ...inputs, sourceMasks, targetMasks }, temperature);
        // A correlation's error of single precision, through the softmax.
        const bound = 1e-6 + 3e-7 / temperature;
        expect(await executorError({ inputs, outputs: { y } }, options)).toBeLessThan(bound);
      }),
      { numRuns: 30 },
    );
  });

  it('refuses what does not fit', () => {
    const source = input('source', [1, 4, 2, 3]);
    const values = input('values', [1, 3, 2, 3]);
    const good = { source, target: source, values, sourceMasks: input('a', [2, 6]), targetMasks: input('b', [2, 6]) };
    expect(ops.correlation(good, 1).shape).toEqual([2, 6, 3]);
    expect(() => ops.correlation({ ...good, targetMasks: input('b', [1, 6]) }, 1)).toThrow(/^correlation: shapes/);
    expect(() => ops.correlation({ ...good, values: input('v', [1, 5, 2, 3]) }, 1)).toThrow(/^correlation: shapes/);
    expect(() => ops.correlation(good, 0)).toThrow('the temperature must be positive');
  });
});
