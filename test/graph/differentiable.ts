import fc from 'fast-check';
import { apply, type Value } from '../../src/graph/value.js';
import { ACTIVATIONS, OF_INPUT } from '../../src/ops/activation.js';
import { batchNormPair, type NormOperands } from '../../src/ops/batch-norm-pair.js';
import { batchNormTrain, batchStatistics } from '../../src/ops/batch-norm-train.js';
import { dropoutTrain } from '../../src/ops/dropout-train.js';
import * as ops from '../../src/ops/index.js';
import { crossEntropy } from '../../src/ops/loss.js';
import { broadcastTo, sumTo } from '../../src/ops/reduce.js';
import type { Shape } from '../../src/tensor/tensor.js';

// Random applications of every operator that has a gradient, small for finite differences, larger for the executor.

export interface Operand {
  readonly shape: Shape;
  /** What a program keeps and changes, as it does weights. */
  readonly parameter?: boolean;
  /** The operator has no gradient with respect to it: labels, a seed, running statistics. */
  readonly fixed?: boolean;
  /** The values from uniform ones in [-1, 1). */
  readonly of?: (v: number, i: number) => number;
}

export interface Case {
  readonly operands: Readonly<Record<string, Operand>>;
  build(values: Readonly<Record<string, Value>>): Value;
}

export interface Sizes {
  readonly batch: number;
  readonly pixels: number;
  readonly channels: number;
  /** The executor multiplies with a scale only in pointwise convolutions: the fusing pass makes no others. */
  readonly scaleAnywhere: boolean;
}

/** Those whose gradient follows from their result, so that they may stand fused behind another operator. */
const fusible = ACTIVATIONS.filter((kind) => !OF_INPUT.includes(kind));

const from1 = (max: number) => fc.integer({ min: 1, max });
/** Values on both sides of all bends of the activations. */
const wide = (v: number) => 8 * v;
const positive = (v: number) => v * v + 0.2;
const image = ({ batch, pixels, channels }: Sizes) =>
  fc.tuple(from1(batch), from1(channels), from1(pixels), from1(pixels)).map((shape): Shape => shape);
const rows = ({ batch, channels }: Sizes) => fc.tuple(from1(4 * batch), from1(channels)).map((shape): Shape => shape);
const imageOrRows = (sizes: Sizes) => fc.oneof(image(sizes), rows(sizes));

function convolution(sizes: Sizes, kind: 'dense' | 'grouped' | 'depthwise' | 'pointwise') {
  const { batch, pixels, channels, scaleAnywhere } = sizes;
  const several = kind === 'dense' || kind === 'pointwise' ? fc.constant(1) : fc.integer({ min: 2, max: 4 });
  const side = kind === 'pointwise' ? fc.constant(1) : from1(kind === 'depthwise' ? 5 : 4);
  const step = kind === 'pointwise' ? fc.constant(1) : from1(3);
  return fc
    .record({
      n: from1(batch),
      size: fc.tuple(from1(pixels), from1(pixels)),
      groups: kind === 'depthwise' ? from1(channels).map((c) => c + 1) : several,
      inputs: kind === 'depthwise' ? fc.constant(1) : from1(kind === 'grouped' ? Math.ceil(channels / 4) : channels),
      outputs: kind === 'depthwise' ? fc.constantFrom(1, 1, 1, 2, 3) : from1(channels),
      kernel: kind === 'depthwise' ? side.map((k): [number, number] => [k, k]) : fc.tuple(side, side),
      stride: fc.tuple(step, step),
      dilation: fc.tuple(from1(2), from1(2)),
      padding: kind === 'pointwise' ? fc.constant(0) : fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3)),
      bias: fc.boolean(),
      residual: fc.boolean(),
      scale: fc.boolean().map((b) => b && (kind === 'pointwise' || scaleAnywhere)),
      activation: fc.constantFrom(...fusible),
    })
    .filter(({ size, kernel, dilation, padding }) => {
      const sides = typeof padding === 'number' ? [0, 0] : [padding[0] + padding[2], padding[1] + padding[3]];
      return size.every((s, d) => s + sides[d] > dilation[d] * (kernel[d] - 1));
    })
    .map((c): Case => {
      const { groups, stride, dilation, padding, activation } = c;
      const attrs = { ...ops.conv2dAttrs({ groups, stride, dilation, padding }), activation };
      const x = [c.n, c.inputs * groups, ...c.size];
      const weight = [c.outputs * groups, c.inputs, ...c.kernel];
      const y = ops.conv2dOp.shape([x, weight], attrs);
      return {
        operands: {
          x: { shape: x },
          weight: { shape: weight, parameter: true },
          ...(c.bias && { bias: { shape: [weight[0]], parameter: true } }),
          ...(c.residual && { residual: { shape: y } }),
          ...(c.scale && { scale: { shape: [c.n, x[1], 1, 1] } }),
        },
        build: ({ x: input, weight: w, bias, residual, scale }) =>
          ops.conv2dFrom({ x: input, weight: w, bias, residual, scale }, attrs),
      };
    });
}

const linear = ({ batch, channels }: Sizes) =>
  fc
    .record({
      n: from1(4 * batch),
      k: from1(2 * channels),
      o: from1(channels),
      bias: fc.boolean(),
      activation: fc.constantFrom(...fusible),
    })
    .map(
      ({ n, k, o, bias, activation }): Case => ({
        operands: {
          x: { shape: [n, k] },
          weight: { shape: [o, k], parameter: true },
          ...(bias && { bias: { shape: [o], parameter: true } }),
        },
        build: (v) => apply(ops.linearOp, Object.values(v), { bias, activation }),
      }),
    );

const activation = (sizes: Sizes) =>
  fc.tuple(imageOrRows(sizes), fc.constantFrom(...ACTIVATIONS)).map(
    ([shape, kind]): Case => ({
      operands: { x: { shape, of: wide } },
      build: ({ x }) => apply(ops.activationOp, [x], { kind }),
    }),
  );

const mathematical = (sizes: Sizes) =>
  fc.tuple(imageOrRows(sizes), fc.constantFrom(ops.erf, ops.exp, ops.log, ops.sqrt)).map(
    ([shape, f]): Case => ({
      operands: { x: { shape, of: f === ops.log || f === ops.sqrt ? positive : (v) => 2 * v } },
      build: ({ x }) => f(x),
    }),
  );

/** A shape and another that broadcasts to it: ones anywhere, leading dimensions left out. */
const broadcast = (sizes: Sizes) =>
  fc
    .record({
      full: image(sizes),
      rank: from1(4),
      drop: fc.nat(3),
      ones: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    })
    .map(({ full, rank, drop, ones }) => {
      const shape = full.slice(4 - rank);
      return [shape, shape.map((d, i) => (ones[i] ? 1 : d)).slice(Math.min(drop, rank - 1))] as const;
    });

const binary = (sizes: Sizes) =>
  fc
    .record({
      shapes: broadcast(sizes),
      turned: fc.boolean(),
      kind: fc.constantFrom<ops.BinaryName>('add', 'mul', 'sub', 'div', 'max', 'min'),
      activation: fc.constantFrom(...fusible),
    })
    .map(({ shapes, turned, kind, activation }): Case => {
      const [a, b] = turned ? [...shapes].reverse() : shapes;
      const divisor = kind === 'div' ? positive : undefined;
      return {
        operands: { a: { shape: a, of: (v) => 3 * v }, b: { shape: b, of: divisor } },
        build: (v) => apply(ops.binaryOp, [v.a, v.b], { kind, activation }),
      };
    });

const normParameters = (channels: number) => ({
  weight: { shape: [channels], parameter: true },
  bias: { shape: [channels], parameter: true },
});

const batchNorm = (sizes: Sizes) =>
  fc.tuple(imageOrRows(sizes), fc.constantFrom(...fusible)).map(
    ([shape, kind]): Case => ({
      operands: {
        x: { shape },
        ...normParameters(shape[1]),
        runningMean: { shape: [shape[1]], parameter: true, fixed: true },
        runningVar: { shape: [shape[1]], parameter: true, fixed: true, of: positive },
      },
      build: (v) => apply(ops.batchNormOp, Object.values(v), { epsilon: 1e-3, momentum: 0.1, activation: kind }),
    }),
  );

const layerNorm = (sizes: Sizes) =>
  imageOrRows(sizes)
    .filter(([, channels]) => channels > 2)
    .map(
      (shape): Case => ({
        operands: { x: { shape, of: (v) => 2 * v + 0.5 }, ...normParameters(shape[1]) },
        build: (v) => ops.layerNorm(v.x, { scale: v.weight, shift: v.bias }, { epsilon: 1e-3 }),
      }),
    );

const trainedBatchNorm = (sizes: Sizes) =>
  fc
    .tuple(imageOrRows(sizes), fc.constantFrom('none', 'relu' as const))
    // Of a single element or two nothing is left but rounding, divided by the square root of epsilon.
    .filter(([shape]) => shape.reduce((a, b) => a * b, 1) / shape[1] > 2)
    .map(
      ([shape, kind]): Case => ({
        operands: { x: { shape, of: (v) => 2 * v + 0.5 }, ...normParameters(shape[1]) },
        build: ({ x, weight, bias }) =>
          batchNormTrain([x, weight, bias, batchStatistics(x)], { epsilon: 1e-3, activation: kind }),
      }),
    );

/** The operands of two batch norms, and their sum as one operator. */
export function pairOfNorms(shape: Shape, activation: 'none' | 'relu', of?: Operand['of']): Case {
  const parameters = normParameters(shape[1]);
  const second = Object.fromEntries(Object.entries(parameters).map(([name, operand]) => [`second ${name}`, operand]));
  return {
    operands: { a: { shape, of }, ...parameters, b: { shape, of }, ...second },
    build: (v) => {
      const norm = (x: Value, weight: Value, bias: Value) =>
        batchNormTrain([x, weight, bias, batchStatistics(x)], { epsilon: 1e-3, activation: 'none' });
      const both = [norm(v.a, v.weight, v.bias), norm(v.b, v['second weight'], v['second bias'])];
      const [first, other] = both.map(({ inputs }) => inputs as unknown as NormOperands);
      return batchNormPair(first, other, { activation });
    },
  };
}

const trainedPair = (sizes: Sizes) =>
  fc
    .tuple(imageOrRows(sizes), fc.constantFrom('none', 'relu' as const))
    .filter(([shape]) => shape.reduce((a, b) => a * b, 1) / shape[1] > 2)
    .map(([shape, kind]) => pairOfNorms(shape, kind, (v) => 2 * v + 0.5));

const pool = (sizes: Sizes) =>
  fc
    .record({
      shape: image(sizes),
      kind: fc.constantFrom('max', 'average' as const),
      kernel: fc.tuple(from1(3), from1(3)),
      stride: fc.tuple(from1(3), from1(3)),
      padding: fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)),
      countIncludePad: fc.boolean(),
    })
    .filter(({ shape, kernel, padding }) => {
      const fits = (d: 0 | 1) => shape[2 + d] + padding[d] + padding[d + 2] >= kernel[d];
      return padding.every((p, i) => p < kernel[i % 2]) && fits(0) && fits(1);
    })
    .map(
      ({ shape, ...attrs }): Case => ({ operands: { x: { shape } }, build: ({ x }) => apply(ops.poolOp, [x], attrs) }),
    );

const concat = (sizes: Sizes) =>
  fc.tuple(imageOrRows(sizes), fc.array(from1(sizes.channels), { minLength: 1, maxLength: 2 })).map(
    ([shape, others]): Case => ({
      operands: Object.fromEntries(
        [shape[1], ...others].map((c, i) => [`x${i}`, { shape: shape.map((d, j) => (j === 1 ? c : d)) }]),
      ),
      // The first stands in it twice.
      build: (v) => ops.concat([...Object.values(v), v.x0]),
    }),
  );

const slice = (sizes: Sizes) =>
  fc
    .tuple(imageOrRows(sizes), fc.nat(), fc.nat())
    .filter(([shape]) => shape[1] > 1)
    .map(([shape, from, count]): Case => {
      const start = from % shape[1];
      const end = start + 1 + (count % (shape[1] - start));
      return { operands: { x: { shape } }, build: ({ x }) => apply(ops.sliceOp, [x], { start, end }) };
    });

const reshape = (sizes: Sizes) =>
  fc
    .tuple(image(sizes), fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), fc.boolean(), fc.boolean())
    .map(([shape, order, flat, back]): Case => {
      const turned = order.map((d) => shape[d]);
      const to = flat ? [turned[0] * turned[1], turned[2] * turned[3]] : turned;
      const [a, b] = back ? [to, shape] : [shape, to];
      return { operands: { x: { shape: a } }, build: ({ x }) => ops.reshape(x, b) };
    });

const transpose = (sizes: Sizes) =>
  fc.tuple(image(sizes), fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), fc.boolean()).map(
    ([shape, order, flat]): Case => ({
      operands: { x: { shape: flat ? shape.slice(0, 2) : shape } },
      build: ({ x }) => ops.transpose(x, flat ? [1, 0] : order),
    }),
  );

const softmax = (sizes: Sizes) =>
  imageOrRows(sizes).map(
    (shape): Case => ({ operands: { x: { shape, of: (v) => 3 * v } }, build: ({ x }) => ops.softmax(x) }),
  );

const loss = ({ batch, channels }: Sizes) =>
  fc.tuple(from1(4 * batch), fc.integer({ min: 2, max: 3 * channels })).map(([n, classes]): Case => {
    const shape = [n, classes];
    // Smoothed, mixed and of any sum: not every target is a distribution.
    const targets = { shape, fixed: true, of: (v: number, i: number) => (i % 3 === 0 ? Math.abs(v) : 0.1) };
    return {
      operands: { logits: { shape, of: (v) => 5 * v }, targets },
      build: (v) => crossEntropy(v.logits, v.targets),
    };
  });

/** Random applications of each operator, named by what they are. */
export function differentiable(sizes: Sizes): Readonly<Record<string, fc.Arbitrary<Case>>> {
  return {
    'dense convolution': convolution(sizes, 'dense'),
    'grouped convolution': convolution(sizes, 'grouped'),
    'depthwise convolution': convolution(sizes, 'depthwise'),
    'pointwise convolution': convolution(sizes, 'pointwise'),
    linear: linear(sizes),
    activation: activation(sizes),
    'element-wise arithmetic': binary(sizes),
    'error function, exponential, logarithm, root': mathematical(sizes),
    'layer norm': layerNorm(sizes),
    'batch norm with given statistics': batchNorm(sizes),
    "batch norm with the batch's statistics": trainedBatchNorm(sizes),
    'the sum of two batch norms': trainedPair(sizes),
    pooling: pool(sizes),
    'global average pooling': image(sizes).map((shape) => ({
      operands: { x: { shape } },
      build: ({ x }) => ops.globalAveragePool(x),
    })),
    concatenation: concat(sizes),
    slice: slice(sizes),
    reshape: reshape(sizes),
    'sum to a shape': fc.tuple(broadcast(sizes), fc.boolean()).map(([[shape, to], product]) => ({
      operands: { x: { shape }, ...(product && { factor: { shape } }) },
      build: (v) => sumTo(Object.values(v), to, -0.5),
    })),
    'broadcast to a shape': broadcast(sizes).map(([to, shape]) => ({
      operands: { x: { shape } },
      build: ({ x }) => broadcastTo(x, to, -0.5),
    })),
    transpose: transpose(sizes),
    softmax: softmax(sizes),
    'cross-entropy': loss(sizes),
    'dropout, not training': image(sizes).map((shape) => ({
      operands: { x: { shape } },
      build: ({ x }) => ops.relu(ops.dropout(x, 0.5)),
    })),
    'dropout, training': fc.tuple(imageOrRows(sizes), fc.nat(1000), fc.nat(9)).map(([shape, seed, salt]) => ({
      operands: { x: { shape }, seed: { shape: [1], fixed: true, of: () => seed } },
      build: (v) => dropoutTrain(v.x, v.seed, 0.3, salt),
    })),
  };
}
