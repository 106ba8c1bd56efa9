import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createModel } from '../../src/models/registry.js';
import { compile } from '../../src/nn/compile.js';
import { type KernelFile, provideKernels } from '../../src/runtime/executor.js';
import { enableWideSimd, hasRelaxedSimd, hasWideSimd } from '../../src/runtime/platform.js';
import { TrainingStep } from '../../src/train/step.js';
import { noise } from './support.js';

// The kernels for vectors of 256 bits run on those of 128 as well, only slowly: here they stand in for the ordinary ones, and all tests of those run
// once more.
await hasRelaxedSimd();
const build = (name: KernelFile) =>
  new WebAssembly.Module(readFileSync(new URL(`../../src/kernels/build/${name}.wasm`, import.meta.url)));
const standIn = (kind: 'relaxed' | 'wide') => {
  for (const end of ['', '-threads'] as const) {
    provideKernels({ file: `relaxed${end}`, module: build(`${kind}${end}`) });
    const forTraining = kind === 'wide' ? (`wide${end}` as const) : (`relaxed${end}-train` as const);
    provideKernels({ file: `relaxed${end}-train`, module: build(forTraining) });
  }
};
standIn('wide');
await import('./kernels.test.js');
await import('./training-kernels.test.js');

/** What a network answers, and its parameters after steps, of the kernels of one kind. */
async function resultsOf(name: string, kind: 'relaxed' | 'wide', steps: number): Promise<Record<string, Float32Array>> {
  standIn(kind);
  const shape = [5, 3, 40, 56];
  const model = createModel(name, { classes: 13 }).initialize(3);
  const options = { input: shape, optimizer: { name: 'sgd', momentum: 0.9 }, threads: 2 } as const;
  const step = await TrainingStep.create(model, options);
  const batch = { images: noise('x', shape), targets: new Float32Array(5 * 13).fill(1 / 13), learningRate: 0.1 };
  const losses = Float32Array.from({ length: steps }, () => step.run(batch).loss);
  step.writeTo();
  const net = await compile(model, { input: shape });
  return { losses, logits: net.run({ image: batch.images }).logits.data };
}

describe('the kernels for vectors of 256 bits', () => {
  it.each(['ghostnet_050', 'repghostnet_050'])('give the same bits as the others: %s', async (name) => {
    const wide = await resultsOf(name, 'wide', 3);
    const relaxed = await resultsOf(name, 'relaxed', 3);
    standIn('wide');
    expect(wide.logits.every(Number.isFinite)).toBe(true);
    expect(wide).toEqual(relaxed);
  });

  it('are chosen where they were asked for and are there', async () => {
    const there = await enableWideSimd();
    expect(hasWideSimd()).toBe(there);
    if (Number.parseInt(process.versions.node, 10) < 24) expect(there).toBe(false);
    const model = createModel('repghostnet_050', { classes: 10 }).initialize(1);
    const net = await compile(model, { input: [1, 3, 64, 64] });
    expect(net.variant).toBe(there ? 'wide' : 'relaxed');
    const plain = await compile(model, { input: [1, 3, 64, 64], relaxed: false });
    expect(plain.variant).toBe('simd');
    const image = noise('image', [1, 3, 64, 64]);
    const first = net.run({ image }).logits.data;
    // Often enough that V8 has compiled it for speed, and made the vectors wide.
    for (let i = 0; i < 300; i++) net.run({ image });
    expect(net.run({ image }).logits.data).toEqual(first);
  });
});
