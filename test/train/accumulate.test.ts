import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/graph/value.js';
import { Conv2d, Linear } from '../../src/nn/layers.js';
import { Module } from '../../src/nn/module.js';
import * as ops from '../../src/ops/index.js';
import { type OptimizerOptions, TrainingStep, type TrainingStepOptions } from '../../src/train/step.js';
import { CLASSES, numbers } from './tiny.js';

/** Without batch norms, a batch is what its halves are together. */
class Plain extends Module {
  readonly conv = new Conv2d(2, 5, 3, { stride: 2, padding: 1, bias: true });
  readonly fc = new Linear(5, CLASSES);

  forward(x: Value): Value {
    return this.fc.forward(ops.flatten(ops.globalAveragePool(ops.relu(this.conv.forward(x)))));
  }
}

const SIZE = 2 * 9 * 8;
const images = numbers(1, [8, 2, 9, 8]);
const targets = new Float32Array(8 * CLASSES);
for (let i = 0; i < 8; i++) targets[i * CLASSES + (i % CLASSES)] = 1;

/** What a plain network's weights are after some steps of `batch` pictures, every one of them seen three times. */
async function learn(batch: number, options: Omit<TrainingStepOptions, 'input'>): Promise<Map<string, Float32Array>> {
  const step = await TrainingStep.create(new Plain().initialize(3), { ...options, input: [batch, 2, 9, 8] });
  for (let from = 0; from < 24; from += batch) {
    const at = from % 8;
    step.run({
      images: images.subarray(at * SIZE, (at + batch) * SIZE),
      targets: targets.subarray(at * CLASSES, (at + batch) * CLASSES),
      learningRate: 0.05,
    });
  }
  const { tensors } = step.state();
  step.close();
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}

const OPTIMIZERS: OptimizerOptions[] = [
  { name: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 0.01 },
  { name: 'adamw', weightDecay: 0.01 },
];

describe('accumulated gradients', () => {
  it('need a whole number of batches', async () => {
    for (const accumulate of [0, -1, 1.5, Number.NaN]) {
      const options = { optimizer: OPTIMIZERS[0], accumulate, input: [2, 2, 9, 8] };
      await expect(TrainingStep.create(new Plain().initialize(3), options)).rejects.toThrow(
        /^accumulate: a whole number/,
      );
    }
    const options = { optimizer: OPTIMIZERS[0], averageDecay: 1, input: [2, 2, 9, 8] };
    await expect(TrainingStep.create(new Plain().initialize(3), options)).rejects.toThrow(/^averageDecay: at least 0/);
  });

  it.each(OPTIMIZERS)('are those of one large batch: $name', async (optimizer) => {
    const common = { optimizer, clipNorm: 0.1, averageDecay: 0.9 };
    const whole = await learn(8, common);
    const parts = await learn(2, { ...common, accumulate: 4, threads: 2 });
    for (const [name, expected] of whole) {
      const actual = parts.get(name) as Float32Array;
      for (const [i, value] of expected.entries()) expect(actual[i], `${name} ${i}`).toBeCloseTo(value, 4);
    }
    // Nothing is left over behind an update.
    for (const [name, values] of parts) {
      if (name.startsWith('gradients.')) expect(values.every((v) => v === 0)).toBe(true);
    }
  });

  it('change no parameter before the last batch of an update', async () => {
    const model = new Plain().initialize(3);
    const before = Float32Array.from(model.fc.weight.data);
    const step = await TrainingStep.create(model, { optimizer: OPTIMIZERS[0], accumulate: 3, input: [8, 2, 9, 8] });
    const changed = [1, 2, 3].map(() => {
      step.run({ images, targets, learningRate: 0.05 });
      return step
        .state()
        .tensors.get('fc.weight')
        ?.data.some((v, i) => v !== before[i]);
    });
    step.close();
    expect(changed).toEqual([false, false, true]);
  });

  it('are the same for any number of threads, bit for bit', async () => {
    const optimizer: OptimizerOptions = { name: 'sgd' };
    const batch = {
      images: images.subarray(0, 2 * SIZE),
      targets: targets.subarray(0, 2 * CLASSES),
      learningRate: 0.05,
    };
    const [one, two] = await Promise.all(
      [1, 2].map((threads) =>
        TrainingStep.create(new Plain().initialize(3), { optimizer, accumulate: 2, threads, input: [2, 2, 9, 8] }),
      ),
    );
    // Often: threads that do not wait where they have to are not always too early.
    for (let i = 0; i < 100; i++) {
      for (const step of [one, two]) step.run(batch);
      expect(two.state().tensors.get('conv.weight')?.data).toEqual(one.state().tensors.get('conv.weight')?.data);
    }
    for (const step of [one, two]) step.close();
  });
});
