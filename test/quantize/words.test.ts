import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, input } from '../../src/graph/leaves.js';
import { EIGHT_BITS, type Quantization, SEVEN_BITS } from '../../src/graph/quantization.js';
import { dequantize, quantize } from '../../src/ops/quantize.js';
import { quantizedConv } from '../../src/ops/quantized-conv2d.js';
import { depthwiseScale } from '../../src/ops/quantized-depthwise.js';
import { fitWords, weightRow, wordsScale } from '../../src/ops/quantized-words.js';
import { execute } from '../runtime/support.js';

const PEAK = 127;

/** By the definition: with activations that are 127 where that adds to a sum and 0 elsewhere, none of 4 products leaves 16 bits. */
function staysInWords(integers: number[], taps: number): boolean {
  const channels = integers.length / taps;
  const padded = Math.ceil(channels / 4) * 4;
  const at = (k: number) => {
    const [tap, c] = [Math.floor(k / padded), k % padded];
    return tap < taps && c < channels ? integers[c * taps + tap] : 0;
  };
  for (let step = 0; step * 4 < taps * padded; step += 2) {
    for (const first of [4 * step, 4 * step + 2]) {
      const four = [at(first), at(first + 1), at(first + 4), at(first + 5)];
      for (const sign of [1, -1]) {
        const sum = four.reduce((s, w) => s + Math.max(0, sign * w), 0) * 127;
        if (sum > 32767) return false;
      }
    }
  }
  return true;
}

const layer = fc
  .record({ channels: fc.integer({ min: 1, max: 40 }), taps: fc.constantFrom(1, 1, 4, 9), wide: fc.boolean() })
  .chain(({ channels, taps, wide }) => {
    // All of one size are the hardest: three or four of them are too much for a word.
    const weight = wide ? fc.double({ min: -1, max: 1, noNaN: true }) : fc.constantFrom(-1, 0.9, 1);
    const weights = fc.array(weight, { minLength: channels * taps, maxLength: channels * taps });
    return fc.record({ taps: fc.constant(taps), weights: weights.map((w) => Float32Array.from(w)) });
  });

const peakOf = (weights: Float32Array) => weights.reduce((m, w) => Math.max(m, Math.abs(w)), 0);
const rounded = (weights: Float32Array, scale: number) =>
  Array.from(weights, (w) => Math.max(-PEAK, Math.min(PEAK, Math.round(w / scale))));

describe('weights whose sums are made of words', () => {
  it('have the scale of 8 bits where that will do, and one with which no sum leaves 16 bits where not', () => {
    fc.assert(
      fc.property(layer, ({ taps, weights }) => {
        const eight = Math.fround(peakOf(weights) / PEAK) || 2 ** -20;
        const scale = wordsScale(weights, taps, eight);
        const integers = rounded(weights, scale);
        expect(staysInWords(integers, taps)).toBe(true);
        if (staysInWords(rounded(weights, eight), taps)) expect(scale).toBe(eight);
        // Four of 64 always fit.
        else expect(scale).toBeLessThan(2.05 * eight);
        expect(fitWords(Int8Array.from(integers), 1, taps)).toBe(true);
      }),
    );
  });

  it('are told from others', () => {
    fc.assert(
      fc.property(layer, ({ taps, weights }) => {
        const integers = rounded(weights, Math.fround(peakOf(weights) / PEAK) || 1);
        expect(fitWords(Int8Array.from(integers), 1, taps)).toBe(staysInWords(integers, taps));
      }),
    );
  });

  it('stand in the order of the kernels', () => {
    expect([...weightRow([1, 2, 3, 4, 5, 6], 2)]).toEqual([1, 3, 5, 0, 2, 4, 6, 0]);
  });

  it.each([1, -1])('may be as large as words hold, times %i', async (sign) => {
    const shape = [1, 40, 3, 4];
    const kernel = [16, 40, 1, 1];
    const x: Quantization = { ...SEVEN_BITS, scale: 1, zeroPoint: 0 };
    const image = input('x', shape);
    const scales = new Float32Array(16).fill(1);
    // 258 = 65 + 65 + 64 + 64 of two neighbours and those four further on.
    const weights = Float32Array.from(
      { length: 640 },
      (_, i) => sign * (i % 8 < 2 ? 65 : i % 8 < 4 ? 0 : i % 8 < 6 ? 64 : 0),
    );
    expect(fitWords(Int8Array.from(weights), 16, 1)).toBe(true);
    const operands = {
      x: quantize(image, x),
      weight: constant(kernel, weights),
      bias: constant([16], new Float32Array(16)),
    };
    const output: Quantization = { ...EIGHT_BITS, scale: 2000, zeroPoint: 0 };
    const attrs = {
      stride: [1, 1],
      padding: [0, 0, 0, 0],
      dilation: [1, 1],
      groups: 1,
      activation: 'none',
      weightScale: scales,
      output,
    } as const;
    const graph = { inputs: { x: image }, outputs: { y: dequantize(quantizedConv(operands, attrs)) } };
    for (const options of [{ relaxed: true }, { relaxed: false }, { relaxed: true, threads: 2 }]) {
      const { y } = await execute(graph, options, { x: new Float32Array(480).fill(127) });
      expect(Array.from(y)).toEqual(new Array(192).fill(2000 * Math.round((sign * 5 * 258 * 127) / 2000)));
    }
  });

  it('are found for the smallest floats too, which lie too far apart for a factor', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 4, maxLength: 40 }), (units) => {
        const weights = Float32Array.from(units, (unit) => unit * 2 ** -149);
        const scale = Math.fround(Math.max(...weights) / 127) || 2 ** -149;
        expect(wordsScale(weights, 1, scale)).toBeGreaterThanOrEqual(scale);
        expect(depthwiseScale(weights, SEVEN_BITS)).toBeGreaterThan(0);
      }),
    );
  });
});
