import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { assignNamedWeights, namedInput } from '../../src/models/named-weights.js';
import { createModel } from '../../src/models/registry.js';
import type { Shape } from '../../src/tensor/tensor.js';
import { TrainingStep } from '../../src/train/step.js';
import { hasShared, sharedPath } from '../models/shared.js';

interface TrainingGolden {
  numClasses: number;
  dropout: number;
  input: { names: string[]; shape: Shape };
  labelSmoothing: number;
  losses: number[];
  firstStepGradients: Record<string, { shape: Shape; absMax: number; values: number[]; indices?: number[] }>;
}

/** The label of sample i at the first step is 3 i mod classes. */
function firstTargets({ input, numClasses, labelSmoothing }: TrainingGolden): Float32Array {
  const targets = new Float32Array(input.shape[0] * numClasses).fill(labelSmoothing / numClasses);
  for (let i = 0; i < input.shape[0]; i++) targets[i * numClasses + ((3 * i) % numClasses)] += 1 - labelSmoothing;
  return targets;
}

describe.skipIf(!hasShared)('the first step of the original implementations', () => {
  it.each(['repghostnet_0_5x', 'ghostnet-0.5'])('%s: loss and gradients', async (name) => {
    const golden: TrainingGolden = JSON.parse(readFileSync(sharedPath(`golden/train-${name}.json`), 'utf8'));
    const { input, numClasses, dropout, losses, firstStepGradients } = golden;
    const model = assignNamedWeights(createModel(name, { classes: numClasses, dropout }));
    const step = await TrainingStep.create(model, {
      input: input.shape,
      optimizer: { name: 'sgd' },
      withGradients: true,
    });
    const images = namedInput(input.names[0], input.shape).data;
    const { loss, outputs } = step.run({ images, targets: firstTargets(golden), learningRate: 0 });
    step.close();
    expect(Math.abs(loss - losses[0]) / losses[0]).toBeLessThan(1e-5);
    const learnt = [...model.namedParameters()].filter(([, p]) => p.learnable).map(([key]) => key);
    expect(Object.keys(firstStepGradients).sort()).toEqual(learnt.sort());
    for (const [key, { shape, absMax, values, indices }] of Object.entries(firstStepGradients)) {
      const { shape: ours, data } = outputs[`gradient.${key}`];
      expect(ours).toEqual(shape);
      const errors = values.map((v, i) => Math.abs(data[indices ? indices[i] : i] - v));
      // Written so that a NaN fails.
      const close = errors.every((error) => error <= 1e-3 * absMax + 1e-6);
      expect(close, `${key}: off by ${Math.max(...errors)} of ${absMax}`).toBe(true);
    }
  });
});
