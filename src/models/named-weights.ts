import type { Network } from '../nn/module.js';
import { fnv1a32, uniformAt } from '../nn/random.js';
import { type FloatTensor, type Shape, sizeOf } from '../tensor/tensor.js';

/**
 * Weights and inputs that anyone can recreate from their names alone, in any language: a network's outputs can then be
 * compared between implementations without a weight file.
 */

function fill(name: string, shape: Shape, f: (u: number) => number): FloatTensor {
  const seed = fnv1a32(name);
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = f(uniformAt(seed, i));
  return { dtype: 'float32', shape: [...shape], data };
}

/** The weight of a state-dict key: its distribution follows from the kind of parameter that the key's end tells. */
export function namedTensor(name: string, shape: Shape): FloatTensor {
  const is = (...kinds: string[]) => kinds.includes(name.slice(name.lastIndexOf('.') + 1));
  if (is('num_batches_tracked')) return fill(name, shape, () => 0);
  if (is('running_var')) return fill(name, shape, (u) => 0.5 + u);
  if (is('running_mean', 'bias')) return fill(name, shape, (u) => (2 * u - 1) * 0.1);
  if (shape.length < 2) return fill(name, shape, (u) => 0.3 + 0.6 * u);
  const bound = Math.sqrt(3 / sizeOf(shape.slice(1)));
  return fill(name, shape, (u) => (2 * u - 1) * bound * Math.SQRT2);
}

/** An input, uniform in [-1, 1). */
export function namedInput(name: string, shape: Shape): FloatTensor {
  return fill(name, shape, (u) => 2 * u - 1);
}

/** Gives every parameter and running statistic of `model` the weight of its key, behind `prefix`. Returns the model. */
export function assignNamedWeights<M extends Network>(model: M, prefix = ''): M {
  for (const [key, parameter] of model.namedParameters()) {
    parameter.data = namedTensor(prefix + key, parameter.shape).data;
  }
  return model;
}
