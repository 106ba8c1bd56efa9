import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, input } from '../../src/graph/leaves.js';
import { EIGHT_BITS, type Quantization, roundEven, SEVEN_BITS } from '../../src/graph/quantization.js';
import type { Graph, Value } from '../../src/graph/value.js';
import type { ActivationName } from '../../src/ops/activation.js';
import { hardSigmoid } from '../../src/ops/activation.js';
import { concat } from '../../src/ops/concat.js';
import { globalAveragePool } from '../../src/ops/pool.js';
import { dequantize, quantize } from '../../src/ops/quantize.js';
import { integerBias, integerWeights, type QuantizedConvAttrs, quantizedConv } from '../../src/ops/quantized-conv2d.js';
import { depthwiseNumbers, depthwiseScale } from '../../src/ops/quantized-depthwise.js';
import {
  quantizedActivation,
  quantizedAdd,
  quantizedGate,
  quantizedGlobalAveragePool,
} from '../../src/ops/quantized-elementwise.js';
import { type Shape, sizeOf } from '../../src/tensor/tensor.js';
import { execute, noise } from './support.js';

const fround = Math.fround;

/** Any quantisation of values that are about one. */
const quantization = (bits: Pick<Quantization, 'low' | 'high'>) =>
  fc
    .record({
      scale: fc.double({ min: 0.006, max: 0.03, noNaN: true }),
      zero: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    .map(
      ({ scale, zero }): Quantization => ({
        ...bits,
        scale: fround(scale),
        zeroPoint: bits.low + Math.round(zero * (bits.high - bits.low)),
      }),
    );

const graphOf = (inputs: Record<string, Value>, y: Value): Graph => ({ inputs, outputs: { y: dequantize(y) } });

/** The integers behind the floats that a graph with one quantised output returns. */
const integersOf = (data: Float32Array, q: Quantization) =>
  // Math.round makes -0 of a little less than nothing.
  Array.from(data, (v) => Math.round(v / q.scale + q.zeroPoint) + 0);

/** The integers of noise on the grid, as the executor quantises it. */
const integersIn = (name: string, shape: Shape, q: Quantization) =>
  Array.from(noise(name, shape), (v) =>
    roundEven(fround(Math.max(q.low, Math.min(q.high, fround(fround(v * fround(1 / q.scale)) + q.zeroPoint))))),
  );

const clamp = (v: number, low: number, high: number) => Math.min(high, Math.max(low, v));

interface Geometry {
  readonly shape: Shape;
  readonly out: Shape;
  readonly attrs: Pick<QuantizedConvAttrs, 'stride' | 'padding' | 'dilation' | 'groups'>;
}

/** Calls `visit` with every output's sum of products of integers, what is outside of the image being the zero point. */
function integerSums(
  x: readonly number[],
  zero: number,
  weights: Int8Array,
  kernel: Shape,
  { shape, out, attrs }: Geometry,
): number[] {
  const [n, c, h, w] = shape;
  const [o, cg, kh, kw] = kernel;
  const sums: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let oc = 0; oc < o; oc++) {
      const c0 = Math.floor(oc / (o / attrs.groups)) * cg;
      for (let oy = 0; oy < out[2]; oy++) {
        for (let ox = 0; ox < out[3]; ox++) {
          let sum = 0;
          for (let ic = 0; ic < cg; ic++) {
            for (let ky = 0; ky < kh; ky++) {
              for (let kx = 0; kx < kw; kx++) {
                const iy = oy * attrs.stride[0] - attrs.padding[0] + ky * attrs.dilation[0];
                const ix = ox * attrs.stride[1] - attrs.padding[1] + kx * attrs.dilation[1];
                const inside = iy >= 0 && iy < h && ix >= 0 && ix < w;
                const v = inside ? x[((i * c + c0 + ic) * h + iy) * w + ix] : zero;
                sum += v * weights[((oc * cg + ic) * kh + ky) * kw + kx];
              }
            }
          }
          sums.push(sum);
        }
      }
    }
  }
  return sums;
}

const both = [{ relaxed: true }, { relaxed: false }, { relaxed: true, threads: 2 }, { relaxed: false, threads: 3 }];

/** Runs a graph on every kind of kernels, and checks that they agree to the last bit. */
async function run(graph: Graph): Promise<Float32Array> {
  const results: Float32Array[] = [];
  for (const options of both) results.push((await execute(graph, options)).y);
  for (const other of results.slice(1)) expect(other).toEqual(results[0]);
  return results[0];
}

const convolution = fc.record({
  n: fc.integer({ min: 1, max: 2 }),
  h: fc.integer({ min: 5, max: 17 }),
  w: fc.integer({ min: 5, max: 17 }),
  channels: fc.integer({ min: 1, max: 37 }),
  outputs: fc.integer({ min: 1, max: 45 }),
  kernel: fc.constantFrom(1, 1, 1, 2, 3, 5),
  stride: fc.integer({ min: 1, max: 3 }),
  pad: fc.tuple(fc.nat(2), fc.nat(2)),
  dilation: fc.integer({ min: 1, max: 2 }),
  residual: fc.boolean(),
  // With no weight above 64 sums may be made of words (src/ops/quantized-words.ts).
  most: fc.constantFrom(64, 127),
  activation: fc.constantFrom<ActivationName[]>('none', 'relu', 'relu6'),
  x: quantization(SEVEN_BITS),
  r: quantization(EIGHT_BITS),
  output: fc.oneof(quantization(SEVEN_BITS), quantization(EIGHT_BITS)),
});

type Case = typeof convolution extends fc.Arbitrary<infer T> ? T : never;

/** Weights on a grid for each output channel. */
function gridWeights(shape: Shape, scales: Float32Array, most = 127): Value {
  const each = sizeOf(shape) / scales.length;
  const data = noise('w', shape).map((v, i) => fround(Math.round(v * most) * scales[Math.floor(i / each)]));
  return constant(shape, data, 'conv.weight');
}

function attrsOf(c: Case, groups: number, weightScale: Float32Array): Omit<QuantizedConvAttrs, 'residual'> {
  return {
    stride: [c.stride, c.stride],
    padding: [c.pad[0], c.pad[1], c.pad[1], c.pad[0]],
    dilation: [c.dilation, c.dilation],
    groups,
    activation: c.activation,
    weightScale,
    output: c.output,
  };
}

function limits(activation: ActivationName, q: Quantization): [number, number] {
  if (activation === 'none') return [q.low, q.high];
  const high = activation === 'relu6' ? Math.min(q.high, roundEven(6 / q.scale + q.zeroPoint)) : q.high;
  return [Math.max(q.low, q.zeroPoint), high];
}

describe('int8 kernels compute what their integers say', () => {
  it('convolution: every remainder of rows, channels and outputs, zero points, padding, residual', async () => {
    await fc.assert(
      fc.asyncProperty(convolution, async (c) => {
        const shape = [c.n, c.channels, c.h + c.kernel, c.w + c.kernel];
        const fan = c.channels * c.kernel * c.kernel;
        const scales = Float32Array.from({ length: c.outputs }, (_, o) => (1 + (o % 5)) / (127 * Math.sqrt(fan) * 3));
        const kernel = [c.outputs, c.channels, c.kernel, c.kernel];
        const image = input('x', shape);
        const x = quantize(image, c.x);
        const bias = constant([c.outputs], noise('b', [c.outputs]));
        const operands = { x, weight: gridWeights(kernel, scales, c.most), bias };
        const attrs = attrsOf(c, 1, scales);
        const plain = quantizedConv(operands, attrs);
        const out = plain.shape;
        const other = input('r', out);
        const y = c.residual ? quantizedConv({ ...operands, residual: quantize(other, c.r) }, attrs) : plain;
        const inputs: Record<string, Value> = c.residual ? { x: image, r: other } : { x: image };
        const actual = integersOf(await run(graphOf(inputs, y)), c.output);

        const weights = integerWeights(y);
        const sums = integerSums(integersIn('x', shape, c.x), c.x.zeroPoint, weights, kernel, { shape, out, attrs });
        const residual = integersIn('r', out, c.r);
        const biases = integerBias(y);
        const [low, high] = limits(c.activation, c.output);
        const plane = out[2] * out[3];
        const expected = sums.map((sum, i) => {
          const o = Math.floor(i / plane) % c.outputs;
          const filter = weights.subarray(o * fan, (o + 1) * fan).reduce((a, b) => a + b, 0);
          const m = fround(scales[o] * (c.x.scale / c.output.scale));
          const product = fround(fround(sum + biases[o] - c.x.zeroPoint * filter) * m);
          if (!c.residual) return clamp(roundEven(product) + c.output.zeroPoint, low, high);
          const factor = c.r.scale / c.output.scale;
          const offset = fround(c.output.zeroPoint - factor * c.r.zeroPoint);
          return clamp(roundEven(fround(fround(product + fround(residual[i] * fround(factor))) + offset)), low, high);
        });
        // The zero point is added before the rounding, which then turns halves another way when it is odd.
        const odd = !c.residual && Math.abs(c.output.zeroPoint) % 2 === 1;
        const wrong = actual.filter((v, i) => Math.abs(v - expected[i]) > (odd ? 1 : 0));
        expect(wrong).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  it('depthwise convolution: every width, stride and dilation, in 16 bits', async () => {
    const cases = fc.record({
      c: convolution,
      kernel: fc.constantFrom(1, 2, 3, 3, 5, 5, 7),
      x: fc.oneof(quantization(EIGHT_BITS), quantization(SEVEN_BITS), quantization(SEVEN_BITS)),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ c, kernel: k, x: q }) => {
        const channels = c.channels + 1;
        const extent = c.dilation * (k - 1);
        const shape = [c.n, channels, c.h + extent, c.w + extent];
        const kernel = [channels, 1, k, k];
        const raw = noise('w', kernel);
        const scales = Float32Array.from({ length: channels }, (_, i) =>
          depthwiseScale(raw.subarray(i * k * k, (i + 1) * k * k), q),
        );
        const weight = constant(
          kernel,
          raw.map((v, i) => fround(Math.round(v / scales[Math.floor(i / (k * k))]) * scales[Math.floor(i / (k * k))])),
        );
        const image = input('x', shape);
        const bias = constant([channels], noise('b', [channels]));
        // Sums of so many products are as large as this.
        const output = { ...c.output, scale: fround(c.output.scale * k) };
        const attrs = { ...attrsOf(c, channels, scales), output };
        const operands = { x: quantize(image, q), weight, bias };
        const plain = quantizedConv(operands, attrs);
        const out = plain.shape;
        const other = input('r', out);
        const y = c.residual ? quantizedConv({ ...operands, residual: quantize(other, c.r) }, attrs) : plain;
        const inputs: Record<string, Value> = c.residual ? { x: image, r: other } : { x: image };
        const actual = integersOf(await run(graphOf(inputs, y)), output);

        const numbers = depthwiseNumbers(y, noise('b', [channels]));
        const sums = integerSums(integersIn('x', shape, q), q.zeroPoint, integerWeights(y), kernel, {
          shape,
          out,
          attrs,
        });
        const residual = integersIn('r', out, c.r);
        const [low, high] = limits(c.activation, output);
        const word = (v: number) => clamp(v, -32768, 32767);
        const product = (a: number, b: number) => Math.floor((a * b + 16384) / 32768);
        const expected = sums.map((sum, i) => {
          const channel = Math.floor(i / (out[2] * out[3])) % channels;
          expect(Math.abs(sum)).toBeLessThan(32768);
          let v = word(product(sum, numbers.multipliers[channel]) + numbers.biases[channel]);
          if (c.residual) v = word(v + product(residual[i] * 256, numbers.residual));
          return clamp(Math.floor(v / 2 ** numbers.shift), low, high);
        });
        expect(actual).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });
});

/** The largest difference from the real numbers, in units of the output's scale. */
async function stepsFrom(graph: Graph, expected: (i: number) => number, scale: number): Promise<number> {
  const y = await run(graph);
  return y.reduce((worst, v, i) => Math.max(worst, Math.abs(v - expected(i)) / scale), 0);
}

describe('int8 kernels stay within half a step and a rounding of the real numbers', () => {
  const shapes = fc.record({
    n: fc.integer({ min: 1, max: 3 }),
    c: fc.integer({ min: 1, max: 40 }),
    h: fc.integer({ min: 1, max: 20 }),
    w: fc.integer({ min: 1, max: 20 }),
    a: quantization(SEVEN_BITS),
    b: quantization(EIGHT_BITS),
  });
  const real = (q: Quantization, integers: readonly number[]) => integers.map((v) => q.scale * (v - q.zeroPoint));
  const wide = (q: Quantization): Quantization => ({ ...q, ...EIGHT_BITS, zeroPoint: 0, scale: fround(0.03) });

  it('a sum', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, c, h, w, a, b }) => {
        const shape = [n, c, h, w];
        const [x, r] = [input('x', shape), input('r', shape)];
        const y = quantizedAdd(quantize(x, a), quantize(r, b), { activation: 'none', output: wide(a) });
        const [p, q] = [real(a, integersIn('x', shape, a)), real(b, integersIn('r', shape, b))];
        const limit = 0.03 * 127;
        const steps = await stepsFrom(graphOf({ x, r }, y), (i) => clamp(p[i] + q[i], -limit, limit), 0.03);
        expect(steps).toBeLessThan(0.56);
      }),
      { numRuns: 20 },
    );
  });

  it('a gate', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, c, h, w, b }) => {
        const shape = [n, c, h, w];
        const [x, g] = [input('x', shape), input('g', [n, c, 1, 1])];
        const y = quantizedGate(quantize(x, b), hardSigmoid(g), wide(b));
        const p = real(b, integersIn('x', shape, b));
        const gates = noise('g', [n, c, 1, 1]).map((v) => (v + 3) / 6);
        const limit = 0.03 * 127;
        const value = (i: number) => clamp(p[i] * gates[Math.floor(i / (h * w))], -limit, limit);
        expect(await stepsFrom(graphOf({ x, g }, y), value, 0.03)).toBeLessThan(0.6);
      }),
      { numRuns: 20 },
    );
  });

  it('a mean over many pixels', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, c, h, w, b }) => {
        const shape = [n, c, h * 2, w * 2];
        const x = input('x', shape);
        const output: Quantization = { ...SEVEN_BITS, scale: fround(0.02), zeroPoint: 64 };
        const p = real(b, integersIn('x', shape, b));
        const pixels = h * w * 4;
        const value = (i: number) => p.slice(i * pixels, (i + 1) * pixels).reduce((s, v) => s + v, 0) / pixels;
        const graph = graphOf({ x }, quantizedGlobalAveragePool(quantize(x, b), output));
        expect(await stepsFrom(graph, (i) => clamp(value(i), -0.02 * 64, 0.02 * 63), 0.02)).toBeLessThan(0.51);
      }),
      { numRuns: 20 },
    );
  });

  it('an activation by its table', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, c, h, w, a, b }) => {
        const shape = [n, c, h, w];
        const x = input('x', shape);
        const p = real(b, integersIn('x', shape, b));
        const output = { ...a, zeroPoint: 64, scale: fround(0.03) };
        const swish = (v: number) => (v * clamp(v + 3, 0, 6)) / 6;
        const graph = graphOf({ x }, quantizedActivation(quantize(x, b), 'hard_swish', output));
        expect(await stepsFrom(graph, (i) => clamp(swish(p[i]), -0.03 * 64, 0.03 * 63), 0.03)).toBeLessThan(0.51);
      }),
      { numRuns: 20 },
    );
  });

  it('a concatenation whose parts are computed in place, and one whose parts are copied', async () => {
    const q: Quantization = { ...SEVEN_BITS, scale: fround(0.02), zeroPoint: 64 };
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 21 }), fc.integer({ min: 1, max: 21 }), async (c, d) => {
        const [x, r] = [input('x', [2, c, 5, 3]), input('r', [2, d, 5, 3])];
        const [a, b] = [quantize(x, q), quantize(r, q)];
        // The first is read by both, so it can stand in one of them only.
        const y = concat([concat([a, b]), concat([b, a])]);
        const parts = [real(q, integersIn('x', x.shape, q)), real(q, integersIn('r', r.shape, q))];
        const image = (from: number[], channels: number, i: number) =>
          from.slice(i * channels * 15, (i + 1) * channels * 15);
        const expected = [0, 1].flatMap((i) => {
          const [first, second] = [image(parts[0], c, i), image(parts[1], d, i)];
          return [...first, ...second, ...second, ...first];
        });
        expect(await stepsFrom(graphOf({ x, r }, y), (i) => expected[i], 0.02)).toBeLessThan(1e-4);
      }),
      { numRuns: 20 },
    );
  });

  it('floats that are far outside, or not numbers, are clamped', async () => {
    const q: Quantization = { ...SEVEN_BITS, scale: fround(0.02), zeroPoint: 0 };
    const x = constant([1, 1, 1, 6], [1e30, -1e30, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1]);
    const unused = input('x', [1]);
    const y = await run(graphOf({ x: unused }, quantize(x, q)));
    expect(Array.from(y, (v) => Math.round(v * 50))).toEqual([127, 0, 0, 127, 0, 50]);
  });

  it('a mean of floats is quantised', async () => {
    const q: Quantization = { ...EIGHT_BITS, scale: fround(0.01), zeroPoint: 3 };
    const x = input('x', [2, 13, 4, 4]);
    const p = noise('x', x.shape);
    const value = (i: number) => p.slice(i * 16, (i + 1) * 16).reduce((s, v) => s + v, 0) / 16;
    const graph = graphOf({ x }, quantize(globalAveragePool(x), q));
    expect(await stepsFrom(graph, value, 0.01)).toBeLessThan(0.501);
  });
});
