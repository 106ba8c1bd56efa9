import { describe, expect, it } from 'vitest';
import { mixSeeds, permutation, Random, shuffled } from '../../src/data/random.js';

const many = (count: number, of: (random: Random) => number, seed = 1): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length: count }, () => of(random));
};

function moments(values: Float64Array): [mean: number, variance: number] {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length];
}

describe('Random', () => {
  it('is the same for the same seeds, and another for any other', () => {
    const first = (...seeds: number[]) => new Random(...seeds).uniform();
    expect(first(1, 2, 3)).toBe(first(1, 2, 3));
    const seeds = [[], [0], [1], [0, 0], [0, 1], [1, 0], [1, 0, 0], [0, 0, 1], [2 ** 32 - 1], [-1, 5]];
    expect(new Set(seeds.map((s) => first(...s))).size).toBe(seeds.length);
  });

  it('gives the pictures of an epoch streams with nothing in common', () => {
    const seeds = new Set<number>();
    for (let epoch = 0; epoch < 20; epoch++) for (let i = 0; i < 1000; i++) seeds.add(mixSeeds(7, 2, epoch, i));
    // Of 20,000 numbers of 32 bits about 0.05 pairs are expected to be equal.
    expect(seeds.size).toBeGreaterThan(19_997);
    const [a, b] = [0, 1].map((i) => many(20_000, (r) => r.uniform(), mixSeeds(7, 2, 0, i)));
    const correlation = a.reduce((sum, v, i) => sum + (v - 0.5) * (b[i] - 0.5), 0) / a.length / (1 / 12);
    expect(Math.abs(correlation)).toBeLessThan(0.03);
  });

  it('has the moments of its distributions', () => {
    const close = (values: Float64Array, mean: number, variance: number) => {
      const [m, v] = moments(values);
      expect(Math.abs(m - mean)).toBeLessThan(0.02);
      expect(Math.abs(v - variance)).toBeLessThan(0.02 + 0.02 * variance);
    };
    close(
      many(40_000, (r) => r.uniform()),
      0.5,
      1 / 12,
    );
    close(
      many(40_000, (r) => r.between(-1, 3) / 4),
      0.25,
      1 / 12,
    );
    close(
      many(40_000, (r) => r.normal()),
      0,
      1,
    );
    // Beta(a, a) has variance 1 / (4 (2a + 1)).
    for (const alpha of [0.2, 1, 4])
      close(
        many(40_000, (r) => r.beta(alpha)),
        0.5,
        1 / (4 * (2 * alpha + 1)),
      );
    close(
      many(40_000, (r) => Number(r.chance(0.3))),
      0.3,
      0.21,
    );
  });

  it('stays in its ranges', () => {
    expect(new Set(many(1000, (r) => r.below(3)))).toEqual(new Set([0, 1, 2]));
    for (const alpha of [1e-4, 0.1, 10]) {
      for (const v of many(1000, (r) => r.beta(alpha))) expect(v >= 0 && v <= 1).toBe(true);
    }
    expect(many(1000, (r) => Number(r.chance(0))).every((v) => v === 0)).toBe(true);
    expect(many(1000, (r) => Number(r.chance(1))).every((v) => v === 1)).toBe(true);
  });

  it('shuffles: all orders come equally often', () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 6000; seed++) {
      const order = permutation(3, new Random(seed)).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(130);
    expect(shuffled(['a', 'b', 'c'], new Random(1)).sort()).toEqual(['a', 'b', 'c']);
    expect(permutation(0, new Random(1))).toHaveLength(0);
  });
});
