import type { Lowering } from '../graph/lowering.js';
import { type Quantization, roundEven } from '../graph/quantization.js';
import type { Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import type { Shape } from '../tensor/tensor.js';
import { type ActivationName, activationCode } from './activation.js';
import { integerBias, integerWeights, type QuantizedConvAttrs, scaleOf } from './quantized-conv2d.js';
import { lowerQuantizedDepthwise } from './quantized-depthwise.js';
import { writableChannels } from './quantized-view.js';
import { fitWords, weightRow } from './quantized-words.js';

/** Rows of one block, their bytes and those of their sums: as in kernels/int8-conv.ts. */
const BLOCK = 60;
const SUMS = BLOCK * 32;
/** Bytes of the vectors behind the sums: as in kernels/int8-ends.ts. */
const ENDS = 64;
const BLOCK_BYTES = 32768;

const toFour = (channels: number) => Math.ceil(channels / 4) * 4;
const toEight = (channels: number) => Math.ceil(channels / 8) * 8;

/** Batch, height and width of a value: a vector is an image of one pixel. */
export function imageSize(shape: Shape): [n: number, h: number, w: number] {
  return shape.length === 2 ? [shape[0], 1, 1] : [shape[0], shape[2], shape[3]];
}

/** Floats as the words that they are: multipliers are kept to the last bit, whatever weights are stored as. */
export function exactFloats(data: Float32Array): Int32Array {
  return new Int32Array(data.buffer, data.byteOffset, data.length);
}

/** The integers that an activation and a quantisation leave. */
export function integerRange(activation: ActivationName, output: Quantization): [low: number, high: number] {
  const { scale, zeroPoint, low, high } = output;
  if (activation === 'none') return [low, high];
  const least = Math.max(low, zeroPoint);
  if (activation === 'relu') return [least, high];
  if (activation === 'relu6') return [least, Math.min(high, roundEven(6 / scale + zeroPoint))];
  throw new GhostkitError(`quantized_conv: ${activation} must be an operator of its own behind a quantised result`);
}

export function lowerQuantizedConv(value: Value<QuantizedConvAttrs>, to: Lowering): void {
  if (value.attrs.groups > 1) lowerQuantizedDepthwise(value, to);
  else lowerDense(value, to);
}

function lowerDense(value: Value<QuantizedConvAttrs>, to: Lowering): void {
  const [input, weight, , residual] = value.inputs;
  const { attrs } = value;
  const { output, activation } = attrs;
  const source = scaleOf(input);
  if (source.low < 0) throw new GhostkitError('quantized_conv: its input needs integers from 0 to 127');
  const linear = input.shape.length === 2;
  const [outputs, channels, kernelHeight = 1, kernelWidth = 1] = weight.shape;
  const x = to.view(input);
  const y = to.view(value);
  const taps = kernelHeight * kernelWidth;
  const row = toEight(taps * toFour(channels));
  const scratch = scratchBytes(row);
  const extra = residual && scaleOf(residual);
  const factor = output && extra ? extra.scale / output.scale : 0;
  const zeroPoint = (output?.zeroPoint ?? 0) - factor * (extra?.zeroPoint ?? 0);
  const [low, high] = output ? integerRange(activation, output) : [0, 0];
  const rest = residual && to.view(residual);
  to.emit(Opcode.Int8Conv, [
    ...[x, x.stride, y, y.stride],
    ...imageSize(input.shape),
    toFour(channels),
    ...imageSize(value.shape).slice(1),
    ...[outputs, kernelHeight, kernelWidth],
    ...(linear ? [1, 1, 0, 0, 1, 1] : [...attrs.stride, attrs.padding[0], attrs.padding[1], ...attrs.dilation]),
    to.weights(packBytes(integerWeights(value), outputs, channels, taps)),
    to.weights(sumBiases(value, source.zeroPoint)),
    to.weights(multipliers(value)),
    to.scratch(scratch / 4),
    scratch,
    source.zeroPoint,
    output ? 0 : 1,
    // Of bytes whether their sums may be made of words.
    output ? Number(fitWords(integerWeights(value), outputs, taps)) : activationCode(activation),
    output ? writableChannels(y) : outputs,
    low,
    high,
    { float: zeroPoint },
    ...(rest ? [rest, rest.stride] : [0, 0]),
    { float: factor },
  ]);
}

/** The sums, a block of gathered rows and the same in 16 bits, for the kernels without relaxed SIMD. */
function scratchBytes(row: number): number {
  const rows = Math.max(12, Math.min(BLOCK, Math.floor(BLOCK_BYTES / row / 12) * 12));
  return SUMS + ENDS + Math.ceil((3 * rows * row + 64) / 16) * 16;
}

/** Weights `[O, C, taps]` in panels of 8 outputs, `[row / 4][8][4]`, where a row is `[tap][channel]` with channels a multiple of 4, and itself of 8. */
export function packBytes(weights: Int8Array, outputs: number, channels: number, taps: number): Int8Array {
  const each = channels * taps;
  const row = toEight(taps * toFour(channels));
  const packed = new Int8Array(toEight(outputs) * row);
  for (let o = 0; o < outputs; o++) {
    const panel = (o >> 3) * row * 8 + (o & 7) * 4;
    weightRow(weights.subarray(o * each, (o + 1) * each), taps).forEach((w, k) => {
      packed[panel + (k >> 2) * 32 + (k & 3)] = w;
    });
  }
  return packed;
}

/** What a sum begins with: the bias less what the zero point of the input adds. */
function sumBiases(value: Value<QuantizedConvAttrs>, zeroPoint: number): Int32Array {
  const bias = integerBias(value);
  const weights = integerWeights(value);
  const each = weights.length / bias.length;
  const sums = new Int32Array(toEight(bias.length));
  for (let o = 0; o < bias.length; o++) {
    let sum = 0;
    for (let i = 0; i < each; i++) sum += weights[o * each + i];
    sums[o] = bias[o] - zeroPoint * sum;
  }
  return sums;
}

function multipliers({ inputs: [input], attrs }: Value<QuantizedConvAttrs>): Int32Array {
  const { weightScale, output } = attrs;
  const unit = scaleOf(input).scale / (output?.scale ?? 1);
  const factors = new Float32Array(toEight(weightScale.length));
  for (const [o, scale] of weightScale.entries()) factors[o] = scale * unit;
  return exactFloats(factors);
}
