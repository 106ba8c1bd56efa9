import type { Lowering, View } from '../graph/lowering.js';
import type { Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { blocksOf } from './batch-blocks.js';
import type { ConvGradientAttrs } from './conv2d-gradient.js';
import { depthwiseWeights, optionalRows, packAtRun, scratchFloats, shifted } from './conv2d-lowering.js';
import { rowsAndChannels } from './shapes.js';

const isDepthwise = (weight: readonly number[], groups: number) =>
  groups > 1 && weight[1] === 1 && weight[0] === groups;

export function lowerWeightGradient(value: Value<ConvGradientAttrs>, to: Lowering): void {
  const [input, gradient] = value.inputs;
  const { groups, stride, padding, dilation } = value.attrs;
  const [outputs, channels, kernelHeight, kernelWidth] = value.shape;
  const taps = kernelHeight * kernelWidth;
  const [n, , h, w] = input.shape;
  const [, , oh, ow] = gradient.shape;
  const x = to.view(input);
  const g = to.view(gradient);
  const y = to.view(value);
  const window = [...stride, padding[0], padding[1], ...dilation];
  // Every chunk has sums of its own: they are not to be more than what is summed.
  const chunks = blocksOf(n, n * oh * ow, (outputs * channels * taps) / (outputs + channels * groups));
  if (isDepthwise(value.shape, groups)) {
    const partial = { buffer: to.temporary(chunks * Math.ceil(outputs / 4) * taps * 4), offset: 0 };
    const geometry = [n, h, w, outputs, oh, ow, kernelHeight, kernelWidth, ...window];
    const { floats, lines, images } = blockOf(value);
    to.emit(Opcode.DepthwiseWeightGradient, [
      ...[x, x.stride, g, g.stride, ...geometry, partial, chunks],
      ...[to.scratch(floats), 4 * floats, lines, images],
    ]);
    to.emit(Opcode.DepthwiseWeightGradientEnd, [partial, chunks, outputs, taps, y]);
    return;
  }
  const perGroup = outputs / groups;
  const size = Math.ceil(perGroup / 4) * taps * Math.ceil(channels / 8) * 32;
  for (let group = 0; group < groups; group++) {
    const partial = { buffer: to.temporary(chunks * size), offset: 0 };
    to.emit(Opcode.ConvWeightGradient, [
      ...[shifted(x, group * channels), x.stride, shifted(g, group * perGroup), g.stride],
      ...[n, h, w, channels, oh, ow, perGroup, kernelHeight, kernelWidth, ...window],
      partial,
      chunks,
    ]);
    const target = { buffer: y.buffer, offset: y.offset + group * perGroup * taps * channels };
    to.emit(Opcode.ConvWeightGradientEnd, [partial, chunks, perGroup, taps, channels, target]);
  }
}

/** Output pixels of a block of a depthwise weight's gradient, about: the copy of what they see fits into the nearest cache. */
const BLOCK_PIXELS = 256;
/** Floats of a pixel of that copy: see train-depthwise.ts. */
const BLOCK_CHANNELS = 16;

/** The size of that copy, and the output lines of a block, or images where it has whole ones. */
function blockOf({ attrs, inputs, shape }: Value<ConvGradientAttrs>) {
  const { stride, dilation } = attrs;
  const [, , height, width] = inputs[1].shape;
  const extent = (outputs: number, axis: number) =>
    (outputs - 1) * stride[axis] + (shape[2 + axis] - 1) * dilation[axis] + 1;
  const pixels = BLOCK_PIXELS / (stride[0] * stride[1]);
  const lines = Math.max(1, Math.min(height, Math.floor(pixels / width)));
  const images = Math.floor(pixels / (height * width));
  const rows = Math.max(extent(lines, 0), images * extent(height, 0));
  return { floats: rows * extent(width, 1) * BLOCK_CHANNELS, lines, images };
}

export function lowerInputGradient(value: Value<ConvGradientAttrs>, to: Lowering): void {
  const [gradient, weight] = value.inputs;
  const { groups, stride, dilation } = value.attrs;
  const strided = stride[0] !== 1 || stride[1] !== 1;
  if (strided && isDepthwise(weight.shape, groups) && dilation.every((d) => d === 1)) {
    lowerStridedDepthwise(value, to);
    return;
  }
  const spread = strided ? dilated(value, to) : undilated(gradient, to);
  if (isDepthwise(weight.shape, groups)) lowerDepthwise(value, spread, to);
  else for (let group = 0; group < groups; group++) lowerDense(value, group, spread, to);
}

interface Spread {
  readonly view: View;
  readonly height: number;
  readonly width: number;
}

function undilated(gradient: Value, to: Lowering): Spread {
  return { view: to.view(gradient), height: gradient.shape[2], width: gradient.shape[3] };
}

/** The output's gradient with zeros between its pixels: the gradient of a strided convolution is then that of stride 1. */
function dilated(value: Value<ConvGradientAttrs>, to: Lowering): Spread {
  const [gradient] = value.inputs;
  const [n, c, h, w] = gradient.shape;
  const [down, across] = value.attrs.stride;
  const height = (h - 1) * down + 1;
  const width = (w - 1) * across + 1;
  const g = to.view(gradient);
  const { rows, channels } = rowsAndChannels([n, c, height, width]);
  const view: View = { buffer: to.temporary(rows * channels), offset: 0, rows, channels, stride: channels };
  to.emit(Opcode.Dilate, [g, g.stride, view, n, h, w, c, down, across, height, width]);
  return { view, height, width };
}

/** What is left of a window's padding when it runs over the output's gradient, turned round. */
function turnedPadding({ attrs, inputs: [, weight] }: Value<ConvGradientAttrs>): [number, number] {
  const { padding, dilation } = attrs;
  return [dilation[0] * (weight.shape[2] - 1) - padding[0], dilation[1] * (weight.shape[3] - 1) - padding[1]];
}

function lowerDense(value: Value<ConvGradientAttrs>, group: number, spread: Spread, to: Lowering): void {
  const [, weight, residual] = value.inputs;
  const { groups, dilation } = value.attrs;
  const [outputs, channels, kernelHeight, kernelWidth] = weight.shape;
  const perGroup = outputs / groups;
  const taps = kernelHeight * kernelWidth;
  const [n, , h, w] = value.shape;
  const y = to.view(value);
  const row = taps * channels;
  // Outer dimension: input channels; inner: output channels.
  const panels = packAtRun(
    shifted(to.view(weight), group * perGroup * row),
    [channels, perGroup, taps],
    [1, row, channels],
    true,
    to,
  );
  const scratch = scratchFloats(perGroup, taps, false);
  to.emit(Opcode.Conv, [
    ...[shifted(spread.view, group * perGroup), spread.view.stride, shifted(y, group * channels), y.stride],
    ...[n, spread.height, spread.width, perGroup, h, w, channels, kernelHeight, kernelWidth, 1, 1],
    ...turnedPadding(value),
    ...dilation,
    panels,
    to.zeros(Math.ceil(channels / 8) * 8),
    ...optionalRows(residual, group * channels, to),
    ...[0, 0, 0],
    to.zeros(perGroup),
    to.scratch(scratch),
    4 * scratch,
  ]);
}

function lowerStridedDepthwise(value: Value<ConvGradientAttrs>, to: Lowering): void {
  const [gradient, weight, residual] = value.inputs;
  const [n, channels, h, w] = value.shape;
  const { stride, padding } = value.attrs;
  const g = to.view(gradient);
  const y = to.view(value);
  to.emit(Opcode.DepthwiseInputGradient, [
    ...[g, g.stride, y, y.stride, n, gradient.shape[2], gradient.shape[3], channels, h, w],
    ...[weight.shape[2], weight.shape[3], ...stride, padding[0], padding[1]],
    depthwiseWeights(weight, undefined, false, to),
    ...(residual ? optionalRows(residual, 0, to) : [to.zeros(channels), 0]),
  ]);
}

function lowerDepthwise(value: Value<ConvGradientAttrs>, { view: g, height, width }: Spread, to: Lowering): void {
  const [, weight, residual] = value.inputs;
  const [n, channels, h, w] = value.shape;
  const y = to.view(value);
  to.emit(Opcode.Depthwise, [
    ...[g, g.stride, y, y.stride, n, height, width, channels, h, w],
    ...[weight.shape[2], weight.shape[3], 1, 1, ...turnedPadding(value), ...value.attrs.dilation],
    depthwiseWeights(weight, undefined, true, to),
    ...(residual ? optionalRows(residual, 0, to) : [to.zeros(channels), 0]),
    0,
  ]);
}
