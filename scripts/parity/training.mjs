import { evaluate } from '../../dist/graph/evaluate.js';
import { input } from '../../dist/graph/leaves.js';
import { gradients } from '../../dist/graph/passes/gradients.js';
import { trainingForm } from '../../dist/graph/passes/training-form.js';
import { ghostnet } from '../../dist/models/ghostnet.js';
import { assignNamedWeights, namedInput } from '../../dist/models/named-weights.js';
import { repghostnet } from '../../dist/models/repghostnet.js';
import { compile } from '../../dist/nn/compile.js';
import { trace } from '../../dist/nn/trace.js';
import { crossEntropy } from '../../dist/ops/loss.js';
import { TrainingStep } from '../../dist/train/step.js';
import { Worst } from './compare.mjs';
import { networkOf } from './network.mjs';

const FACTORIES = { ghostnet, repghostnet };

/** A loss may be off by this, relative to it; a gradient by this times the largest of its tensor, and a little. */
const BOUND = 1e-3;
const LEAST = 1e-6;

/** Golden files of the first steps of a training: `train-*.json`. */
export const isTraining = (golden) => Array.isArray(golden.losses) && networkOf(golden) !== undefined;

/**
 * Trains as the original did, and compares the gradients of the first step and the losses. Training from weights made of noise is chaotic: one
 * ReLU whose sign is decided by rounding moves the loss two steps later by a percent. So where a loss is off, the exact course is computed
 * in double precision; a loss at which the original's own single precision has left that course by more than the bound says nothing about
 * ghostkit, and is listed as `undetermined` instead.
 */
export async function training(golden) {
  const { losses, firstStepGradients = {} } = golden;
  if (!Array.isArray(golden.input?.names) || golden.input.names.length < losses.length) {
    throw new Error('input.names must name a batch for each loss');
  }
  const model = modelOf(golden);
  const optimizer = optimizerOf(golden.optimizer);
  const decays = decaysOf(golden.optimizer.decayAppliesTo);
  const step = await TrainingStep.create(model, { input: golden.input.shape, optimizer, decays, withGradients: true });
  const worst = new Worst(BOUND);
  const ours = [];
  try {
    for (let s = 0; s < losses.length; s++) {
      const { loss, outputs } = step.run({ ...batchOf(golden, s), learningRate: rateOf(golden, s) });
      ours.push(loss);
      if (s > 0) continue;
      for (const [name, gradient] of Object.entries(firstStepGradients)) {
        compareGradient(name, gradient, outputs[`gradient.${name}`], worst);
      }
    }
    step.writeTo(model);
  } finally {
    step.close();
  }
  const off = (a, b) => Math.abs(a - b) / Math.abs(b);
  const firstOff = losses.findIndex((expected, s) => !(off(ours[s], expected) <= BOUND));
  const exact = firstOff < 0 ? [] : exactLosses(golden, optimizer, decays);
  const undetermined = [];
  for (const [s, expected] of losses.entries()) {
    if (s < firstOff || firstOff < 0 || off(expected, exact[s]) <= BOUND)
      worst.add(off(ours[s], expected), `loss ${s}`);
    else undetermined.push({ loss: s, original: expected, ghostkit: ours[s], exact: exact[s] });
  }
  return {
    ...worst.verdict(),
    ...(undetermined.length > 0 ? { undetermined } : {}),
    ...(await afterwards(golden, model)),
  };
}

function modelOf(golden) {
  const { family, options } = networkOf(golden);
  const settings = { classes: golden.numClasses, inChannels: golden.input.shape[1], dropout: golden.dropout ?? 0 };
  return assignNamedWeights(FACTORIES[family]({ ...options, ...settings }));
}

const rateOf = ({ optimizer: { lr } }, s) => (Array.isArray(lr) ? lr[s] : lr);

function batchOf({ input, numClasses, labelSmoothing = 0 }, s) {
  const images = namedInput(input.names[s], input.shape).data;
  return { images, targets: targetsOf(s, input.shape[0], numClasses, labelSmoothing) };
}

/** The losses of the same training in double precision throughout, by the operators' plain definitions. */
function exactLosses(golden, optimizer, decays) {
  const model = modelOf(golden);
  const { graph } = trainingForm(trace(model, { input: golden.input.shape }));
  const targets = input('targets', graph.outputs.logits.shape);
  const loss = crossEntropy(graph.outputs.logits, targets);
  const learnt = [...model.namedParameters()].filter(([, p]) => p.learnable);
  const grads = gradients(
    loss,
    learnt.map(([, p]) => p.value),
  );
  const outputs = { loss, ...Object.fromEntries(learnt.map(([name], i) => [name, grads[i]])) };
  for (const [, p] of learnt) p.data = Float64Array.from(p.data);
  const moments = new Map(learnt.map(([name, p]) => [name, new Float64Array(p.data.length)]));
  if (optimizer.name !== 'sgd') throw new Error('the exact course is known for SGD only');
  return golden.losses.map((_, s) => {
    const batch = batchOf(golden, s);
    const inputs = { image: Float64Array.from(batch.images), targets: Float64Array.from(batch.targets) };
    const results = evaluate({ inputs: { ...graph.inputs, targets }, outputs }, inputs);
    for (const [name, p] of learnt) {
      const decay = decays(name, p.shape) ? optimizer.weightDecay : 0;
      const moment = moments.get(name);
      p.data = p.data.map((w, i) => {
        const g = results[name].data[i] + decay * w;
        moment[i] = optimizer.momentum * moment[i] + g;
        return w - rateOf(golden, s) * (optimizer.nesterov ? g + optimizer.momentum * moment[i] : moment[i]);
      });
    }
    return results.loss.data[0];
  });
}

function compareGradient(name, { absMax, values, indices }, actual, worst) {
  if (!actual) throw new Error(`there is no gradient of ${name}`);
  const scale = absMax + LEAST / BOUND;
  for (const [i, expected] of values.entries()) {
    worst.add(Math.abs(actual.data[indices ? indices[i] : i] - expected) / scale, `gradient of ${name}`);
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
