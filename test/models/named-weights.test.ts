import { describe, expect, it } from 'vitest';
import { assignNamedWeights, namedInput, namedTensor } from '../../src/models/named-weights.js';
import { batchNorm, conv2d, sequential } from '../../src/nn/layers.js';
import { fnv1a32, uniformAt } from '../../src/nn/random.js';

describe('named weights', () => {
  it('hash and mix like FNV-1a and murmur3', () => {
    expect(fnv1a32('')).toBe(0x811c9dc5);
    expect(fnv1a32('foobar')).toBe(0xbf9cf968);
    expect(fnv1a32('ü')).toBe(fnv1a32('\u00fc'));
    expect(uniformAt(0, 0)).toBe(0);
    expect(uniformAt(1, 0) * 2 ** 32).toBe(0x514e28b7);
  });

  it('follow the kind of parameter', () => {
    const range = (name: string, shape: number[]) => {
      const { data } = namedTensor(name, shape);
      return [Math.min(...data), Math.max(...data)];
    };
    const within = (name: string, shape: number[], low: number, high: number) => {
      const [min, max] = range(name, shape);
      const slack = (high - low) / 50;
      expect(min).toBeGreaterThanOrEqual(low);
      expect(min).toBeLessThan(low + slack);
      expect(max).toBeLessThanOrEqual(high);
      expect(max).toBeGreaterThan(high - slack);
    };
    within('bn.running_var', [500], 0.5, 1.5);
    within('bn.running_mean', [500], -0.1, 0.1);
    within('conv.bias', [500], -0.1, 0.1);
    within('bn.weight', [500], 0.3, 0.9);
    within('conv.weight', [20, 6, 3, 3], -1 / 3, 1 / 3);
    expect(range('bn.num_batches_tracked', [])).toEqual([0, 0]);
    expect(namedTensor('scalar', []).data).toHaveLength(1);
  });

  it('are float32, rounded once', () => {
    const u = uniformAt(fnv1a32('input:a'), 3);
    expect(namedInput('input:a', [2, 2]).data[3]).toBe(Math.fround(2 * u - 1));
  });

  it('are assigned by state-dict key, behind a prefix', () => {
    const model = assignNamedWeights(sequential(conv2d(2, 3, 1), batchNorm(3)), 'gen.');
    const state = model.state();
    expect([...state.keys()]).toEqual(['0.weight', '1.weight', '1.bias', '1.running_mean', '1.running_var']);
    for (const [key, { shape, data }] of state) expect(data).toEqual(namedTensor(`gen.${key}`, shape).data);
  });
});
