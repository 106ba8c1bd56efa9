import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differentiable } from '../graph/differentiable.js';
import { gradientGraph, runTraining, trainingError } from './training-support.js';

/** Gradients are sums over the whole batch, in single precision for the most part. */
const BOUND = 1e-5;

const cases = differentiable({ batch: 3, pixels: 13, channels: 37, scaleAnywhere: false });

describe('the kernels of training agree with the definitions in double precision', () => {
  it.each(Object.entries(cases))('%s, and its gradient', async (_, arbitrary) => {
    const options = fc.record({ threads: fc.integer({ min: 1, max: 3 }), relaxed: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(arbitrary, fc.nat(), options, async (each, seed, how) => {
        const { error, of } = await trainingError(gradientGraph(each, seed), how);
        expect(error, of).toBeLessThan(BOUND);
      }),
      { numRuns: 25 },
    );
  });
});
