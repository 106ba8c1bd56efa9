import type { Arg, Lowering, Place, View } from '../graph/lowering.js';
import type { Value } from '../graph/value.js';
import { Activation, BinaryOperator, Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { sizeOf } from '../tensor/tensor.js';
import { activationCode } from './activation.js';
import { type Conv2dAttrs, conv2dOperands } from './conv2d.js';
import { blockDiagonal, mergedGroups, packLanes, suitsFewOutputs } from './conv2d-small.js';
import { lowerWinograd, suitsWinograd } from './conv2d-winograd.js';
import type { LinearAttrs } from './linear.js';

/**
 * The kernel's scratch, in floats (kernels/conv.ts and indirection.ts): a tile's sums, the pointers of every tap, and room for a block of input
 * rows where they are scaled or gathered first.
 */
const SUMS = 96;
const POINTER_ROWS = 68;
const BLOCK_ROWS = 60;
const GATHERED_CHANNELS = 8;

export function scratchFloats(channels: number, taps: number, scale: boolean): number {
  const gathered = taps > 1 && channels <= GATHERED_CHANNELS;
  const copied = gathered || scale ? BLOCK_ROWS * taps * channels + 8 : 0;
  return SUMS + POINTER_ROWS * taps + copied;
}

export function lowerConv2d(value: Value<Conv2dAttrs>, to: Lowering): void {
  const { weight } = conv2dOperands(value);
  const { groups, scale } = value.attrs;
  if (scale && !isPointwise(value))
    throw new GhostkitError('conv2d: only a pointwise convolution of stride 1 takes a scale here');
  if (groups > 1 && weight.shape[1] === 1 && !scale) lowerDepthwise(value, to);
  else if (suitsWinograd(value) && !to.live(weight)) lowerWinograd(value, to);
  else {
    const merged = to.live(weight) ? 1 : mergedGroups(groups, weight.shape[0] / groups, weight.shape[1]);
    for (let group = 0; group < groups / merged; group++) lowerGroup(value, group, merged, to);
  }
}

/** Whether every output pixel reads the one input pixel under it: the kernel scales inputs row by row. */
function isPointwise({ attrs: { stride, padding }, inputs: [, weight] }: Value<Conv2dAttrs>): boolean {
  return [...weight.shape.slice(2), ...stride].every((d) => d === 1) && padding.every((d) => d === 0);
}

/** The convolution of `merged` groups, from the `group * merged`th on. */
function lowerGroup(value: Value<Conv2dAttrs>, group: number, merged: number, to: Lowering): void {
  const { x: input, weight, bias, residual, scale } = conv2dOperands(value);
  const [outputs, kernelChannels, kernelHeight, kernelWidth] = weight.shape;
  const channels = kernelChannels * merged;
  const perGroup = (outputs / value.attrs.groups) * merged;
  const taps = kernelHeight * kernelWidth;
  const few = !to.live(weight) && suitsFewOutputs(value, perGroup, channels);
  const x = to.view(input);
  const y = to.view(value);
  const scratch = scratchFloats(channels, taps, scale !== undefined);
  to.emit(few ? Opcode.FewOutputs : Opcode.Conv, [
    shifted(x, group * channels),
    x.stride,
    shifted(y, group * perGroup),
    y.stride,
    ...geometry(input, channels, value, perGroup, weight),
    merged > 1 || few
      ? smallWeights(weight, group * perGroup, perGroup, merged, to)
      : panelsOf(weight, group * perGroup, perGroup, to),
    packedBias(bias, group * perGroup, perGroup, to),
    ...optionalRows(residual, group * perGroup, to),
    ...optionalRows(scale, group * channels, to),
    activationCode(value.attrs.activation),
    to.zeros(channels),
    to.scratch(scratch),
    4 * scratch,
  ]);
}

/** The packed weights of the outputs `start` to `start + count`, which are `merged` groups or few. */
function smallWeights(weight: Value, start: number, count: number, merged: number, to: Lowering): Place {
  const [, channels, kernelHeight, kernelWidth] = weight.shape;
  const taps = kernelHeight * kernelWidth;
  const own = to.constant(weight).subarray(start * channels * taps, (start + count) * channels * taps);
  if (merged === 1) return to.weights(packLanes(own, count, channels, taps));
  const dense = blockDiagonal(own, merged, count, channels * merged, taps);
  return to.weights(packPanels(dense, 0, count, channels * merged, taps));
}

function geometry(input: Value, channels: number, value: Value<Conv2dAttrs>, outputs: number, weight: Value): number[] {
  const [n, , h, w] = input.shape;
  const { stride, padding, dilation } = value.attrs;
  return [
    n,
    h,
    w,
    channels,
    value.shape[2],
    value.shape[3],
    outputs,
    weight.shape[2],
    weight.shape[3],
    ...stride,
    padding[0],
    padding[1],
    ...dilation,
  ];
}

function lowerDepthwise(value: Value<Conv2dAttrs>, to: Lowering): void {
  const { x: input, weight, bias, residual } = conv2dOperands(value);
  const [channels, , kernelHeight, kernelWidth] = weight.shape;
  const { stride, padding, dilation, groups, activation } = value.attrs;
  const multiplier = channels / groups;
  const x = multiplier === 1 ? to.view(input) : repeatChannels(to.view(input), multiplier, to);
  const y = to.view(value);
  const [n, , h, w] = input.shape;
  to.emit(Opcode.Depthwise, [
    x,
    x.stride,
    y,
    y.stride,
    n,
    h,
    w,
    channels,
    value.shape[2],
    value.shape[3],
    kernelHeight,
    kernelWidth,
    ...stride,
    padding[0],
    padding[1],
    ...dilation,
    depthwiseWeights(weight, bias, false, to),
    ...(residual ? optionalRows(residual, 0, to) : [to.zeros(channels), 0]),
    activationCode(activation),
  ]);
}

/** Every channel `times` times in a row: a convolution with several kernels a channel is then a depthwise one. */
function repeatChannels(x: View, times: number, to: Lowering): View {
  const channels = x.channels * times;
  const y: View = { buffer: to.temporary(x.rows * channels), offset: 0, rows: x.rows, channels, stride: channels };
  to.emit(Opcode.Binary, [
    ...[x, 0, x.stride, 1, 0],
    ...[to.zeros(1), 0, 0, 0, 0],
    ...[y, 0, channels, times, 1],
    ...[1, x.rows, x.channels, times],
    BinaryOperator.Add,
    Activation.None,
  ]);
  return y;
}

export function lowerLinear(value: Value<LinearAttrs>, to: Lowering): void {
  const [input, weight, bias] = value.inputs;
  const [outputs, channels] = weight.shape;
  const x = to.view(input);
  const y = to.view(value);
  to.emit(Opcode.Conv, [
    x,
    x.stride,
    y,
    y.stride,
    ...[x.rows, 1, 1, channels, 1, 1, outputs, 1, 1, 1, 1, 0, 0, 1, 1],
    panelsOf(weight, 0, outputs, to),
    packedBias(bias, 0, outputs, to),
    ...[0, 0, 0, 0],
    activationCode(value.attrs.activation),
    to.zeros(channels),
    to.scratch(scratchFloats(channels, 1, false)),
    4 * scratchFloats(channels, 1, false),
  ]);
}

export function shifted(view: View, channels: number): Place {
  return { buffer: view.buffer, offset: view.offset + channels };
}

/** The place and row stride of an operand that may be absent. */
export function optionalRows(value: Value | undefined, channel: number, to: Lowering): [Arg, number] {
  if (!value) return [0, 0];
  const view = to.view(value);
  return [shifted(view, channel), view.stride];
}

export function packedBias(bias: Value | undefined, start: number, count: number, to: Lowering): Place {
  const padded = Math.ceil(count / 8) * 8;
  if (!bias) return to.zeros(padded);
  if (to.live(bias)) return shifted(to.view(bias), start);
  const data = new Float32Array(padded);
  data.set(to.constant(bias).subarray(start, start + count));
  return to.weights(data);
}

/** The packed panels of the outputs `start` to `start + count` of a weight `[O, C, kH, kW]` or `[O, C]`. */
function panelsOf(weight: Value, start: number, count: number, to: Lowering): Place {
  const [, channels] = weight.shape;
  const taps = sizeOf(weight.shape.slice(2));
  if (!to.live(weight)) return to.weights(packPanels(to.constant(weight), start, count, channels, taps));
  const row = taps * channels;
  return packAtRun(shifted(to.view(weight), start * row), [count, channels, taps], [row, 1, channels], false, to);
}

/** Emits the packing of a live weight, stored `[O][tap][C]`: sizes and strides over outer dimension, inner dimension and taps. */
export function packAtRun(
  weight: Place,
  [outer, inner, taps]: readonly [number, number, number],
  strides: readonly [number, number, number],
  turned: boolean,
  to: Lowering,
): Place {
  const packed = { buffer: to.temporary(Math.ceil(outer / 8) * 8 * inner * taps), offset: 0 };
  to.emit(Opcode.PackPanels, [weight, outer, inner, taps, ...strides, turned ? 1 : 0, packed]);
  return packed;
}

/** The packed weights of a depthwise convolution, with the taps turned round for the gradient of its input. */
export function depthwiseWeights(weight: Value, bias: Value | undefined, turned: boolean, to: Lowering): Place {
  const [channels] = weight.shape;
  const taps = sizeOf(weight.shape.slice(2));
  if (!turned && !to.live(weight))
    return to.weights(packDepthwise(to.constant(weight), bias && to.constant(bias), channels, taps));
  const packed = { buffer: to.temporary(Math.ceil(channels / 4) * (taps + 1) * 4), offset: 0 };
  to.emit(Opcode.PackDepthwise, [to.view(weight), channels, taps, bias ? to.view(bias) : 0, turned ? 1 : 0, packed]);
  return packed;
}

/**
 * Packs rows `start` to `start + count` of a weight `[O, C, taps]` into panels of 8 outputs, `[tap][channel][8]`, the last of 4 when at most 4
 * outputs are left: the order in which the kernel reads them.
 */
export function packPanels(
  weight: Float32Array,
  start: number,
  count: number,
  channels: number,
  taps: number,
): Float32Array {
  const full = Math.floor(count / 8);
  const rest = count - full * 8;
  const restWidth = rest === 0 ? 0 : rest > 4 ? 8 : 4;
  const packed = new Float32Array(taps * channels * (full * 8 + restWidth));
  let at = 0;
  for (let o = 0; o < count; o += 8) {
    const width = o < full * 8 ? 8 : restWidth;
    const used = Math.min(width, count - o);
    for (let tap = 0; tap < taps; tap++) {
      for (let c = 0; c < channels; c++, at += width) {
        for (let j = 0; j < used; j++) packed[at + j] = weight[((start + o + j) * channels + c) * taps + tap];
      }
    }
  }
  return packed;
}

/** Packs a weight `[C, taps]` and its bias as `[channel / 4][bias, taps][4]`. */
export function packDepthwise(
  weight: Float32Array,
  bias: Float32Array | undefined,
  channels: number,
  taps: number,
): Float32Array {
  const packed = new Float32Array(Math.ceil(channels / 4) * (taps + 1) * 4);
  for (let c = 0; c < channels; c++) {
    const at = (c >> 2) * (taps + 1) * 4 + (c & 3);
    packed[at] = bias ? bias[c] : 0;
    for (let tap = 0; tap < taps; tap++) packed[at + (tap + 1) * 4] = weight[c * taps + tap];
  }
  return packed;
}
