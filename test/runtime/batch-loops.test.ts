import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/graph/value.js';
import { Opcode } from '../../src/kernels/opcodes.js';
import { batchNormPair, type NormOperands } from '../../src/ops/batch-norm-pair.js';
import { batchNormTrain, batchStatistics } from '../../src/ops/batch-norm-train.js';
import * as ops from '../../src/ops/index.js';
import { inBatchLoops } from '../../src/runtime/batch-loops.js';
import { type Call, type LoweredGraph, lowerGraph } from '../../src/runtime/lower.js';
import { assemble } from '../../src/runtime/program.js';
import type { Case } from '../graph/differentiable.js';
import { gradientGraph, runTraining, trainingError } from './training-support.js';

interface Sizes {
  readonly images: number;
  readonly size: number;
  readonly channels: number;
  readonly stride: 1 | 2;
  readonly swish?: boolean;
}

const EPSILON = 1e-5;

const normed = (x: Value, weight: Value, bias: Value) =>
  batchNormTrain([x, weight, bias, batchStatistics(x)], { epsilon: EPSILON, activation: 'relu' });
const operandsOf = (x: Value, weight: Value, bias: Value) =>
  batchNormTrain([x, weight, bias, batchStatistics(x)], { epsilon: EPSILON, activation: 'none' })
    .inputs as unknown as NormOperands;

/** A re-parameterisable block with a gate and a concatenation: what the networks here are made of. */
const block = ({ images, size, channels, stride, swish }: Sizes): Case => {
  const vector = { shape: [channels], parameter: true };
  return {
    operands: {
      x: { shape: [images, 5, size, size] },
      expand: { shape: [channels, 5, 1, 1], parameter: true },
      cheap: { shape: [channels, 1, 3, 3], parameter: true },
      down: { shape: [2 * channels, 1, 5, 5], parameter: true },
      gate: { shape: [2 * channels, 2 * channels, 1, 1], parameter: true },
      project: { shape: [7, 2 * channels, 1, 1], parameter: true },
      ...Object.fromEntries(['w0', 'b0', 'w1', 'b1', 'w2', 'b2'].map((name) => [name, vector])),
    },
    build: (v) => {
      const first = normed(ops.conv2d(v.x, v.expand, undefined, {}), v.w0, v.b0);
      const second = ops.conv2d(first, v.cheap, undefined, { groups: channels, padding: 1 });
      const pair = batchNormPair(operandsOf(first, v.w1, v.b1), operandsOf(second, v.w2, v.b2), { activation: 'relu' });
      const both = ops.concat([first, pair]);
      const down = ops.conv2d(both, v.down, undefined, { groups: 2 * channels, stride, padding: 2 });
      const gated = ops.mul(
        swish ? ops.hardSwish(down) : down,
        ops.sigmoid(ops.conv2d(ops.globalAveragePool(down), v.gate, undefined, {})),
      );
      return ops.conv2d(gated, v.project, undefined, {});
    },
  };
};

/** The calls in a loop, or the one that is none; see kernels/index.ts for how they stand there. */
function callsOf(call: Call): Call[] {
  if (call.opcode !== Opcode.Loop) return [call];
  const calls: Call[] = [];
  for (let at = 4; at < call.args.length; ) {
    const [opcode, count] = call.args.slice(at, at + 2) as number[];
    calls.push({ opcode, args: call.args.slice(at + 2, at + 2 + count), label: call.label });
    at += 2 + 3 * count;
  }
  return calls;
}

const sizes = fc.record({
  images: fc.integer({ min: 2, max: 9 }),
  size: fc.integer({ min: 15, max: 37 }),
  channels: fc.integer({ min: 1, max: 13 }),
  stride: fc.constantFrom(1 as const, 2 as const),
  swish: fc.boolean(),
});

describe('a batch that is worked on in blocks', () => {
  it('gives the same bits as one that is not, for any number of threads', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), fc.integer({ min: 1, max: 12 }), async (each, seed, threads) => {
        const training = gradientGraph(block(each), seed);
        const whole = await runTraining(training);
        expect(await runTraining(training, { threads, images: each.images })).toEqual(whole);
      }),
      { numRuns: 12 },
    );
  });

  it('agrees with the definitions in double precision', async () => {
    const each = { images: 6, size: 32, channels: 8, stride: 2 } as const;
    const { error, of } = await trainingError(gradientGraph(block(each), 5), { threads: 2, images: each.images });
    expect(error, of).toBeLessThan(5e-6);
  });

  it('has most of its work in loops, and keeps less of it in memory', () => {
    const { graph, live } = gradientGraph(block({ images: 8, size: 32, channels: 8, stride: 1 }), 1);
    const lowered = lowerGraph(graph, { threads: 2, live });
    const looped = inBatchLoops(lowered, { images: 8, threads: 2 });
    const loops = looped.calls.filter(({ opcode }) => opcode === Opcode.Loop);
    const inside = loops.reduce((n, { args }) => n + (args[1] as number), 0);
    expect(loops.every(({ args }) => args[0] === 8)).toBe(true);
    expect(inside).toBeGreaterThan(15);
    const bytes = (calls: LoweredGraph) => assemble(calls, { threads: 2, macs: 0 }).program.memory.activations;
    expect(bytes(looped)).toBeLessThan(0.7 * bytes(lowered));
  });

  it('makes again, where it is wanted, what batch norms made of what is kept', () => {
    const { graph, live } = gradientGraph(block({ images: 8, size: 32, channels: 8, stride: 1 }), 1);
    const lowered = lowerGraph(graph, { threads: 1, live });
    const count = (opcode: Opcode, calls: readonly Call[]) => calls.filter((call) => call.opcode === opcode).length;
    const inLoops = inBatchLoops(lowered, { images: 8, threads: 1 }).calls.flatMap(callsOf);
    expect(count(Opcode.Affine, inLoops)).toBeGreaterThan(count(Opcode.Affine, lowered.calls));
    expect(count(Opcode.BatchNormPair, inLoops)).toBeGreaterThan(count(Opcode.BatchNormPair, lowered.calls));
    // What is costly is done once.
    for (const opcode of [Opcode.Conv, Opcode.Depthwise, Opcode.BatchMoments]) {
      expect(count(opcode, inLoops)).toBe(count(opcode, lowered.calls));
    }
  });
});
