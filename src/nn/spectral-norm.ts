import { constant } from '../graph/leaves.js';
import type { Value } from '../graph/value.js';
import * as ops from '../ops/index.js';
import { type Shape, sizeOf } from '../tensor/tensor.js';
import { defaultBiasInit, defaultWeightInit, type Initializer, normalInit } from './init.js';
import type { Conv2dLayerOptions } from './layers.js';
import { Module, type Network, Parameter } from './module.js';

// Spectral normalisation (Miyato et al., arXiv:1802.05957): a layer's weight is divided by its largest singular value, which training
// follows with one step of the power method at a time. PyTorch stores the undivided weight as `weight_orig` and the two singular
// vectors as `weight_u` and `weight_v`; in evaluation mode sigma = u · W v, with W the weight as a matrix `[O, rest]`.

/** Random and of about unit length, as PyTorch starts them; see {@link settleSpectralNorm}. */
const unitInit: Initializer = (shape, uniform) => normalInit(1 / Math.sqrt(sizeOf(shape)))(shape, uniform);

/** A weight under spectral norm, as it is stored. */
export class SpectralWeight {
  readonly weight_orig: Parameter;
  readonly weight_u: Parameter;
  readonly weight_v: Parameter;

  constructor(shape: Shape) {
    this.weight_orig = new Parameter(shape, defaultWeightInit);
    this.weight_u = new Parameter([shape[0]], unitInit, false);
    this.weight_v = new Parameter([sizeOf(shape.slice(1))], unitInit, false);
  }

  /** `weight_orig / sigma` as a constant of the weights as they are now, computed in double precision and rounded once. */
  get value(): Value {
    const { shape, data, name } = this.weight_orig;
    const sigma = dot(this.weight_u.data, multiply(data, this.weight_v.data));
    return constant(
      shape,
      data.map((w) => w / sigma),
      name?.replace(/_orig$/, ''),
    );
  }
}

/** A convolution whose weight is under spectral norm; see {@link SpectralWeight}. */
export class SpectralConv2d extends Module {
  readonly bias?: Parameter;
  readonly weight_orig: Parameter;
  readonly weight_u: Parameter;
  readonly weight_v: Parameter;
  readonly #weight: SpectralWeight;
  readonly #options: ops.Conv2dOptions;

  constructor(inChannels: number, outChannels: number, kernel: number, { bias, ...options }: Conv2dLayerOptions = {}) {
    super();
    const shape = [outChannels, inChannels / (options.groups ?? 1), kernel, kernel];
    if (bias) this.bias = new Parameter([outChannels], defaultBiasInit(sizeOf(shape.slice(1))));
    this.#weight = new SpectralWeight(shape);
    this.#options = options;
    ({ weight_orig: this.weight_orig, weight_u: this.weight_u, weight_v: this.weight_v } = this.#weight);
  }

  forward(x: Value): Value {
    return ops.conv2d(x, this.#weight.value, this.bias?.value, this.#options);
  }
}

/** A linear layer whose weight is under spectral norm; see {@link SpectralWeight}. */
export class SpectralLinear extends Module {
  readonly bias?: Parameter;
  readonly weight_orig: Parameter;
  readonly weight_u: Parameter;
  readonly weight_v: Parameter;
  readonly #weight: SpectralWeight;

  constructor(inFeatures: number, outFeatures: number, { bias = true } = {}) {
    super();
    if (bias) this.bias = new Parameter([outFeatures], defaultBiasInit(inFeatures));
    this.#weight = new SpectralWeight([outFeatures, inFeatures]);
    ({ weight_orig: this.weight_orig, weight_u: this.weight_u, weight_v: this.weight_v } = this.#weight);
  }

  forward(x: Value): Value {
    return ops.linear(x, this.#weight.value, this.bias?.value);
  }
}

export function spectralConv2d(
  inChannels: number,
  outChannels: number,
  kernel: number,
  options?: Conv2dLayerOptions,
): SpectralConv2d {
  return new SpectralConv2d(inChannels, outChannels, kernel, options);
}

/**
 * Brings the singular vectors of every weight under spectral norm below `network` to those of the weights as they are now, by
 * `steps` of the power method: for weights that come without vectors of their own, such as fresh ones.
 */
export function settleSpectralNorm(network: Network, steps = 50): void {
  const parameters = new Map(network.namedParameters());
  for (const [key, weight] of parameters) {
    const [u, v] = ['u', 'v'].map((vector) => parameters.get(key.replace(/_orig$/, `_${vector}`)));
    if (!key.endsWith('weight_orig') || !u || !v) continue;
    let left = Float64Array.from(u.data);
    let right = Float64Array.from(v.data);
    for (let i = 0; i < steps; i++) {
      right = normalize(multiplyTransposed(weight.data, left));
      left = normalize(multiply(weight.data, right));
    }
    u.data = Float32Array.from(left);
    v.data = Float32Array.from(right);
  }
}

type Numbers = Float32Array | Float64Array;

function dot(a: Numbers, b: Numbers): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** `W v` for `W` with as many columns as `v` has elements. */
function multiply(w: Float32Array, v: Numbers): Float64Array {
  const columns = v.length;
  return Float64Array.from({ length: w.length / columns }, (_, i) =>
    dot(w.subarray(i * columns, (i + 1) * columns), v),
  );
}

/** `Wᵀ u` for `W` with as many rows as `u` has elements. */
function multiplyTransposed(w: Float32Array, u: Numbers): Float64Array {
  const columns = w.length / u.length;
  const sums = new Float64Array(columns);
  for (let i = 0; i < u.length; i++) for (let j = 0; j < columns; j++) sums[j] += u[i] * w[i * columns + j];
  return sums;
}

function normalize(v: Float64Array): Float64Array<ArrayBuffer> {
  const length = Math.max(Math.sqrt(dot(v, v)), 1e-12);
  return Float64Array.from(v, (x) => x / length);
}
