import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../src/graph/evaluate.js';
import { constant, input } from '../../src/graph/leaves.js';
import { apply, type Value } from '../../src/graph/value.js';
import { uniformStream } from '../../src/nn/random.js';
import * as ops from '../../src/ops/index.js';
import { type Shape, sizeOf } from '../../src/tensor/tensor.js';

/** Each operator's definition against another formulation of it; `test/formats/onnx` has them against onnxruntime. */

type Index = readonly number[];

const small = (min: number, max: number) => fc.integer({ min, max });

/** An array by its index, with zeros outside. */
class Grid {
  constructor(
    readonly shape: Shape,
    readonly data: Float64Array,
  ) {}

  static random(shape: Shape, seed: number): Grid {
    const uniform = uniformStream(seed);
    return new Grid(
      shape,
      Float64Array.from({ length: sizeOf(shape) }, () => Math.fround(4 * uniform() - 2)),
    );
  }

  at(...index: number[]): number {
    if (index.some((i, d) => i < 0 || i >= this.shape[d])) return 0;
    return this.data[index.reduce((sum, i, d) => sum * this.shape[d] + i, 0)];
  }

  get value(): Value {
    return constant(this.shape, Float32Array.from(this.data));
  }
}

/** All indices of a shape, in row-major order. */
function indices(shape: Shape): Index[] {
  return shape.reduce<Index[]>(
    (all, d) => all.flatMap((index) => Array.from({ length: d }, (_, i) => [...index, i])),
    [[]],
  );
}

function compute(x: Grid, build: (x: Value) => Value): Grid {
  const value = input('x', x.shape);
  const { y } = evaluate({ inputs: { x: value }, outputs: { y: build(value) } }, { x: x.data });
  return new Grid(y.shape, y.data);
}

function expectGrid(actual: Grid, shape: Shape, at: (...index: number[]) => number): void {
  expect(actual.shape).toEqual(shape);
  for (const index of indices(shape)) {
    const wanted = at(...index);
    expect(Math.abs(actual.at(...index) - wanted)).toBeLessThan(1e-12 * Math.max(1, Math.abs(wanted)));
  }
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const total = (values: number[]) => values.reduce((a, b) => a + b, 0);

describe('conv2d', () => {
  const geometry = fc.record({
    size: fc.tuple(small(3, 6), small(3, 6)),
    kernel: fc.tuple(small(1, 3), small(1, 3)),
    stride: fc.tuple(small(1, 3), small(1, 3)),
    dilation: fc.tuple(small(1, 2), small(1, 2)),
    padding: fc.tuple(small(0, 2), small(0, 2), small(0, 2), small(0, 2)),
    groups: fc.constantFrom([1, 2, 3], [2, 2, 1], [3, 1, 1], [2, 1, 2]),
    bias: fc.boolean(),
  });

  it('is what a scatter of every input pixel over the output gives', () => {
    fc.assert(
      fc.property(geometry, fc.nat(), ({ size, kernel, stride, dilation, padding, groups, bias }, seed) => {
        const [g, cg, og]: readonly number[] = groups;
        const span = [0, 1].map((d) => size[d] + padding[d] + padding[d + 2] - dilation[d] * (kernel[d] - 1));
        fc.pre(span.every((s) => s >= 1));
        const x = Grid.random([2, g * cg, ...size], seed);
        const w = Grid.random([g * og, cg, ...kernel], seed + 1);
        const b = Grid.random([g * og], seed + 2);
        const out = [2, g * og, ...span.map((s, d) => Math.ceil(s / stride[d]))];
        const wanted = new Map<string, number>();
        for (const [n, c, h, v] of indices(x.shape)) {
          for (const [o, i, ky, kx] of indices(w.shape)) {
            if (Math.floor(o / og) * cg + i !== c) continue;
            const oy = (h + padding[0] - ky * dilation[0]) / stride[0];
            const ox = (v + padding[1] - kx * dilation[1]) / stride[1];
            const key = [n, o, oy, ox].join();
            wanted.set(key, (wanted.get(key) ?? 0) + x.at(n, c, h, v) * w.at(o, i, ky, kx));
          }
        }
        const options = { stride, dilation, padding, groups: g };
        const y = compute(x, (value) => ops.conv2d(value, w.value, bias ? b.value : undefined, options));
        expectGrid(y, out, (...index) => (wanted.get(index.join()) ?? 0) + (bias ? b.at(index[1]) : 0));
      }),
      { numRuns: 60 },
    );
  });

  it('with everything fused is the operators one after another', () => {
    const x = Grid.random([2, 4, 3, 5], 1);
    const [weight, bias, residual, scale] = [[6, 2, 3, 3], [6], [2, 6, 3, 5], [2, 4, 1, 1]].map(
      (shape, i) => Grid.random(shape, 2 + i).value,
    );
    const options = { padding: 1, groups: 2 };
    const fused = compute(x, (v) =>
      ops.conv2dFrom(
        { x: v, weight, bias, residual, scale },
        { ...ops.conv2dAttrs(options), activation: 'hard_swish' },
      ),
    );
    const apart = compute(x, (v) =>
      ops.hardSwish(ops.add(ops.conv2d(ops.mul(v, scale), weight, bias, options), residual)),
    );
    expectGrid(fused, apart.shape, (...index) => apart.at(...index));
  });

  it('says what does not fit', () => {
    const x = input('x', [1, 4, 3, 3]);
    const w = (...shape: number[]) => constant(shape, new Float32Array(sizeOf(shape)));
    expect(() => ops.conv2d(x, w(2, 3, 1, 1))).toThrow('conv2d: input [1,4,3,3] does not fit weight [2,3,1,1]');
    expect(() => ops.conv2d(x, w(3, 2, 1, 1), undefined, { groups: 2 })).toThrow('with groups 2');
    expect(() => ops.conv2d(x, w(2, 4, 1, 1), w(3))).toThrow('conv2d: the bias must be [2], got [3]');
    expect(() => ops.conv2d(x, w(2, 4, 5, 5))).toThrow('a window of 5');
    expect(() => ops.conv2d(w(4, 3), w(2, 4, 1, 1))).toThrow('conv2d: the input must have 4 dimensions, got [4,3]');
  });

  it('counts multiply-accumulates as the papers do', () => {
    const x = input('x', [2, 4, 8, 8]);
    const w = constant([6, 2, 3, 3], new Float32Array(108));
    const conv = ops.conv2d(x, w, undefined, { groups: 2, stride: 2, padding: 1 });
    expect(conv.op.macs?.(conv)).toBe(2 * 6 * 4 * 4 * (2 * 9));
    const fc1 = ops.linear(input('v', [3, 10]), constant([5, 10], new Float32Array(50)));
    expect(fc1.op.macs?.(fc1)).toBe(150);
  });
});

describe('linear', () => {
  it('is a pointwise convolution of one pixel', () => {
    fc.assert(
      fc.property(small(1, 3), small(1, 7), small(1, 5), fc.nat(), (n, k, o, seed) => {
        const x = Grid.random([n, k], seed);
        const [w, b] = [Grid.random([o, k], seed + 1), Grid.random([o], seed + 2)];
        const y = compute(x, (v) => ops.linear(v, w.value, b.value));
        const conv = compute(new Grid([n, k, 1, 1], x.data), (v) =>
          ops.conv2d(v, new Grid([o, k, 1, 1], w.data).value, b.value),
        );
        expectGrid(y, [n, o], (i, j) => conv.at(i, j, 0, 0));
      }),
      { numRuns: 20 },
    );
  });
});

describe('batch_norm', () => {
  it.each([[[2, 3, 2, 4]], [[5, 3]]])('normalises the channels of %j', (shape) => {
    const x = Grid.random(shape, 1);
    const [weight, bias, mean, deviation] = [2, 3, 4, 5].map((seed) => Grid.random([3], seed));
    const variance = new Grid(
      [3],
      deviation.data.map((v) => Math.fround(v * v)),
    );
    const y = compute(x, (v) =>
      ops.batchNorm(
        v,
        { weight: weight.value, bias: bias.value, runningMean: mean.value, runningVar: variance.value },
        { epsilon: 0.25 },
      ),
    );
    expectGrid(y, shape, (...index) => {
      const c = index[1];
      const factor = weight.at(c) * (variance.at(c) + 0.25) ** -0.5;
      return x.at(...index) * factor + bias.at(c) - mean.at(c) * factor;
    });
  });
});

describe('binary', () => {
  const rules = [
    { op: ops.add, f: (a: number, b: number) => a + b },
    { op: ops.sub, f: (a: number, b: number) => a - b },
    { op: ops.mul, f: (a: number, b: number) => a * b },
    { op: ops.div, f: (a: number, b: number) => a / b },
    { op: ops.maximum, f: (a: number, b: number) => (a > b ? a : b) },
    { op: ops.minimum, f: (a: number, b: number) => (a > b ? b : a) },
  ];
  it('broadcasts as NumPy does', () => {
    const dimension = fc.record({ size: small(1, 3), a: fc.boolean(), b: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(dimension, { maxLength: 4 }),
        small(0, 4),
        small(0, 4),
        fc.constantFrom(...rules),
        fc.nat(),
        (dimensions, dropA, dropB, { op, f }, seed) => {
          // One of the operands keeps all dimensions; the other may lack some in front, or have 1 in their place.
          const full = dimensions.map((d) => (d.a || !d.b ? d.size : 1));
          const part = dimensions.map((d) => (d.b ? d.size : 1)).slice(dropA);
          const [left, right] = dropB % 2 ? [full, part] : [part, full];
          const a = Grid.random(left, seed);
          const b = Grid.random(right, seed + 1);
          const out = dimensions.map((d, i) => Math.max(full[i], i < dropA ? 1 : d.b ? d.size : 1));
          const y = compute(a, (v) => op(v, b.value));
          const pick = (g: Grid, index: Index) =>
            g.at(...index.slice(index.length - g.shape.length).map((i, d) => (g.shape[d] === 1 ? 0 : i)));
          expectGrid(y, out, (...index) => f(pick(a, index), pick(b, index)));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('says what does not broadcast', () => {
    expect(() => ops.add(input('a', [2, 3]), input('b', [2, 4]))).toThrow('add: [2,3] and [2,4] do not broadcast');
  });
});

describe('pools', () => {
  it('reduce the pixels of every window', () => {
    fc.assert(
      fc.property(
        fc.tuple(small(3, 6), small(3, 6)),
        small(1, 3),
        small(1, 3),
        small(0, 2),
        fc.boolean(),
        fc.nat(),
        (size, kernel, stride, padding, countIncludePad, seed) => {
          fc.pre(padding < kernel);
          const x = Grid.random([2, 2, ...size], seed);
          const out = [2, 2, ...size.map((s) => Math.floor((s + 2 * padding - kernel) / stride) + 1)];
          const window = (n: number, c: number, oy: number, ox: number) =>
            indices([kernel, kernel])
              .map(([ky, kx]) => [oy * stride - padding + ky, ox * stride - padding + kx])
              .filter(([iy, ix]) => iy >= 0 && ix >= 0 && iy < size[0] && ix < size[1])
              .map(([iy, ix]) => x.at(n, c, iy, ix));
          const options = { stride, padding, countIncludePad };
          expectGrid(
            compute(x, (v) => ops.maxPool(v, kernel, options)),
            out,
            (n, c, oy, ox) => Math.max(...window(n, c, oy, ox)),
          );
          expectGrid(
            compute(x, (v) => ops.averagePool(v, kernel, options)),
            out,
            (n, c, oy, ox) => {
              const pixels = window(n, c, oy, ox);
              return total(pixels) / (countIncludePad ? kernel ** 2 : pixels.length);
            },
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  it('the global average is the mean of each channel', () => {
    const x = Grid.random([2, 3, 4, 5], 1);
    expectGrid(
      compute(x, ops.globalAveragePool),
      [2, 3, 1, 1],
      (n, c) => total(indices([4, 5]).map(([h, w]) => x.at(n, c, h, w))) / 20,
    );
  });

  it('padding as wide as the window is refused', () => {
    expect(() => ops.maxPool(input('x', [1, 1, 4, 4]), 2, { padding: 2 })).toThrow('padding must be smaller');
  });
});

describe('shapes', () => {
  it('concat joins channels and slice takes them apart', () => {
    for (const rest of [[], [2, 3]]) {
      const a = Grid.random([2, 2, ...rest], 1);
      const b = Grid.random([2, 3, ...rest], 2);
      const joined = compute(a, (v) => ops.concat([v, b.value]));
      expectGrid(joined, [2, 5, ...rest], (n, c, ...at) => (c < 2 ? a.at(n, c, ...at) : b.at(n, c - 2, ...at)));
      expectGrid(
        compute(joined, (v) => ops.slice(v, 1, 4)),
        [2, 3, ...rest],
        (n, c, ...at) => joined.at(n, c + 1, ...at),
      );
    }
    expect(() => ops.concat([input('a', [1, 2, 3, 3]), input('b', [1, 2, 3, 4])])).toThrow('differ in more than');
    expect(() => ops.slice(input('a', [1, 2]), 1, 3)).toThrow('slice: channels 1 to 3 of 2');
  });

  it('reshape keeps the row-major order', () => {
    const x = Grid.random([2, 3, 2, 2], 1);
    expect([...compute(x, ops.flatten).data]).toEqual([...x.data]);
    expect(compute(x, ops.flatten).shape).toEqual([2, 12]);
    expect(() => ops.reshape(input('a', [2, 3]), [4])).toThrow('reshape: [2,3] cannot become [4]');
  });

  it('dropout is the identity', () => {
    const x = Grid.random([2, 3], 1);
    expect([...compute(x, (v) => ops.dropout(v, 0.5)).data]).toEqual([...x.data]);
  });
});

describe('softmax', () => {
  it.each([[[3, 5]], [[2, 4, 2, 3]]])('of %j: exponentials that sum to one over the channels', (shape) => {
    const x = Grid.random(shape, 1);
    expectGrid(compute(x, ops.softmax), shape, (n, c, ...at) => {
      const e = range(shape[1]).map((k) => Math.exp(x.at(n, k, ...at)));
      return e[c] / total(e);
    });
  });

  it('stands large numbers', () => {
    const y = compute(new Grid([1, 2], Float64Array.of(1e4, 1e4 - Math.log(3))), ops.softmax);
    expect(y.data[0]).toBeCloseTo(0.75, 9);
  });
});

describe('functions', () => {
  it('the error function is that of PyTorch', () => {
    const points = [-4, -3.1, -2.5, -0.3, 0, 0.5, 1.5, 2.9, 3.5, 5.5, 9];
    const wanted = [
      -0.9999999845827421, -0.9999883513426328, -0.999593047982555, -0.3286267594591274, 0, 0.5204998778130465,
      0.9661051464753108, 0.9999589021219005, 0.9999992569016276, 0.9999999999999927, 1,
    ];
    const y = compute(new Grid([points.length], Float64Array.from(points)), ops.erf);
    expectGrid(y, [points.length], (i) => wanted[i]);
  });

  it('exponential, logarithm and square root are those of the language', () => {
    const x = new Grid([3], Float64Array.of(0.25, 1, 7));
    for (const [f, wanted] of [
      [ops.exp, Math.exp],
      [ops.log, Math.log],
      [ops.sqrt, Math.sqrt],
    ] as const)
      expectGrid(compute(x, f), [3], (i) => wanted(x.data[i]));
  });
});

describe('layer norm', () => {
  it.each([[[3, 5]], [[2, 4, 2, 3]]])('of %j: mean and variance over the channels', (shape) => {
    const x = Grid.random(shape, 1);
    const [scale, shift] = [Grid.random([shape[1]], 2), Grid.random([shape[1]], 3)];
    const y = compute(x, (v) => ops.layerNorm(v, { scale: scale.value, shift: shift.value }, { epsilon: 0.01 }));
    expectGrid(y, shape, (n, c, ...at) => {
      const row = range(shape[1]).map((k) => x.at(n, k, ...at));
      const mean = total(row) / row.length;
      const variance = total(row.map((v) => (v - mean) ** 2)) / row.length;
      return ((row[c] - mean) / Math.sqrt(variance + 0.01)) * scale.at(c) + shift.at(c);
    });
    expect(() => ops.layerNorm(input('a', [1, 2, 3]), { scale: scale.value, shift: shift.value })).toThrow(
      'layer_norm: input [1,2,3] does not fit scale',
    );
  });
});

describe('activations', () => {
  const points = [-7, -3, -1, 0, 1, 2.5, 3, 7];
  const wanted: Record<ops.ActivationName, number[]> = {
    none: points,
    relu: [0, 0, 0, 0, 1, 2.5, 3, 7],
    relu6: [0, 0, 0, 0, 1, 2.5, 3, 6],
    hard_sigmoid: [0, 0, 1 / 3, 0.5, 2 / 3, 5.5 / 6, 1, 1],
    hard_swish: [0, 0, -1 / 3, 0, 2 / 3, 13.75 / 6, 3, 7],
    sigmoid: points.map((v) => (1 + Math.tanh(v / 2)) / 2),
    tanh: points.map((v) => (Math.exp(2 * v) - 1) / (Math.exp(2 * v) + 1)),
    leaky_relu: [-0.07, -0.03, -0.01, 0, 1, 2.5, 3, 7],
    // By PyTorch's torch.nn.functional.gelu in double precision.
    gelu: [
      -8.958667141456544e-12, -0.00404969409489031, -0.15865525393145702, 0, 0.841344746068543, 2.4844758366855597,
      2.99595030590511, 6.999999999991041,
    ],
  };
  it.each(Object.entries(wanted))('%s', (kind, values) => {
    const x = new Grid([points.length], Float64Array.from(points));
    const y = compute(x, (v) => apply(ops.activationOp, [v], { kind: kind as ops.ActivationName }));
    expectGrid(y, x.shape, (i) => values[i]);
  });

  it('are the same when they are fused', () => {
    const x = Grid.random([2, 3], 1);
    const other = Grid.random([2, 3], 2);
    for (const kind of Object.keys(wanted) as ops.ActivationName[]) {
      const fused = compute(x, (v) => apply(ops.binaryOp, [v, other.value], { kind: 'add', activation: kind }));
      const apart = compute(x, (v) => apply(ops.activationOp, [ops.add(v, other.value)], { kind }));
      expect([...fused.data]).toEqual([...apart.data]);
    }
  });
});
