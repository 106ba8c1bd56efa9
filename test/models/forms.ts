import { expect } from 'vitest';
import { input } from '../../src/graph/leaves.js';
import { gradients } from '../../src/graph/passes/gradients.js';
import { trainingForm } from '../../src/graph/passes/training-form.js';
import { assignNamedWeights, namedInput } from '../../src/models/named-weights.js';
import { compile } from '../../src/nn/compile.js';
import type { Module } from '../../src/nn/module.js';
import { trace } from '../../src/nn/trace.js';
import { crossEntropy } from '../../src/ops/loss.js';
import type { Shape } from '../../src/tensor/tensor.js';

/** Runs a network on the executor as it is trained and as it is deployed, with weights that no batch norm is idle with. */
export async function expectSameForms(model: Module, shape: Shape): Promise<void> {
  assignNamedWeights(model);
  const image = namedInput('forms', shape);
  const [training, deployed] = await Promise.all(
    [false, true].map(async (deploy) => (await compile(model, { input: shape, deploy })).run({ image }).logits.data),
  );
  const most = Math.max(...training.map(Math.abs));
  expect(most).toBeGreaterThan(1e-3);
  expect(most).toBeLessThan(1e6);
  expect(Math.max(...training.map((v, i) => Math.abs(v - deployed[i]))) / most).toBeLessThan(1e-4);
}

/** The names of the parameters that a loss has no gradient for. */
export function missingGradients(model: Module, shape: Shape): string[] {
  const { graph } = trainingForm(trace(model, { input: shape }));
  const { logits } = graph.outputs;
  const learnable = [...model.namedParameters()].filter(([, p]) => p.learnable);
  const found = gradients(
    crossEntropy(logits, input('targets', logits.shape)),
    learnable.map(([, p]) => p.value),
  );
  for (const [i, [, p]] of learnable.entries()) if (found[i]) expect(found[i].shape).toEqual(p.shape);
  return learnable.filter((_, i) => !found[i]).map(([name]) => name);
}
