import { uniformAt } from '../nn/random.js';

/** Scatters a 32-bit number, so that seeds that differ by one give streams with nothing in common (murmur3's finaliser). */
function scatter(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** One 32-bit seed out of several integers; their order matters. */
export function mixSeeds(...parts: readonly number[]): number {
  let seed = 0x9e3779b9;
  for (const part of parts) seed = scatter(seed ^ scatter(part + 0x7f4a7c15)) + 0x632be5ab;
  return scatter(seed);
}

/**
 * A seeded source of random numbers. What augments picture `i` in epoch `e` is `new Random(seed, e, i)`: it depends on nothing else, so
 * the pictures are the same whichever thread makes them, and in whichever order.
 */
export class Random {
  private readonly seed: number;
  private position = 0;
  private spare: number | undefined;

  constructor(...seeds: readonly number[]) {
    this.seed = mixSeeds(...seeds);
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return uniformAt(this.seed, this.position++);
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** A whole number from 0 to `count - 1`. */
  below(count: number): number {
    return Math.floor(this.uniform() * count);
  }

  /** True with probability `p`; never for 0 and always for 1. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }

  /** Normally distributed around 0 with deviation 1 (Box and Muller's method, which gives two at a time). */
  normal(): number {
    if (this.spare !== undefined) {
      const value = this.spare;
      this.spare = undefined;
      return value;
    }
    // 1 - u is never 0, which has no logarithm.
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** From the gamma distribution with the given shape and scale 1 (Marsaglia and Tsang, 2000). */
  private gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * (1 - this.uniform()) ** (1 / shape);
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(1 - this.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  /** From the beta distribution with both parameters `alpha > 0`: in [0, 1], around 1/2. */
  beta(alpha: number): number {
    const a = this.gamma(alpha);
    const b = this.gamma(alpha);
    // Both can be too small for a number when alpha is; the distribution then sits at the two ends.
    return a + b > 0 ? a / (a + b) : this.below(2);
  }
}

/** The whole numbers below `count` in an order drawn from `random` (Fisher and Yates). */
export function permutation(count: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  return order;
}

/** The items in an order drawn from `random`. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  return Array.from(permutation(items.length, random), (i) => items[i]);
}
