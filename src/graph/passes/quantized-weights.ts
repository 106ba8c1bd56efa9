import { type Conv2dAttrs, conv2dOp, isDepthwise } from '../../ops/conv2d.js';
import { depthwiseScale } from '../../ops/quantized-depthwise.js';
import { wordsScale } from '../../ops/quantized-words.js';
import { GhostkitError } from '../../tensor/error.js';
import { sizeOf } from '../../tensor/tensor.js';
import { dataOf } from '../leaves.js';
import type { Quantization } from '../quantization.js';
import { isOp, type Value } from '../value.js';
import type { QuantizationPlan } from './quantization-plan.js';

export interface QuantizedWeights {
  /** The weights, each a whole multiple of its output channel's scale. */
  readonly data: Float32Array;
  readonly scale: Float32Array;
  /** The biases, corrected for what the rounding of the weights adds on average. */
  readonly biases: Float32Array;
}

/** Rounds a layer's weights to 8 bits, once for all plans that share `weights`. `input` is how its input is quantised. */
export function quantizedWeights(layer: Value, input: Quantization, plan: QuantizationPlan): QuantizedWeights {
  const bits = input.low;
  let known = plan.weights?.get(layer);
  if (known?.bits !== bits) {
    known = { bits, ...rounded(layer, input, plan) };
    plan.weights?.set(layer, known);
  }
  return known;
}

function rounded(layer: Value, source: Quantization, { perTensor, means }: QuantizationPlan): QuantizedWeights {
  const [input, weight] = layer.inputs;
  const weights = dataOf(weight) as Float32Array;
  if (!weights.every(Number.isFinite)) throw new GhostkitError('quantisation: a weight is not a finite number');
  const [outputs] = weight.shape;
  const each = weights.length / outputs;
  const depthwise = isOp(layer, conv2dOp) && isDepthwise(layer);
  const taps = sizeOf(weight.shape.slice(2));
  const scale = new Float32Array(outputs);
  for (let o = 0; o < outputs; o++) {
    const own = weights.subarray(o * each, (o + 1) * each);
    scale[o] = depthwise ? depthwiseScale(own, source) : wordsScale(own, taps, symmetricScale(own));
  }
  const hasBias = (layer.attrs as Conv2dAttrs).bias;
  const biases = Float32Array.from(hasBias ? (dataOf(layer.inputs[2]) as Float32Array) : new Float32Array(outputs));
  if (!depthwise) {
    for (const [o, bias] of biases.entries()) {
      scale[o] = Math.max(scale[o], Math.fround(Math.abs(bias) / (source.scale * MOST_BIAS)));
    }
  }
  if (perTensor) scale.fill(scale.reduce((a, b) => Math.max(a, b), 0));
  const data = weights.map((w, i) => {
    const s = scale[Math.floor(i / each)];
    return Math.fround(Math.max(-127, Math.min(127, Math.round(w / s))) * s);
  });
  const mean = means?.get(input);
  if (mean) {
    for (let i = 0; i < weights.length; i++) {
      const o = Math.floor(i / each);
      const channel = depthwise ? o : Math.floor((i % each) / taps);
      biases[o] -= (data[i] - weights[i]) * mean[channel];
    }
  }
  return { data, scale, biases };
}

/** The scale of weights that are all zero. */
const NO_WEIGHTS = 2 ** -20;

/** The largest magnitude of a bias in units of the sums, which have 32 bits. */
const MOST_BIAS = 2 ** 28;

function symmetricScale(weights: Float32Array): number {
  const most = weights.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return most > 0 ? Math.fround(most / 127) : NO_WEIGHTS;
}
