import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constant, dataOf, nameOf } from '../../src/graph/leaves.js';
import { reparameterize } from '../../src/graph/passes/reparameterize.js';
import { countOps, type Graph, type Value } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';
import { applied, convolutions, graphOf, Layers } from './support.js';

const image = [2, 4, 6, 5];
const ONE_CONVOLUTION = { input: 1, constant: 2, conv2d: 1 };
const sum = (...terms: Value[]) => terms.reduce(ops.add);

/** Merges, checks that the function is the same, and returns the one convolution that is left of the graph. */
function merged(graph: Graph) {
  const result = applied(reparameterize, graph);
  expect(countOps(result)).toEqual(ONE_CONVOLUTION);
  return convolutions(result)[0];
}

describe('reparameterize', () => {
  it('RepVGG: 3x3, 1x1 and identity, each with a batch norm', () => {
    const l = new Layers();
    const block = (x: Value) => sum(l.convBn(x, 4, 3, { padding: 1 }), l.convBn(x, 4, 1), l.bn(x));
    const conv = merged(graphOf(image, block));
    expect(conv.inputs[1].shape).toEqual([4, 4, 3, 3]);
    expect(conv.attrs).toMatchObject({ padding: [1, 1, 1, 1], groups: 1, bias: true });
  });

  it('RepVGG with a stride and with groups', () => {
    const l = new Layers();
    const strided = { stride: 2, groups: 2 };
    const conv = merged(
      graphOf(image, (x) => ops.add(l.convBn(x, 6, 3, { padding: 1, ...strided }), l.convBn(x, 6, 1, strided))),
    );
    expect(conv.inputs[1].shape).toEqual([6, 2, 3, 3]);
    expect(conv.attrs).toMatchObject({ stride: [2, 2], groups: 2 });
  });

  it.each([1, 2, 3, 4])('MobileOne: %i convolutions, a 1x1 scale and a batch norm, depthwise and pointwise', (k) => {
    const l = new Layers(k);
    const times = (branch: () => Value) => Array.from({ length: k }, branch);
    const depthwise = merged(
      graphOf(image, (x) => sum(l.bn(x), l.depthwiseBn(x, 1), ...times(() => l.depthwiseBn(x, 3)))),
    );
    expect(depthwise.inputs[1].shape).toEqual([4, 1, 3, 3]);
    expect(depthwise.attrs.groups).toBe(4);
    const pointwise = merged(graphOf(image, (x) => sum(l.bn(x), ...times(() => l.convBn(x, 4, 1)))));
    expect(pointwise.inputs[1].shape).toEqual([4, 4, 1, 1]);
    const strided = merged(
      graphOf(image, (x) =>
        sum(l.depthwiseBn(x, 1, { stride: 2 }), ...times(() => l.depthwiseBn(x, 3, { stride: 2 }))),
      ),
    );
    expect(strided.attrs.stride).toEqual([2, 2]);
  });

  const fusions: Record<string, (l: Layers, x: Value) => Value[]> = {
    bn: (l, x) => [l.bn(x)],
    identity: (_, x) => [x],
    'bn+identity': (l, x) => [l.bn(x), x],
  };
  it.each(Object.entries(fusions))('RepGhost: depthwise 3x3 and %s, in a bottleneck with a residual', (_, fusion) => {
    const l = new Layers();
    const ghost = (x: Value, out: number) => {
      const intrinsic = l.convBn(x, out, 1);
      return sum(l.depthwiseBn(intrinsic, 3), ...fusion(l, intrinsic));
    };
    const graph = graphOf(image, (x) => ops.add(ghost(ops.relu(ghost(x, 8)), 4), x));
    const result = applied(reparameterize, graph);
    // What is left: the residual, and the batch norms of the two primary convolutions for the pass that folds them.
    expect(countOps(result)).toMatchObject({ conv2d: 4, batch_norm: 2, binary: 1 });
    const depthwise = convolutions(result).filter(ops.isDepthwise);
    expect(depthwise.map((v) => v.inputs[1].shape)).toEqual([
      [8, 1, 3, 3],
      [4, 1, 3, 3],
    ]);
    expect(result.outputs.y.inputs).toContain(result.inputs.x);
  });

  it('RepGhost with a projection on the shortcut', () => {
    const l = new Layers();
    const graph = graphOf(image, (x) => {
      const intrinsic = ops.relu(l.conv(x, 6, 1));
      const shortcut = l.conv(l.depthwise(x, 3), 6, 1);
      return ops.relu(sum(l.depthwiseBn(intrinsic, 3), l.bn(intrinsic), shortcut));
    });
    expect(countOps(applied(reparameterize, graph))).toMatchObject({ conv2d: 4, binary: 1, activation: 2 });
  });

  it('ACNet: 3x3, 1x3 and 3x1, whichever comes first', () => {
    const l = new Layers();
    const square = (x: Value) => l.convBn(x, 3, 3, { padding: 1 });
    const row = (x: Value) => l.convBn(x, 3, [1, 3], { padding: [0, 1] });
    const column = (x: Value) => l.convBn(x, 3, [3, 1], { padding: [1, 0] });
    for (const branches of [
      [square, row, column],
      [row, column, square],
    ]) {
      const conv = merged(graphOf(image, (x) => sum(...branches.map((branch) => branch(x)))));
      expect(conv.inputs[1].shape).toEqual([3, 4, 3, 3]);
    }
    // On their own they are cheaper as they are.
    const cross = graphOf(image, (x) => ops.add(row(x), column(x)));
    expect(applied(reparameterize, cross).outputs.y).toBe(cross.outputs.y);
  });

  it('large kernels with small and dilated ones inside', () => {
    const l = new Layers();
    const conv = merged(
      graphOf([1, 3, 9, 9], (x) =>
        sum(
          l.depthwiseBn(x, 3),
          l.depthwiseBn(x, 3, { dilation: 2, padding: 2 }),
          l.depthwiseBn(x, 7),
          l.depthwise(x, 5, { bias: true }),
        ),
      ),
    );
    expect(conv.inputs[1].shape).toEqual([3, 1, 7, 7]);
  });

  it('a single tap fits into any dilation', () => {
    const l = new Layers();
    const conv = merged(
      graphOf(image, (x) => sum(l.depthwise(x, 3, { dilation: 2, padding: 2 }), l.depthwise(x, 1, { dilation: 3 }), x)),
    );
    expect(conv.attrs).toMatchObject({ dilation: [2, 2], padding: [2, 2, 2, 2] });
    expect(conv.inputs[1].shape).toEqual([4, 1, 3, 3]);
  });

  it('taps between and beside the others', () => {
    const l = new Layers();
    const between = merged(
      graphOf(image, (x) =>
        ops.add(
          l.conv(x, 4, [1, 3], { padding: [0, 2], dilation: 2, groups: 4 }),
          l.conv(x, 4, [1, 2], { padding: [0, 1], dilation: 2, groups: 4 }),
        ),
      ),
    );
    expect(between.inputs[1].shape).toEqual([4, 1, 1, 5]);
    expect(between.attrs).toMatchObject({ dilation: [1, 1], padding: [0, 2, 0, 2] });
    const beside = merged(
      graphOf(image, (x) =>
        ops.add(l.conv(x, 4, 1, { padding: [1, 0, 0, 1] }), l.conv(x, 4, 1, { padding: [0, 0, 1, 1] })),
      ),
    );
    expect(beside.inputs[1].shape).toEqual([4, 4, 2, 1]);
  });

  it('branches that are broadcast over the rest of a sum, among themselves', () => {
    const l = new Layers();
    const graph = graphOf(image, (x) => {
      const pooled = ops.globalAveragePool(x);
      return sum(ops.add(pooled, l.conv(pooled, 4, 1)), x, l.depthwise(x, 3), l.bn(pooled));
    });
    expect(countOps(applied(reparameterize, graph))).toMatchObject({ conv2d: 2, binary: 1 });
  });

  it('scales by constants of every shape, nested sums and a batch norm behind the sum', () => {
    const l = new Layers();
    const conv = merged(
      graphOf(image, (x) => {
        const scaled = ops.mul(l.array([4, 1, 1]), ops.add(ops.mul(x, constant([], [0.5])), l.depthwiseBn(x, 3)));
        return l.bn(ops.add(ops.mul(l.depthwise(x, 3), l.array([1, 4, 1, 1])), ops.add(scaled, x)));
      }),
    );
    expect(conv.attrs.groups).toBe(4);
  });

  it('merges into the finest groups that hold all branches', () => {
    const l = new Layers();
    const groups = (...of: number[]) =>
      merged(graphOf([1, 12, 4, 4], (x) => sum(...of.map((g) => l.conv(x, 12, 1, { groups: g }))))).attrs.groups;
    expect(groups(4, 2)).toBe(2);
    expect(groups(12, 4)).toBe(4);
    expect(groups(2, 6, 4)).toBe(2);
    expect(groups(12, 1, 3)).toBe(1);
    // Several kernels for each channel.
    expect(
      merged(graphOf(image, (x) => ops.add(l.conv(x, 8, 1, { groups: 4 }), l.conv(x, 8, 1, { groups: 2 })))).attrs
        .groups,
    ).toBe(2);
  });

  it('merges an identity and a batch norm, but not a value with itself', () => {
    const l = new Layers();
    expect(merged(graphOf(image, (x) => ops.add(x, l.bn(x)))).inputs[1].shape).toEqual([4, 1, 1, 1]);
    const twice = graphOf(image, (x) => ops.add(x, x));
    expect(applied(reparameterize, twice).outputs.y).toBe(twice.outputs.y);
  });

  it('is done with a sum of thousands of terms, which would have to be compared with each other', () => {
    const l = new Layers();
    const graph = graphOf([1, 2, 3, 3], (x) => sum(l.conv(x, 2, 1), ...new Array<Value>(2000).fill(x)));
    expect(countOps(applied(reparameterize, graph)).binary).toBeGreaterThan(1000);
  });

  it('merges what it can of a sum over several values and leaves the rest as it was', () => {
    const l = new Layers();
    const graph = graphOf(image, (x) => {
      const z = ops.relu(x);
      const pooled = ops.globalAveragePool(x);
      return sum(
        l.conv(x, 4, 1),
        l.bn(z),
        pooled,
        l.convBn(x, 4, 3, { padding: 1 }),
        l.depthwise(z, 3),
        l.array([1, 4, 6, 5]),
      );
    });
    expect(countOps(applied(reparameterize, graph))).toEqual({
      input: 1,
      constant: 5,
      activation: 1,
      global_average_pool: 1,
      conv2d: 2,
      binary: 3,
    });
  });

  it('leaves a dense 1x1 and a depthwise 3x3 apart, each with what fits to it', () => {
    const l = new Layers();
    const graph = graphOf([1, 16, 4, 4], (x) =>
      sum(l.convBn(x, 16, 1), l.depthwiseBn(x, 3), l.convBn(x, 16, 1), l.depthwiseBn(x, 1)),
    );
    const result = applied(reparameterize, graph);
    expect(countOps(result)).toMatchObject({ conv2d: 2, binary: 1 });
    expect(convolutions(result).map((v) => v.inputs[1].shape)).toEqual(
      expect.arrayContaining([
        [16, 16, 1, 1],
        [16, 1, 3, 3],
      ]),
    );
  });

  it('keeps the name of the largest kernel', () => {
    const l = new Layers();
    const graph = graphOf(image, (x) =>
      sum(
        l.bn(x, 'fusion'),
        l.depthwise(x, 1, { name: 'small' }),
        l.bn(l.depthwise(x, 3, { name: 'cheap.0' }), 'cheap.1'),
      ),
    );
    expect(merged(graph).inputs.slice(1).map(nameOf)).toEqual(['cheap.0.weight', 'cheap.0.bias']);
    const names = merged(graphOf(image, (x) => ops.add(x, l.bn(x, 'fusion'))))
      .inputs.slice(1)
      .map(nameOf);
    expect(names).toEqual(['fusion.weight', 'fusion.bias']);
  });

  it('computes in double precision and rounds once', () => {
    const [a, b, c, g] = [0.1, 0.7, 0.3, 0.9].map(Math.fround);
    const kernel = (v: number) => constant([1, 1, 1, 1], [v]);
    const graph = graphOf([1, 1, 2, 2], (x) => {
      const inner = ops.add(ops.conv2d(x, kernel(a)), ops.mul(ops.conv2d(x, kernel(b)), constant([], [c])));
      return ops.mul(ops.add(inner, x), constant([], [g]));
    });
    const [conv] = convolutions(applied(reparameterize, graph, 1e-6));
    expect(dataOf(conv.inputs[1])?.[0]).toBe(Math.fround((a + b * c + 1) * g));
  });

  it('any tree of branches stays the same function, in one convolution', () => {
    const kinds = ['identity', 'bn', 'scale', 'pointwise', 'depthwise', 'grouped', 'square', 'row', 'wide'] as const;
    const branch = (l: Layers, x: Value, kind: (typeof kinds)[number]): Value => {
      switch (kind) {
        case 'identity':
          return x;
        case 'bn':
          return l.bn(x);
        case 'scale':
          return ops.mul(x, l.array([1, 4, 1, 1]));
        case 'pointwise':
          return l.convBn(x, 4, 1);
        case 'depthwise':
          return l.depthwiseBn(x, 3);
        case 'grouped':
          return l.conv(x, 4, 3, { padding: 1, groups: 2, bias: true });
        case 'square':
          return ops.mul(l.convBn(x, 4, 3, { padding: 1 }), l.array([4, 1, 1]));
        case 'row':
          return l.conv(x, 4, [1, 3], { padding: [0, 1, 0, 1] });
        case 'wide':
          return l.depthwise(x, 5);
      }
    };
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.constantFrom(...kinds), { maxLength: 5 }), fc.nat(), (seed, chosen, at) => {
        const l = new Layers(seed);
        const graph = graphOf(image, (x) => {
          // The largest kernel is there, so that everything fits into it.
          const terms = [l.conv(x, 4, 5, { padding: 2 }), branch(l, x, kinds[at % kinds.length])];
          terms.push(...chosen.map((kind) => branch(l, x, kind)));
          // Joins neighbours in a random order, now and then with a batch norm behind what the largest is in.
          for (let i = at; terms.length > 1; i = i * 31 + 7) {
            const p = i % (terms.length - 1);
            const joined = ops.add(terms[p], terms[p + 1]);
            terms.splice(p, 2, p === 0 && i % 3 === 0 ? l.bn(joined) : joined);
            i %= 1009;
          }
          return terms[0];
        });
        expect(merged(graph).inputs[1].shape).toEqual([4, 4, 5, 5]);
      }),
      { numRuns: 60 },
    );
  });

  it('parts of a kernel with any stride, padding and dilation merge into it', () => {
    const dimension = fc.record({
      size: fc.integer({ min: 7, max: 9 }),
      kernel: fc.integer({ min: 1, max: 4 }),
      stride: fc.integer({ min: 1, max: 3 }),
      dilation: fc.integer({ min: 1, max: 2 }),
      before: fc.integer({ min: 0, max: 3 }),
      after: fc.integer({ min: 0, max: 3 }),
    });
    type Dimension = typeof dimension extends fc.Arbitrary<infer T> ? T : never;
    const outputs = (d: Dimension) =>
      Math.floor((d.size + d.before + d.after - d.dilation * (d.kernel - 1) - 1) / d.stride) + 1;
    /** Some taps of a kernel, with the padding that gives the same output; all of them where padding would be negative. */
    const part = (d: Dimension, a: number, b: number): Dimension => {
      const [first, last] = [a % d.kernel, b % d.kernel].sort((p, q) => p - q);
      const before = d.before - first * d.dilation;
      const kernel = last - first + 1;
      const read = (outputs(d) - 1) * d.stride + d.dilation * (kernel - 1) + 1;
      const taken = { ...d, kernel, before, after: Math.max(0, read - d.size - before) };
      return before >= 0 && outputs(taken) === outputs(d) ? taken : d;
    };
    const conv = (l: Layers, x: Value, h: Dimension, w: Dimension, groups: number) =>
      l.conv(x, 4, [h.kernel, w.kernel], {
        stride: [h.stride, w.stride],
        dilation: [h.dilation, w.dilation],
        padding: [h.before, w.before, h.after, w.after],
        groups,
      });
    const taps = fc.tuple(fc.nat(7), fc.nat(7), fc.nat(7), fc.nat(7), fc.constantFrom(1, 2, 4));
    fc.assert(
      fc.property(
        fc.integer(),
        dimension,
        dimension,
        fc.array(taps, { minLength: 1, maxLength: 4 }),
        (seed, h, w, parts) => {
          const l = new Layers(seed);
          const graph = graphOf([1, 4, h.size, w.size], (x) =>
            sum(
              ...parts.map(([a, b, c, d, groups]) => conv(l, x, part(h, a, b), part(w, c, d), groups)),
              conv(l, x, h, w, 1),
            ),
          );
          expect(merged(graph).inputs[1].shape).toEqual([4, 4, h.kernel, w.kernel]);
        },
      ),
      { numRuns: 60 },
    );
  });
});
