import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { input } from '../../src/graph/leaves.js';
import { Opcode } from '../../src/kernels/opcodes.js';
import { createModel } from '../../src/models/registry.js';
import { compile, compileGraph } from '../../src/nn/compile.js';
import { trace } from '../../src/nn/trace.js';
import * as ops from '../../src/ops/index.js';
import { Executor, fillFrom } from '../../src/runtime/executor.js';
import { lowerGraph } from '../../src/runtime/lower.js';
import { type Lifetime, planMemory } from '../../src/runtime/memory-plan.js';
import { assemble, callStarts } from '../../src/runtime/program.js';
import { execute, noise, noiseConstant } from './support.js';

const small = () => createModel('repghostnet_050', { classes: 10 }).initialize(1);

describe('the executor', () => {
  it('gives the same bits for any number of threads', async () => {
    const graph = trace(small(), { input: [2, 3, 72, 56], features: true });
    const [one, ...others] = await Promise.all(
      [1, 2, 3, 4].map((threads) => execute(graph, { threads, deploy: true })),
    );
    for (const other of others) {
      for (const name of Object.keys(one))
        expect(Buffer.compare(Buffer.from(one[name].buffer), Buffer.from(other[name].buffer)), name).toBe(0);
    }
  });

  it('gives the same result again, and with and without relaxed SIMD nearly the same', async () => {
    const model = small();
    const image = noise('image', [1, 3, 64, 64]);
    const net = await compile(model, { input: [1, 3, 64, 64] });
    const plain = await compile(model, { input: [1, 3, 64, 64], relaxed: false });
    expect(net.variant).toBe('relaxed');
    expect(plain.variant).toBe('simd');
    const first = net.run({ image }).logits.data;
    net.run({ image: noise('another', [1, 3, 64, 64]) });
    expect(net.run({ image }).logits.data).toEqual(first);
    const other = plain.run({ image }).logits.data;
    for (const [i, v] of first.entries()) expect(Math.abs(v - other[i])).toBeLessThan(1e-4 * Math.max(1, Math.abs(v)));
  });

  it('tells what is wrong with an input', async () => {
    const net = await compile(small(), { input: [1, 3, 32, 32] });
    expect(() => net.run({})).toThrow('input image is missing');
    expect(() => net.run({ picture: new Float32Array(3) })).toThrow('no input picture; the inputs are image');
    expect(() => net.run({ image: new Float32Array(3) })).toThrow('input image: needs [1,3,32,32], got 3 elements');
    const shape = [1, 3, 32, 32];
    const short = { dtype: 'float32', shape, data: new Float32Array(3) } as const;
    expect(() => net.run({ image: short })).toThrow('input image: needs [1,3,32,32], got 3 elements');
    const half = { dtype: 'float16', shape, data: new Uint16Array(3 * 32 * 32) } as unknown as Float32Array;
    expect(() => net.run({ image: half })).toThrow('input image: needs float32, in a Float32Array');
    net.close();
    expect(() => net.run({ image: noise('x', [1, 3, 32, 32]) })).toThrow('closed');
    await expect(compile(small(), { input: [1, 3, 32, 32], threads: 0 })).rejects.toThrow('threads: a number from 1');
    await expect(compile(small(), { input: [1, 4, 32, 32] })).rejects.toThrow('conv2d: input [1,4,32,32] does not fit');
    await expect(compile(small(), { input: [4096, 3, 512, 512] })).rejects.toThrow('MiB for this input');
  });

  it.each([0, 1])('fails in one line when thread %i of two traps', async (thread) => {
    const x = input('x', [2, 4]);
    const graph = { inputs: { x }, outputs: { y: ops.concat([x, x]) } };
    const { program, image } = assemble(lowerGraph(graph, { threads: 2 }), { threads: 2, macs: 0 });
    // The first copy's two rows, one for each thread: the row stride, or the start, is put outside of the memory.
    const copy = callStarts(image.words).find((start) => image.words[start] === Opcode.Copy) as number;
    const args = copy + 2;
    if (thread === 1) image.words[args + 3] = 1 << 28;
    else image.words.set([1 << 30, 0], args + 2);
    const executor = await Executor.create(program, fillFrom(program, image), { threads: 2 });
    expect(() => executor.run({ x: noise('x', [2, 4]) })).toThrow(/^a kernel failed .*: the program is damaged/);
    expect(() => executor.run({ x: noise('x', [2, 4]) })).toThrow('closed');
  });

  it('profiles every kernel call', async () => {
    const x = input('x', [1, 4, 8, 8]);
    const y = ops.globalAveragePool(ops.conv2d(x, noiseConstant('w', [5, 4, 3, 3])));
    const net = await compileGraph({ inputs: { x }, outputs: { y } });
    const rows = net.profile({ x: noise('x', [1, 4, 8, 8]) });
    expect(rows.map((row) => row.label)).toEqual([
      'input x',
      'conv2d 1x5x6x6',
      'global_average_pool 1x5x1x1',
      'output y',
    ]);
    for (const row of rows) expect(row.ms).toBeGreaterThanOrEqual(0);
  });

  it('plans at most 4 MB beside the weights of RepGhostNet 1.0x at 224 px', async () => {
    const net = await compile(createModel('repghostnet_100'), { input: [1, 3, 224, 224] });
    expect(net.memory.activations).toBeLessThan(4e6);
  });
});

describe('the memory plan', () => {
  it('has two places for a chain of tens of thousands of buffers', () => {
    const lifetimes = Array.from({ length: 50_000 }, (_, i) => ({ buffer: { floats: 16 }, first: i, last: i + 1 }));
    const { offsets, bytes } = planMemory(lifetimes);
    expect(bytes).toBe(128);
    expect([0, 1, 49_999].map((i) => offsets.get(lifetimes[i].buffer))).toEqual([0, 64, 64]);
  }, 20_000);

  it('never lets two buffers overlap while both are alive', () => {
    const life = fc.record({ floats: fc.integer({ min: 1, max: 5000 }), first: fc.nat(40), length: fc.nat(10) });
    fc.assert(
      fc.property(fc.array(life, { maxLength: 40 }), (lives) => {
        const lifetimes: Lifetime[] = lives.map(({ floats, first, length }) => ({
          buffer: { floats },
          first,
          last: first + length,
        }));
        const { offsets, bytes } = planMemory(lifetimes);
        for (const [i, a] of lifetimes.entries()) {
          const at = offsets.get(a.buffer) as number;
          expect(at % 64).toBe(0);
          expect(at + a.buffer.floats * 4).toBeLessThanOrEqual(bytes);
          for (const b of lifetimes.slice(i + 1)) {
            const other = offsets.get(b.buffer) as number;
            const apart = at + a.buffer.floats * 4 <= other || other + b.buffer.floats * 4 <= at;
            expect(apart || a.last < b.first || b.last < a.first).toBe(true);
          }
        }
      }),
    );
  });
});
