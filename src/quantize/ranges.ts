import type { Bits, Range } from '../graph/passes/quantization-plan.js';
import { quantizationFor } from '../graph/quantization.js';
import type { Histogram } from './calibrate.js';

/** The share of a tensor's elements that a percentile range leaves outside, on both sides together. */
const OUTSIDE = 1e-4;

/** The range of all elements but the most extreme ones. */
export function percentileRange({ min, max, counts }: Histogram, outside = OUTSIDE): Range {
  const total = counts.reduce((a, b) => a + b, 0);
  const width = (max - min) / counts.length;
  const allowed = (total * outside) / 2;
  let low = 0;
  let high = counts.length;
  for (let sum = 0; low < high && sum + counts[low] <= allowed; low++) sum += counts[low];
  for (let sum = 0; high > low && sum + counts[high - 1] <= allowed; high--) sum += counts[high - 1];
  return { min: Math.min(0, min + low * width), max: Math.max(0, min + high * width) };
}

/** The mean squared error of a tensor's elements, given their distribution, in a range of so many integers. */
export function rangeError({ min, max, counts }: Histogram, range: Range, bits: Bits): number {
  const { scale, zeroPoint, low, high } = quantizationFor(range.min, range.max, bits);
  const from = scale * (low - zeroPoint);
  const to = scale * (high - zeroPoint);
  const width = (max - min) / counts.length;
  let error = 0;
  let total = 0;
  for (let i = 0; i < counts.length; i++) {
    const x = min + (i + 0.5) * width;
    const outside = x < from ? from - x : x > to ? x - to : 0;
    // Inside, elements are anywhere between two steps; what is exactly zero stays so.
    const exact = x - width / 2 <= 0 && x + width / 2 > 0;
    error += counts[i] * (outside > 0 ? outside * outside : exact ? 0 : (scale * scale) / 12);
    total += counts[i];
  }
  return total > 0 ? error / total : 0;
}

/** The range with the least mean squared error. */
export function squaredErrorRange(histogram: Histogram, bits: Bits): Range {
  const whole = { min: Math.min(0, histogram.min), max: Math.max(0, histogram.max) };
  let best = whole;
  let least = rangeError(histogram, whole, bits);
  // One side after the other, in steps of a fiftieth, twice: each side's best depends little on the other's.
  for (let round = 0; round < 2; round++) {
    for (const side of ['max', 'min'] as const) {
      const { [side]: end } = whole;
      for (let step = 50; step >= 10; step--) {
        const range = { ...best, [side]: (end * step) / 50 };
        const error = rangeError(histogram, range, bits);
        if (error < least) {
          least = error;
          best = range;
        }
      }
    }
  }
  return best;
}
