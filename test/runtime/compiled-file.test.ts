import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { widenFloat16 } from '../../src/formats/half.js';
import { readSafetensors, readSafetensorsHeader, writeSafetensors } from '../../src/formats/safetensors.js';
import { input as graphInput } from '../../src/graph/leaves.js';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { createModel } from '../../src/models/registry.js';
import { compile, compileGraphToBytes, compileToBytes } from '../../src/nn/compile.js';
import * as ops from '../../src/ops/index.js';
import { loadCompiled } from '../../src/runtime/compiled-file.js';
import { Checksum, encodeCompiled, PROGRAM_KEY } from '../../src/runtime/compiled-format.js';
import type { Kernels } from '../../src/runtime/executor.js';
import { GhostkitError } from '../../src/tensor/error.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { noise } from './support.js';

const input = [1, 3, 32, 32];
const image = noise('image', input);
const model = assignNamedWeights(createModel('repghostnet_050', { width: 0.3, classes: 10 }));
let bytes: Uint8Array;

beforeAll(() => {
  bytes = compileToBytes(model, { input, threads: 2 }, { title: 'small' });
});

it('says of a folder that it is one', async () => {
  await expect(loadCompiled('test')).rejects.toThrow(/^test: it is a folder$/);
});

async function outcome(file: Uint8Array): Promise<string> {
  try {
    const net = await loadCompiled(file);
    net.run({ image });
    net.close();
    return 'a result';
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    return error.message;
  }
}

/** The file with another program in its metadata. */
function withProgram(change: (program: Record<string, unknown>) => void): Uint8Array {
  const { tensors, metadata } = readSafetensors(bytes);
  const program = JSON.parse(metadata[PROGRAM_KEY]);
  change(program);
  return writeSafetensors(tensors, { metadata: { ...metadata, [PROGRAM_KEY]: JSON.stringify(program) } });
}

describe('a compiled file', () => {
  it('runs as the model it was made of, to the bit, and keeps what it was told', async () => {
    const net = await loadCompiled(bytes, { threads: 2 });
    const direct = await compile(model, { input, threads: 2 });
    expect(net.metadata).toEqual({ title: 'small' });
    expect(net.run({ image })).toEqual(direct.run({ image }));
  });

  it('uses no more threads than it was compiled for', async () => {
    expect((await loadCompiled(bytes, { threads: 8 })).threads).toBe(2);
  });

  it('stores what fits in 16 bits on request, each run of memory in its own type', async () => {
    const half = compileToBytes(model, { input, floats: 'float16' });
    const widened = await loadCompiled(half);
    const error = (await loadCompiled(bytes))
      .run({ image })
      .logits.data.map((v, i) => Math.abs(v - widened.run({ image }).logits.data[i]));
    expect(Math.max(...error)).toBeGreaterThan(0);
    expect(Math.max(...error)).toBeLessThan(0.02);

    const program = {
      ...{ address: 128, wordCount: 16, labels: [], threads: 1, macs: 0, state: [], training: false },
      ...{ inputs: [{ name: 'x', shape: [1], address: 448 }], outputs: [{ name: 'y', shape: [1], address: 448 }] },
      memory: { total: 1024, weights: 256, activations: 64 },
    };
    const data = [Float32Array.of(1, 2), Int8Array.of(1, -2, 3), Float32Array.of(70000), Float32Array.of(0.1)];
    const weights = data.map((data, i) => ({ address: 192 + i * 64, data: data as Float32Array }));
    const file = encodeCompiled(program, { words: new Int32Array(16), weights }, {}, { floats: 'float16' });
    const types = readSafetensorsHeader(file).entries.map(({ name, stored }) => [name, stored]);
    expect(Object.fromEntries(types)).toEqual({
      ...{ program: 'I32', 'weights.0': 'F16', 'weights.1': 'I8', 'weights.2': 'F32', 'weights.3': 'F16' },
    });
    const { tensors } = readSafetensors(file);
    const first = (name: string) => Number((tensors.get(name) as Tensor).data[0]);
    expect([first('weights.0'), first('weights.1'), first('weights.2')]).toEqual([1, 1, 70000]);
    expect(first('weights.3')).toBeCloseTo(0.1, 4);
  });

  it('may have a program that arrives in more than one piece', async () => {
    const x = graphInput('x', [1, 4]);
    let y = ops.tanh(x);
    for (let i = 0; i < 8000; i++) y = ops.tanh(y);
    const net = await loadCompiled(compileGraphToBytes({ inputs: { x }, outputs: { y } }));
    expect(net.profile({ x: new Float32Array(4) }).length).toBeGreaterThan(8000);
  });

  it('says what is wrong with a program that was changed', async () => {
    const damaged = async (change: (program: Record<string, never>) => void) =>
      outcome(withProgram(change as (program: Record<string, unknown>) => void));
    expect(await damaged((p) => Object.assign(p, { version: 1 }))).toMatch(
      /version 1 of the format.*compile it again$/,
    );
    expect(await damaged((p) => Object.assign(p, { version: 9 }))).toMatch(/version 9 .*needs a newer ghostkit$/);
    expect(await damaged((p) => Object.assign(p, { version: 'x' }))).toMatch(/damaged: it has no version$/);
    expect(await damaged((p) => Object.assign(p, { threads: 65 }))).toMatch(/its number of threads is out of range$/);
    expect(await damaged((p) => Object.assign(p, { wordCount: 5 }))).toMatch(
      /its tensors do not fit|sizes disagree|not in order/,
    );
    expect(await damaged((p) => Object.assign(p, { weights: [] }))).toMatch(/belongs to no place$/);
    expect(await damaged((p) => Object.assign(p, { weights: [64, 128] }))).toMatch(/do not fit together|is missing/);
    expect(await damaged((p) => Object.assign(p, { macs: 7 }))).toMatch(/does not have its checksum/);
    expect(await damaged((p) => Object.assign(p.memory, { total: 64 }))).toMatch(/its memory is too small$/);
    expect(await damaged((p) => Object.assign(p.inputs[0], { address: 0 }))).toMatch(/lies outside its memory$/);
    const { tensors } = readSafetensors(bytes);
    expect(await outcome(writeSafetensors(tensors))).toBe(
      'not a compiled model: it has no program; ghostkit convert makes one',
    );
  });

  it('has inputs and outputs that can stand beside each other, each with a name of its own', async () => {
    type Ports = { name: string; shape: number[]; address: number }[];
    const withOutputs = (change: (outputs: Ports, memory: { total: number }) => Ports) =>
      outcome(
        withProgram((program) => {
          program.outputs = change(program.outputs as Ports, program.memory as { total: number });
        }),
      );
    const times = (n: number, [port]: Ports, shape = port.shape) =>
      Array.from({ length: n }, (_, i) => ({ ...port, name: `o${i}`, shape }));
    // A change that is allowed is told by the checksum, which it does not have.
    expect(await withOutputs((outputs) => times(1000, outputs))).toMatch(/does not have its checksum/);
    expect(await withOutputs((outputs) => times(1001, outputs))).toMatch(/damaged: it has 1001 inputs or outputs$/);
    expect(await withOutputs(([a]) => [a, a])).toMatch(/damaged: two of its inputs or outputs are named logits$/);
    expect(await withOutputs(([a]) => [{ ...a, name: 'a'.repeat(1001) }])).toMatch(/an input or output has no name$/);
    const lies = /an input or output lies outside its memory$/;
    expect(await withOutputs(([a]) => [{ ...a, shape: [1, 1, 1, 1, 1, 1, 1, 1, 10] }])).toMatch(lies);
    // None of them is larger than memory, all of them are.
    expect(await withOutputs((outputs, { total }) => times(100, outputs, [total >> 6]))).toMatch(lies);
  });

  it('has names that change no lines and no prototypes', async () => {
    const named = (name: string) => {
      const x = graphInput('x', [1, 4]);
      return loadCompiled(compileGraphToBytes({ inputs: { [name]: x }, outputs: { [name]: ops.relu(x) } }));
    };
    const odd = await named('a\u001b\n');
    const said = 'no input image; the inputs are a\\u{1b}\\u{a}';
    expect(() => odd.run({ image: new Float32Array(4) })).toThrow(new GhostkitError(said));
    expect(() => odd.run({})).toThrow(new GhostkitError('input a\\u{1b}\\u{a} is missing'));
    const proto = await named('__proto__');
    const outputs = proto.run(Object.fromEntries([['__proto__', new Float32Array(4).fill(2)]]));
    expect(Object.entries(outputs).map(([name, { data }]) => [name, [...data]])).toEqual([['__proto__', [2, 2, 2, 2]]]);
  });

  it('has a header of a few MB at most, which is not waited for where it claims more', async () => {
    const huge = new Uint8Array(2 ** 16);
    new DataView(huge.buffer).setBigUint64(0, 90_000_000n, true);
    huge.fill(0x20, 8);
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += huge.length;
        controller.enqueue(huge.slice());
      },
    });
    const fetch = async () => new Response(endless);
    const said = 'not a valid safetensors file: its header claims 90000000 bytes, the limit is 16777216';
    await expect(loadCompiled('http://host/model', { fetch })).rejects.toThrow(said);
    expect(sent).toBeLessThan(2 ** 20);
    expect(await outcome(huge)).toBe(said);
    expect(() => compileToBytes(model, { input }, { long: 'a'.repeat(2 ** 24) })).toThrow(
      /^what a compiled model says of itself takes \d+ bytes, more than 16777216 are not read$/,
    );
  });

  it('is a result or one line, whatever is done to it', async () => {
    const { dataStart } = readSafetensorsHeader(bytes);
    // Most of the changes where most can go wrong: in the header.
    const place = fc.oneof(fc.nat(dataStart - 1), fc.nat(bytes.length - 1));
    const change = fc.record({ place, byte: fc.nat(255) });
    const cut = fc.option(fc.nat(bytes.length), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), cut, async (changes, length) => {
        const file = bytes.slice(0, length);
        for (const { place, byte } of changes) if (place < file.length) file[place] = byte;
        const began = performance.now();
        expect(await outcome(file)).not.toMatch(/\n/);
        expect(performance.now() - began).toBeLessThan(2000);
      }),
      { numRuns: 300 },
    );
  });

  it('is read by kernels that widen every finite float16 exactly and sum as the writer does', async () => {
    const finite = Array.from({ length: 0x10000 }, (_, i) => i).filter((i) => (i & 0x7c00) !== 0x7c00);
    for (const variant of ['simd', 'relaxed']) {
      const memory = new WebAssembly.Memory({ initial: 8 });
      const file = new URL(`../../src/kernels/build/${variant}.wasm`, import.meta.url);
      const { instance } = await WebAssembly.instantiate(readFileSync(file), { env: { memory } });
      const { widen, checksum } = instance.exports as unknown as Kernels;
      const { length } = finite;
      // In the second half of where the values go, as a file's are.
      const half = new Uint16Array(memory.buffer, 1024 + 2 * length, length);
      half.set(finite);
      const bits = half.slice();
      const lanes = new Int32Array(memory.buffer, 64, 8);
      lanes.set(new Checksum().lanes);
      checksum(1024 + 2 * length, 2 * length, 64);
      expect(lanes).toEqual(new Checksum().add(new Int32Array(bits.buffer)).lanes);
      widen(1024 + 2 * length, 1024, length);
      expect(new Float32Array(memory.buffer, 1024, length)).toEqual(widenFloat16(bits));
    }
  });
});
