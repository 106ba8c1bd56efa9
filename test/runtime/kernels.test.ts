import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, input } from '../../src/graph/leaves.js';
import { apply, type Value } from '../../src/graph/value.js';
import { compileGraph } from '../../src/nn/compile.js';
import { ACTIVATIONS } from '../../src/ops/activation.js';
import * as ops from '../../src/ops/index.js';
import { executorError, noise, noiseConstant } from './support.js';

const bound = 2e-6;

const graphOf = (x: Value, y: Value) => ({ inputs: { x }, outputs: { y } });

const convolution = fc.record({
  n: fc.integer({ min: 1, max: 2 }),
  h: fc.integer({ min: 7, max: 19 }),
  w: fc.integer({ min: 7, max: 19 }),
  perGroup: fc.integer({ min: 1, max: 9 }),
  outPerGroup: fc.integer({ min: 1, max: 21 }),
  groups: fc.integer({ min: 1, max: 3 }),
  kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  stride: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  padding: fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3)),
  dilation: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
  bias: fc.boolean(),
  residual: fc.boolean(),
  activation: fc.constantFrom(...ACTIVATIONS),
  threads: fc.integer({ min: 1, max: 2 }),
  relaxed: fc.boolean(),
});

type Convolution = typeof convolution extends fc.Arbitrary<infer T> ? T : never;

function convolutionGraph(c: Convolution, channels: number, outputs: number, groups: number) {
  const x = input('x', [c.n, channels, c.h, c.w]);
  const { stride, padding, dilation } = c;
  const attrs = { ...ops.conv2dAttrs({ stride, padding, dilation, groups }), activation: c.activation };
  const weight = noiseConstant('w', [outputs, channels / groups, ...c.kernel]);
  const bias = c.bias ? noiseConstant('b', [outputs]) : undefined;
  const { shape } = ops.conv2dFrom({ x, weight }, attrs);
  const residual = c.residual ? noiseConstant('r', shape) : undefined;
  return graphOf(x, ops.conv2dFrom({ x, weight, bias, residual }, attrs));
}

describe('the kernels agree with the definitions in double precision', () => {
  it('convolution: stride, padding, dilation, groups, bias, residual, activation', async () => {
    await fc.assert(
      fc.asyncProperty(convolution, async (c) => {
        const graph = convolutionGraph(c, c.perGroup * c.groups, c.outPerGroup * c.groups, c.groups);
        expect(await executorError(graph, c)).toBeLessThan(bound);
      }),
      { numRuns: 60 },
    );
  });

  it('3x3 convolution by minimal filtering, at every remainder of tiles and channels', async () => {
    const sizes = fc.record({
      n: fc.integer({ min: 1, max: 2 }),
      h: fc.integer({ min: 13, max: 30 }),
      w: fc.integer({ min: 13, max: 30 }),
      channels: fc.integer({ min: 16, max: 37 }),
      outputs: fc.integer({ min: 16, max: 37 }),
      d: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(sizes, convolution, async ({ channels, outputs, d, ...size }, c) => {
        const activation = c.activation === 'none' ? 'none' : 'relu';
        const shaped: Convolution = { ...c, ...size, activation, kernel: [3, 3], stride: [1, 1], dilation: [d, d] };
        const graph = convolutionGraph(shaped, channels, outputs, 1);
        // The transforms cost some of the last digit.
        expect(await executorError(graph, c)).toBeLessThan(1e-5);
      }),
      { numRuns: 30 },
    );
  });

  it('depthwise convolution, with one or several kernels a channel', async () => {
    const size = { h: fc.integer({ min: 5, max: 30 }), w: fc.integer({ min: 5, max: 30 }) };
    const cases = fc.record({
      c: convolution,
      ...size,
      k: fc.constantFrom(1, 2, 3, 5, 7),
      channels: fc.integer({ min: 2, max: 37 }),
      times: fc.constantFrom(1, 1, 1, 2, 3),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ c, h, w, k, channels, times }) => {
        const pad = Math.floor(k / 2) * c.dilation[0];
        const shaped: Convolution = { ...c, h: h + k, w: w + k, kernel: [k, k], padding: [pad, pad, pad, pad] };
        const graph = convolutionGraph(shaped, channels, channels * times, channels);
        expect(await executorError(graph, c)).toBeLessThan(bound);
      }),
      { numRuns: 60 },
    );
  });

  it('pointwise convolution with a scale, for every remainder of rows and channels', async () => {
    const sizes = fc.record({
      n: fc.integer({ min: 1, max: 3 }),
      h: fc.integer({ min: 1, max: 13 }),
      w: fc.integer({ min: 1, max: 13 }),
      c: fc.integer({ min: 1, max: 40 }),
      o: fc.integer({ min: 1, max: 70 }),
      scaled: fc.boolean(),
      threads: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ n, h, w, c, o, scaled, threads }) => {
        const x = input('x', [n, c, h, w]);
        const scale = scaled ? noiseConstant('s', [n, c, 1, 1]) : undefined;
        const operands = { x, weight: noiseConstant('w', [o, c, 1, 1]), bias: noiseConstant('b', [o]), scale };
        const graph = graphOf(x, ops.conv2dFrom(operands, ops.conv2dAttrs({})));
        expect(await executorError(graph, { threads })).toBeLessThan(bound);
      }),
      { numRuns: 80 },
    );
  });

  it('a scale of anything but a pointwise convolution is refused', async () => {
    const x = input('x', [1, 4, 5, 5]);
    const operands = { x, weight: noiseConstant('w', [3, 4, 3, 3]), scale: noiseConstant('s', [1, 4, 1, 1]) };
    const graph = graphOf(x, ops.conv2dFrom(operands, ops.conv2dAttrs({ padding: 1 })));
    await expect(executorError(graph)).rejects.toThrow('only a pointwise convolution of stride 1 takes a scale');
  });

  it('linear', async () => {
    const sizes = fc.tuple(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 90 }),
    );
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 2 }), async ([n, k, o], threads) => {
        const x = input('x', [n, k]);
        const graph = graphOf(x, ops.linear(x, noiseConstant('w', [o, k]), noiseConstant('b', [o])));
        expect(await executorError(graph, { threads })).toBeLessThan(bound);
      }),
      { numRuns: 40 },
    );
  });

  it('element-wise arithmetic with broadcasting', async () => {
    const dims = fc.tuple(...[2, 9, 5, 6].map((max) => fc.integer({ min: 1, max })));
    const cases = fc.record({
      shape: dims,
      rank: fc.integer({ min: 1, max: 4 }),
      drop: fc.integer({ min: 0, max: 3 }),
      ones: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      kind: fc.constantFrom<ops.BinaryName>('add', 'mul', 'sub', 'div', 'max', 'min'),
      activation: fc.constantFrom(...ACTIVATIONS),
      threads: fc.integer({ min: 1, max: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ shape, rank, drop, ones, kind, activation, threads }) => {
        const full = shape.slice(4 - rank);
        const other = full.map((d, i) => (ones[i] ? 1 : d)).slice(Math.min(drop, rank - 1));
        const x = input('x', full);
        // A sigmoid keeps divisors away from zero, where a relative error means nothing.
        const b = kind === 'div' ? ops.sigmoid(noiseConstant('b', other)) : noiseConstant('b', other);
        const graph = graphOf(x, apply(ops.binaryOp, [x, b], { kind, activation }));
        expect(await executorError(graph, { threads })).toBeLessThan(bound);
      }),
      { numRuns: 80 },
    );
  });

  it('pooling', async () => {
    const cases = fc.record({
      n: fc.integer({ min: 1, max: 2 }),
      c: fc.integer({ min: 1, max: 35 }),
      h: fc.integer({ min: 4, max: 14 }),
      w: fc.integer({ min: 4, max: 14 }),
      kernel: fc.integer({ min: 2, max: 4 }),
      stride: fc.integer({ min: 1, max: 3 }),
      padding: fc.nat(1),
      countIncludePad: fc.boolean(),
      threads: fc.integer({ min: 1, max: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ n, c, h, w, kernel, threads, ...options }) => {
        const x = input('x', [n, c, h, w]);
        const outputs = {
          most: ops.maxPool(x, kernel, options),
          mean: ops.averagePool(x, kernel, options),
          all: ops.globalAveragePool(x),
        };
        expect(await executorError({ inputs: { x }, outputs }, { threads })).toBeLessThan(bound);
      }),
      { numRuns: 40 },
    );
  });

  it('activations, softmax, batch norm, on images and on rows', async () => {
    const shapes = fc.constantFrom([1, 5], [3, 18], [1, 7, 3, 5], [2, 16, 4, 4]);
    await fc.assert(
      fc.asyncProperty(shapes, fc.integer({ min: 1, max: 2 }), async (shape, threads) => {
        const x = input('x', shape);
        const wide = ops.mul(x, noiseConstant('twelve', [1]));
        const c = [shape[1]];
        const norm = {
          weight: noiseConstant('w', c),
          bias: noiseConstant('b', c),
          runningMean: noiseConstant('m', c),
          runningVar: constant(
            c,
            noise('v', c).map((v) => v * v + 0.1),
          ),
        };
        const positive = ops.add(ops.relu(wide), noiseConstant('three', [1]));
        const outputs: Record<string, Value> = {
          softmax: ops.softmax(wide),
          norm: ops.batchNorm(x, norm),
          layerNorm: ops.layerNorm(x, { scale: norm.weight, shift: norm.bias }),
          erf: ops.erf(wide),
          exp: ops.exp(x),
          log: ops.log(positive),
          sqrt: ops.sqrt(positive),
        };
        for (const kind of ACTIVATIONS.slice(1)) outputs[kind] = apply(ops.activationOp, [wide], { kind });
        expect(await executorError({ inputs: { x }, outputs }, { threads })).toBeLessThan(bound);
      }),
      { numRuns: 12 },
    );
  });

  it('functions at the edges of what they are defined for', async () => {
    const edges = [0, -0, 1e-45, 1e-40, 1e-38, 3e38, Number.POSITIVE_INFINITY, -1, Number.NaN, 1, 87, -87];
    const x = input('x', [1, edges.length]);
    const graph = { inputs: { x }, outputs: { log: ops.log(x), erf: ops.erf(x), exp: ops.exp(x), gelu: ops.gelu(x) } };
    const net = await compileGraph(graph);
    const got = net.run({ x: Float32Array.from(edges) });
    const close = (actual: Float32Array, wanted: readonly number[]) =>
      wanted.forEach((v, i) => {
        if (Number.isFinite(v)) expect(Math.abs(actual[i] - v)).toBeLessThan(3e-7 * Math.max(1e-30, Math.abs(v)));
        else expect(actual[i]).toBe(v);
      });
    const finite = edges.map(Math.fround);
    close(got.log.data, finite.map(Math.log));
    expect([...got.erf.data].slice(5, 7)).toEqual([1, 1]);
    expect(got.erf.data[7]).toBeCloseTo(-0.8427007929497149, 6);
    expect(got.erf.data[2]).toBeCloseTo(0, 30);
    close(got.exp.data.slice(9), [Math.E, Math.exp(87), Math.exp(-87)]);
    expect([...got.gelu.data].slice(10)).toEqual([87, -0]);
    net.close();
  });

  it('concatenation and slices, shared, nested and with gaps', async () => {
    const counts = fc.tuple(...[9, 9, 9].map((max) => fc.integer({ min: 1, max })));
    await fc.assert(
      fc.asyncProperty(counts, fc.boolean(), async ([a, b, c], image) => {
        const x = input('x', image ? [2, 6, 5, 4] : [3, 6]);
        const layer = (name: string, from: Value, outputs: number) =>
          image
            ? ops.conv2d(from, noiseConstant(name, [outputs, from.shape[1], 1, 1]))
            : ops.linear(from, noiseConstant(name, [outputs, from.shape[1]]));
        const first = layer('a', x, a);
        const inner = ops.concat([first, layer('b', first, b)]);
        const outer = ops.concat([inner, first, x, layer('c', inner, c)]);
        const part = ops.slice(outer, 1, outer.shape[1] - 1);
        const outputs = { part, again: layer('d', part, 7), twice: ops.concat([part, part]), inner: ops.relu(inner) };
        expect(await executorError({ inputs: { x }, outputs })).toBeLessThan(bound);
      }),
      { numRuns: 30 },
    );
  });

  it('transposes, of what is stored in any way', async () => {
    const x = input('x', [2, 6, 4, 5]);
    const part = ops.slice(x, 1, 5);
    const rows = ops.flatten(x);
    const outputs = {
      last: ops.transpose(x, [0, 2, 3, 1]),
      all: ops.transpose(part, [3, 1, 0, 2]),
      matrix: ops.transpose(ops.slice(rows, 3, 50), [1, 0]),
      three: ops.transpose(ops.reshape(x, [12, 4, 5]), [2, 0, 1]),
      joined: ops.concat([ops.transpose(x, [0, 2, 1, 3]), ops.relu(ops.transpose(x, [0, 2, 1, 3]))]),
    };
    expect(await executorError({ inputs: { x }, outputs })).toBeLessThan(bound);
  });

  it('reshape keeps the row-major order whatever the stored layout', async () => {
    const x = input('x', [2, 6, 4, 5]);
    const part = ops.slice(x, 1, 5);
    const outputs = {
      flat: ops.flatten(x),
      part: ops.flatten(part),
      image: ops.reshape(x, [2, 4, 5, 6]),
      back: ops.reshape(ops.flatten(part), [2, 5, 4, 4]),
      rows: ops.reshape(ops.flatten(x), [40, 6]),
      pooled: ops.flatten(ops.globalAveragePool(part)),
    };
    expect(await executorError({ inputs: { x }, outputs })).toBeLessThan(bound);
  });
});
