import type { Lowering } from '../graph/lowering.js';
import { grownScale, type Quantization } from '../graph/quantization.js';
import type { Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { sizeOf } from '../tensor/tensor.js';
import { integerWeights, type QuantizedConvAttrs, scaleOf } from './quantized-conv2d.js';
import { imageSize, integerRange } from './quantized-lowering.js';
import { writableChannels } from './quantized-view.js';

/** The largest number that 16 bits hold. */
const WORD = 32767;

/** Digits behind the point of a 16-bit result: as many as leave room for twice the range of a byte, with its sign. */
const MOST_SHIFT = 6;
const LEAST_SHIFT = 1;

/**
 * The least scale of a depthwise kernel's weights with which they fit into 8 bits and no sum of products leaves 16: the kernel adds up in 16 bits.
 */
export function depthwiseScale(weights: Float32Array, input: Pick<Quantization, 'low' | 'high'>): number {
  const most = Math.floor(WORD / Math.max(-input.low, input.high));
  let sum = 0;
  let peak = 0;
  for (const w of weights) {
    sum += Math.abs(w);
    peak = Math.max(peak, Math.abs(w));
  }
  let scale = Math.fround(Math.max(peak / 127, sum / most));
  const total = () => weights.reduce((n, w) => n + Math.abs(Math.round(w / scale)), 0);
  // Rounding may add up to more than the weights do.
  while (scale > 0 && total() > most) scale = grownScale(scale, 1.002);
  return scale > 0 ? scale : NO_WEIGHTS;
}

/** The scale of a kernel of zeros. */
const NO_WEIGHTS = 2 ** -20;

/**
 * The least scale of a depthwise layer's results that its 16-bit arithmetic can make: finer steps than those of the sums, or so fine that the bias is
 * thousands of them, would be lost. `scales` are those of its weights, `residual` the quantisation of what is added.
 */
export function leastDepthwiseScale(
  weights: Float32Array,
  bias: Float32Array | undefined,
  scales: Float32Array,
  input: Quantization,
  residual?: Quantization,
): number {
  const taps = weights.length / scales.length;
  const most = WORD / 2 / 2 ** PLANNED_SHIFT - 256;
  let least = residual ? (residual.scale * 2 ** (7 + PLANNED_SHIFT)) / WORD : 0;
  for (const [c, scale] of scales.entries()) {
    const sum = weights.subarray(c * taps, (c + 1) * taps).reduce((a, b) => a + b, 0);
    const offset =
      Math.abs(bias?.[c] ?? 0) +
      Math.abs(input.scale * input.zeroPoint * sum) +
      (residual ? residual.scale * Math.abs(residual.zeroPoint) : 0);
    least = Math.max(least, (input.scale * scale * 2 ** (15 + PLANNED_SHIFT)) / WORD, offset / most);
  }
  return least * 1.001;
}

/** Digits behind the point that a plan leaves room for. */
const PLANNED_SHIFT = 2;

/** Everything about a depthwise layer's arithmetic that its kernel is given. */
export interface DepthwiseNumbers {
  readonly shift: number;
  /** For each channel. */
  readonly multipliers: Int16Array;
  readonly biases: Int16Array;
  readonly residual: number;
}

/** The shift, multipliers and biases of a quantised depthwise layer. Throws when 16 bits are too few for them. */
export function depthwiseNumbers(value: Value<QuantizedConvAttrs>, bias: Float32Array): DepthwiseNumbers {
  const [input, , , added] = value.inputs;
  const { weightScale } = value.attrs;
  const source = scaleOf(input);
  const output = scaleOf(value);
  const weights = integerWeights(value);
  const taps = weights.length / weightScale.length;
  const extra = added && scaleOf(added);
  const factor = extra ? extra.scale / output.scale : 0;
  const units = Float64Array.from(weightScale, (s) => (source.scale * s) / output.scale);
  const offsets = units.map((unit, c) => {
    let sum = 0;
    for (let t = 0; t < taps; t++) sum += weights[c * taps + t];
    const zero = output.zeroPoint - factor * (extra?.zeroPoint ?? 0) - unit * source.zeroPoint * sum;
    return bias[c] / output.scale + zero;
  });
  const fits = (shift: number) =>
    units.every((unit) => unit * 2 ** (15 + shift) <= WORD) &&
    offsets.every((offset) => Math.abs(offset) * 2 ** shift <= WORD / 2) &&
    factor * 2 ** (7 + shift) <= WORD;
  let shift = MOST_SHIFT;
  while (shift > LEAST_SHIFT && !fits(shift)) shift--;
  if (!fits(shift))
    throw new GhostkitError('quantized_conv: a depthwise layer does not fit into 16 bits; leave it in float');
  const half = 2 ** (shift - 1);
  return {
    shift,
    multipliers: Int16Array.from(units, (unit) => Math.round(unit * 2 ** (15 + shift))),
    biases: Int16Array.from(offsets, (offset) => Math.round(offset * 2 ** shift + half)),
    residual: Math.round(factor * 2 ** (7 + shift)),
  };
}

export function lowerQuantizedDepthwise(value: Value<QuantizedConvAttrs>, to: Lowering): void {
  const [input, weight, bias, residual] = value.inputs;
  const { stride, padding, dilation, activation } = value.attrs;
  const [low, high] = integerRange(activation, scaleOf(value));
  const numbers = depthwiseNumbers(value, to.constant(bias));
  const x = to.view(input);
  const y = to.view(value);
  const rest = residual && to.view(residual);
  const channels = writableChannels(y);
  const dots = dotsFor(value, channels);
  // Behind the constants: sums of a row's outside taps, or what the dot products keep. The loops are tried out there too.
  const scratch = Math.max(1024, CONSTANTS + Math.max(Math.ceil(channels / 8) * 16, dots.bytes));
  to.emit(Opcode.Int8Depthwise, [
    ...[x, x.stride, y, y.stride],
    ...imageSize(input.shape),
    channels,
    ...imageSize(value.shape).slice(1),
    ...weight.shape.slice(2),
    ...stride,
    ...[padding[0], padding[1]],
    ...dilation,
    to.weights(packWords(integerWeights(value), numbers, sizeOf(weight.shape.slice(2)))),
    ...[numbers.shift, low, high],
    ...(rest ? [rest, rest.stride] : [0, 0]),
    numbers.residual,
    scaleOf(input).zeroPoint,
    to.scratch(scratch / 4),
    scratch,
    dots.bytes > 0 ? to.weights(packQuads(integerWeights(value), weight.shape[2])) : 0,
    dots.part,
    dots.columns,
    dots.rows,
  ]);
}

/**
 * What the dot products of kernels/int8-depthwise-dots.ts keep: channels at a time, pairs of columns, rows; the bytes of these and of sums. No bytes
 * where they do not suit.
 */
interface Kept {
  readonly part: number;
  readonly columns: number;
  readonly rows: number;
  readonly bytes: number;
}

function dotsFor(value: Value<QuantizedConvAttrs>, channels: number): Kept {
  const [input, weight] = value.inputs;
  const [, , height, width] = weight.shape;
  const { stride, dilation } = value.attrs;
  const suits =
    height === width &&
    (width === 3 || width === 5) &&
    stride[1] <= 2 &&
    dilation.every((d) => d === 1) &&
    scaleOf(input).low >= 0 &&
    channels % 4 === 0;
  if (!suits) return { part: 0, columns: 0, rows: 0, bytes: 0 };
  const tiles = Math.ceil(value.shape[3] / 4);
  const columns = stride[1] === 1 ? tiles * 2 + (width === 5 ? 2 : 0) : tiles * 4 + (width === 5 ? 1 : 0);
  const all = (value.shape[2] - 1) * stride[0] + height;
  // All rows of an image where those of a few vectors of channels have room in the first cache, else those of one output row.
  const rows = 4 * columns * all * 24 <= RING_BYTES ? all : height;
  const each = 4 * columns * rows;
  const part = Math.min(Math.ceil(channels / 8) * 8, Math.max(8, Math.floor(RING_BYTES / each / 8) * 8));
  return { part, columns, rows, bytes: each * part + Math.max(tiles, TILES) * 64 };
}

/** Bytes of the vectors of constants: as in kernels/int8-depthwise-end.ts. */
const CONSTANTS = 96;

/** Tiles of four pixels whose sums, 64 bytes each, are kept: as in that file. */
const TILES = 32;

/** Bytes of the rows that are kept at a time. */
const RING_BYTES = 24576;

/** Weights `[channel, kernel, kernel]` as `[channel / 4][row][taps / 4][4 channels][4 taps]`, with zeros behind the last tap. */
function packQuads(weights: Int8Array, kernel: number): Int8Array {
  const channels = weights.length / (kernel * kernel);
  const vectors = Math.ceil(kernel / 4);
  const packed = new Int8Array(Math.ceil(channels / 8) * 2 * kernel * vectors * 16);
  for (let c = 0; c < channels; c++) {
    for (let ky = 0; ky < kernel; ky++) {
      for (let kx = 0; kx < kernel; kx++) {
        const vector = ((c >> 2) * kernel + ky) * vectors + (kx >> 2);
        packed[vector * 16 + (c & 3) * 4 + (kx & 3)] = weights[(c * kernel + ky) * kernel + kx];
      }
    }
  }
  return packed;
}

/** `[channel / 8][multiplier, bias, sum of the taps, taps][8]`, the taps in 8 bits, the rest in 16. */
function packWords(weights: Int8Array, { multipliers, biases }: DepthwiseNumbers, taps: number): Int8Array {
  const channels = multipliers.length;
  const vector = 48 + taps * 8;
  const packed = new Int8Array(Math.ceil(channels / 8) * vector);
  const words = new DataView(packed.buffer);
  for (let c = 0; c < channels; c++) {
    const start = (c >> 3) * vector;
    const lane = c & 7;
    let sum = 0;
    for (let t = 0; t < taps; t++) {
      sum += weights[c * taps + t];
      packed[start + 48 + t * 8 + lane] = weights[c * taps + t];
    }
    for (const [i, word] of [multipliers[c], biases[c], sum].entries()) {
      words.setInt16(start + i * 16 + lane * 2, word, true);
    }
  }
  return packed;
}
