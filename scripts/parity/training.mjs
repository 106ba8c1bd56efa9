import { ghostnet } from '../../dist/models/ghostnet.js';
import { assignNamedWeights, namedInput } from '../../dist/models/named-weights.js';
import { repghostnet } from '../../dist/models/repghostnet.js';
import { compile } from '../../dist/nn/compile.js';
import { TrainingStep } from '../../dist/train/step.js';
import { networkOf } from './network.mjs';

const FACTORIES = { ghostnet, repghostnet };

/** A loss may be off by this, relative to it; a gradient by this times the largest of its tensor, and a little. */
const BOUND = 1e-3;
const LEAST = 1e-6;

/** Golden files of the first steps of a training: `train-*.json`. */
export const isTraining = (golden) => Array.isArray(golden.losses) && networkOf(golden) !== undefined;

/** Trains as the original did, and compares the losses, the gradients of the first step and what it comes to. */
export async function training(golden) {
  const { input, losses, numClasses, optimizer, labelSmoothing = 0, firstStepGradients = {} } = golden;
  if (!Array.isArray(input?.names) || input.names.length < losses.length)
    throw new Error('input.names must name a batch for each loss');
  const { family, options } = networkOf(golden);
  const settings = { ...options, classes: numClasses, inChannels: input.shape[1], dropout: golden.dropout ?? 0 };
  const model = assignNamedWeights(FACTORIES[family](settings));
  const step = await TrainingStep.create(model, {
    input: input.shape,
    optimizer: optimizerOf(optimizer),
    decays: decaysOf(optimizer.decayAppliesTo),
    withGradients: true,
  });
  let maxError = 0;
  let worst = '';
  const see = (where, error) => {
    // Written so that a NaN is seen too.
    if (!(error <= maxError)) {
      maxError = error;
      worst = where;
    }
  };
  try {
    for (const [s, expected] of losses.entries()) {
      const { loss, outputs } = step.run({
        images: namedInput(input.names[s], input.shape).data,
        targets: targetsOf(s, input.shape[0], numClasses, labelSmoothing),
        learningRate: Array.isArray(optimizer.lr) ? optimizer.lr[s] : optimizer.lr,
      });
      see(`loss ${s}`, Math.abs(loss - expected) / Math.abs(expected));
      if (s > 0) continue;
      for (const [name, gradient] of Object.entries(firstStepGradients)) {
        compareGradient(name, gradient, outputs[`gradient.${name}`], see);
      }
    }
    step.writeTo(model);
  } finally {
    step.close();
  }
  return { maxError, bound: BOUND, ok: maxError <= BOUND, worst, ...(await afterwards(golden, model)) };
}

function compareGradient(name, { absMax, values, indices }, actual, see) {
  if (!actual) throw new Error(`there is no gradient of ${name}`);
  const scale = absMax + LEAST / BOUND;
  for (const [i, expected] of values.entries()) {
    see(`gradient of ${name}`, Math.abs(actual.data[indices ? indices[i] : i] - expected) / scale);
  }
}

/** How far the trained network's answer is from the original's: told, not bounded, since rounding grows with every step. */
async function afterwards({ evalInput, outputs }, model) {
  const expected = outputs?.evalLogits;
  if (!evalInput || !expected) return {};
  const net = await compile(model, { input: evalInput.shape, deploy: false });
  const { logits } = net.run({ image: namedInput(evalInput.name, evalInput.shape).data });
  net.close();
  const at = (i) => logits.data[expected.indices ? expected.indices[i] : i];
  const errors = expected.values.map((v, i) => Math.abs(v - at(i)) / Math.max(1, expected.absMax));
  return { evalError: Math.max(...errors) };
}

function optimizerOf({ name = 'sgd', momentum = 0, nesterov = false, weightDecay = 0, betas, eps }) {
  return /adamw/i.test(name)
    ? { name: 'adamw', betas, epsilon: eps, weightDecay }
    : { name: 'sgd', momentum, nesterov, weightDecay };
}

function decaysOf(appliesTo = 'every parameter') {
  if (/every/.test(appliesTo)) return () => true;
  if (/bias|norm|vector|1-?d/i.test(appliesTo)) return (_, shape) => shape.length > 1;
  throw new Error(`decayAppliesTo ${JSON.stringify(appliesTo)} is not known`);
}

/** The label of sample i at step s is (7 s + 3 i) mod classes, smoothed. */
function targetsOf(s, n, classes, smoothing) {
  const targets = new Float32Array(n * classes).fill(smoothing / classes);
  for (let i = 0; i < n; i++) targets[i * classes + ((7 * s + 3 * i) % classes)] += 1 - smoothing;
  return targets;
}
