import fc from 'fast-check';
import { describe, it } from 'vitest';
import { constant, input } from '../../../src/graph/leaves.js';
import { apply, type Value } from '../../../src/graph/value.js';
import { ACTIVATIONS } from '../../../src/ops/activation.js';
import * as ops from '../../../src/ops/index.js';
import { sizeOf } from '../../../src/tensor/tensor.js';
import { expectSame, noise } from './run.js';

/** A step from an image to an image; `seen` are all images so far. `undefined` when it does not fit. */
type Step = (x: Value, seen: readonly Value[], seed: number) => Value | undefined;

const small = (max: number, min = 0) => fc.integer({ min, max });
const of = (seed: number, ...shape: number[]) => constant(shape, noise(shape, seed));
/** Weights that keep magnitudes where they are. */
const weights = (seed: number, ...shape: number[]) =>
  constant(
    shape,
    noise(shape, seed).map((v) => v * Math.sqrt(3 / sizeOf(shape.slice(1)))),
  );

const activation = fc.constantFrom(...ACTIVATIONS.filter((kind) => kind !== 'none'));

const fits = (x: Value, ky: number, kx: number, padding: readonly number[]) =>
  x.shape[2] + padding[0] + padding[2] >= ky && x.shape[3] + padding[1] + padding[3] >= kx;

const convolution: fc.Arbitrary<Step> = fc
  .record({
    kernel: fc.tuple(small(3, 1), small(3, 1)),
    stride: fc.tuple(small(2, 1), small(2, 1)),
    padding: fc.tuple(small(2), small(2), small(2), small(2)),
    dilation: fc.tuple(small(2, 1), small(2, 1)),
    groups: small(4, 1),
    perGroup: small(3, 1),
    bias: fc.boolean(),
    scale: fc.boolean(),
    residual: fc.boolean(),
    activation: fc.oneof(fc.constant<ops.ActivationName>('none'), activation),
  })
  .map((r) => (x, _, seed) => {
    const [n, c] = x.shape;
    const [ky, kx] = r.kernel.map((k, i) => (k - 1) * r.dilation[i] + 1);
    if (!fits(x, ky, kx, r.padding)) return undefined;
    const groups = c % r.groups === 0 ? r.groups : c;
    const out = groups * r.perGroup;
    const weight = weights(seed, out, c / groups, ...r.kernel);
    const attrs = { ...ops.conv2dAttrs({ ...r, groups }), activation: r.activation };
    const plain = ops.conv2dFrom({ x, weight }, attrs);
    return ops.conv2dFrom(
      {
        x,
        weight,
        bias: r.bias ? of(seed + 1, out) : undefined,
        residual: r.residual ? of(seed + 2, ...plain.shape) : undefined,
        scale: r.scale ? ops.sigmoid(of(seed + 3, n, c, 1, 1)) : undefined,
      },
      attrs,
    );
  });

const pooling: fc.Arbitrary<Step> = fc
  .record({
    kind: fc.constantFrom('max' as const, 'average' as const),
    kernel: fc.tuple(small(3, 1), small(3, 1)),
    stride: fc.tuple(small(2, 1), small(2, 1)),
    padding: fc.tuple(small(2), small(2), small(2), small(2)),
    countIncludePad: fc.boolean(),
  })
  .map((r) => (x) => {
    const [ky, kx] = r.kernel;
    const [top, left, bottom, right] = r.padding;
    const padding = [top % ky, left % kx, bottom % ky, right % kx] as const;
    return fits(x, ky, kx, padding) ? apply(ops.poolOp, [x], { ...r, padding }) : undefined;
  });

const normalisation: fc.Arbitrary<Step> = small(3).map((e) => (x, _, seed) => {
  const c = x.shape[1];
  const runningVar = constant(
    [c],
    noise([c], seed + 3).map((v) => 1 + v / 2),
  );
  const statistics = { weight: of(seed, c), bias: of(seed + 1, c), runningMean: of(seed + 2, c), runningVar };
  return ops.batchNorm(x, statistics, { epsilon: 10 ** -(e + 2) });
});

const arithmetic: fc.Arbitrary<Step> = fc
  .record({
    kind: fc.constantFrom<ops.BinaryName>('add', 'mul', 'sub', 'div', 'max', 'min'),
    form: small(6),
    swap: fc.boolean(),
  })
  .map(({ kind, form, swap }) => (x, seen, seed) => {
    const [n, c, h, w] = x.shape;
    const shapes = [[n, c, 1, 1], [1, c, 1, 1], [c, 1, 1], [1, 1, h, w], [h, 1], []];
    // Divisors stay away from zero, so they are never a value of the graph.
    const other =
      form < shapes.length || kind === 'div'
        ? constant(
            shapes[form % shapes.length],
            noise(shapes[form % shapes.length], seed).map((v) => 1 + v / 2),
          )
        : seen.find((v) => v.shape.every((d, i) => d === x.shape[i] || d === 1));
    if (!other) return undefined;
    const operands = swap && kind !== 'div' ? [other, x] : [x, other];
    return apply(ops.binaryOp, operands, { kind, activation: 'none' });
  });

const channels: fc.Arbitrary<Step> = fc
  .tuple(small(5), small(5, 1), fc.boolean())
  .map(([from, count, join]) => (x, seen) => {
    if (join) {
      const [n, , h, w] = x.shape;
      const fit = seen.filter((v) => v.shape[0] === n && v.shape[2] === h && v.shape[3] === w && v.shape[1] < 16);
      return x.shape[1] < 16 ? ops.concat([x, ...fit.slice(0, 2)]) : undefined;
    }
    const start = Math.min(from, x.shape[1] - 1);
    return ops.slice(x, start, Math.min(start + count, x.shape[1]));
  });

const elementWise: fc.Arbitrary<Step> = activation.map((kind) => (x) => apply(ops.activationOp, [x], { kind }));

const squeeze: fc.Arbitrary<Step> = fc
  .boolean()
  .map((soft) => (x) => ops.mul(x, (soft ? ops.softmax : ops.hardSigmoid)(ops.globalAveragePool(x))));

const folding: fc.Arbitrary<Step> = fc.boolean().map((whole) => (x) => {
  const [n, c, h, w] = x.shape;
  return whole ? ops.reshape(ops.relu(ops.flatten(x)), [n, w, c, h]) : ops.reshape(x, [n, h, c, w]);
});

const recipe = fc.record({
  image: fc.tuple(small(2, 1), small(6, 1), small(9, 3), small(9, 3)),
  steps: fc.array(
    fc.oneof(
      { arbitrary: convolution, weight: 5 },
      pooling,
      normalisation,
      arithmetic,
      channels,
      elementWise,
      squeeze,
      folding,
    ),
    { minLength: 1, maxLength: 8 },
  ),
  classes: small(5, 1),
});

describe('ONNX export', () => {
  it('means the same as the graph, whatever the graph', async () => {
    await fc.assert(
      fc.asyncProperty(recipe, async ({ image, steps, classes }) => {
        const x = input('x', image);
        const seen: Value[] = [x];
        for (const [i, step] of steps.entries()) {
          const next = step(seen[seen.length - 1], seen, 100 * (i + 1));
          if (next && sizeOf(next.shape) < 20_000) seen.push(next);
        }
        const last = seen[seen.length - 1];
        const vector = ops.flatten(last);
        const logits = ops.linear(vector, weights(7, classes, vector.shape[1]), of(8, classes));
        await expectSame(
          { inputs: { x }, outputs: { last, logits, probabilities: ops.softmax(logits) } },
          { scale: 1 },
        );
      }),
      { numRuns: 150 },
    );
  });
});
