// A process with ghostkit: node child.mjs SCENE THREADS. It speaks as networks.py does.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { readSafetensors } from '../../dist/formats/safetensors.js';
import { createModel } from '../../dist/models/registry.js';
import { TrainingStep } from '../../dist/train/step.js';
import { enableFastSimd } from '../lib/ghostkit.mjs';
import { peakMemoryMB } from '../lib/memory.mjs';

const [scene, threads] = process.argv.slice(2);
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function prepare() {
  const { tensors, metadata } = readSafetensors(await readFile(scene));
  const { model: name, learningRate, momentum, nesterov, weightDecay } = JSON.parse(metadata.bench);
  const { shape: input, data: images } = tensors.get('bench.images');
  const { shape, data: targets } = tensors.get('bench.targets');
  const model = createModel(name, { classes: shape[1], dropout: 0 });
  model.assign(tensors);
  const optimizer = { name: 'sgd', momentum, nesterov, weightDecay };
  const step = await TrainingStep.create(model, { input, optimizer, threads: Number(threads) });
  return { step, batch: { images, targets, learningRate } };
}

await enableFastSimd();
const { step, batch } = await prepare();
print({ version: process.versions.node, threads: step.threads, kernels: step.variant });
for await (const line of createInterface({ input: process.stdin })) {
  const ms = [];
  const losses = [];
  for (let i = 0; i < Number(line); i++) {
    const start = performance.now();
    losses.push(step.run(batch).loss);
    ms.push(performance.now() - start);
  }
  print({ ms, losses, peakMemoryMB: peakMemoryMB() });
}
process.exit(0);
