import type { Value } from '../../graph/value.js';
import { type Conv2d, conv2d, Lambda, ReLU, type Sequential, sequential } from '../../nn/layers.js';
import { Module } from '../../nn/module.js';
import { add, instanceNorm, leakyRelu, relu, tanh, upsampleNearest } from '../../ops/index.js';

/** LeakyReLU's slope before the last convolution. */
const SLOPE = 0.2;

/** Channels of the decoder's input: head colours 3, fill colours 3, head mask 1, background 3, fill mask 1, grey head 1. */
export const DECODER_CHANNELS = 12;

const conv3x3 = (from: number, to: number, dilation = 1) =>
  conv2d(from, to, 3, { padding: dilation, dilation, bias: true });

/** Every second pixel of every second row, times a learnt number for each channel. */
const halve = (channels: number) => conv2d(channels, channels, 1, { stride: 2, groups: channels });

/** Twice the size by repetition, then a convolution. */
const enlarge = (from: number, to: number): Sequential =>
  sequential(new Lambda((x) => upsampleNearest(x, 2)), conv3x3(from, to));

/**
 * The blender's U-shaped decoder: ten stages with instance norms between them, dilated in the middle, and three short cuts. From
 * `[N,12,H,W]` (see {@link DECODER_CHANNELS}) with H and W multiples of 8 to a BGR picture in [-1, 1], `[N,3,H,W]`. `maxChannels` bounds
 * the channels of every layer, for networks smaller than the original.
 */
export class BlenderDecoder extends Module {
  readonly conv1_1: Sequential;
  readonly conv1_2: Conv2d;
  readonly conv1_2norm_ss: Conv2d;
  readonly conv2_1: Conv2d;
  readonly conv2_2: Conv2d;
  readonly conv2_2norm_ss: Conv2d;
  readonly conv3_1: Conv2d;
  readonly conv3_2: Conv2d;
  readonly conv3_3: Conv2d;
  readonly conv3_3norm_ss: Conv2d;
  readonly conv4_1: Conv2d;
  readonly conv4_2: Conv2d;
  readonly conv4_3: Conv2d;
  readonly conv5_1: Conv2d;
  readonly conv5_2: Conv2d;
  readonly conv5_3: Conv2d;
  readonly conv6_1: Conv2d;
  readonly conv6_2: Conv2d;
  readonly conv6_3: Conv2d;
  readonly conv7_1: Conv2d;
  readonly conv7_2: Conv2d;
  readonly conv7_3: Conv2d;
  readonly conv8_1: Sequential;
  readonly conv3_3_short: Conv2d;
  readonly conv8_2: Conv2d;
  readonly conv8_3: Conv2d;
  readonly conv9_1: Sequential;
  readonly conv2_2_short: Conv2d;
  readonly conv9_2: Conv2d;
  readonly conv10_1: Sequential;
  readonly conv1_2_short: Conv2d;
  readonly conv10_2: Conv2d;
  readonly conv10_ab: Conv2d;

  constructor({ inChannels = DECODER_CHANNELS, maxChannels = 512 } = {}) {
    super();
    const [c32, c64, c128, c256, c512] = [32, 64, 128, 256, 512].map((c) => Math.min(c, maxChannels));
    this.conv1_1 = sequential(conv3x3(inChannels, c32), new ReLU(), conv3x3(c32, c64));
    this.conv1_2 = conv3x3(c64, c64);
    this.conv1_2norm_ss = halve(c64);
    this.conv2_1 = conv3x3(c64, c128);
    this.conv2_2 = conv3x3(c128, c128);
    this.conv2_2norm_ss = halve(c128);
    this.conv3_1 = conv3x3(c128, c256);
    this.conv3_2 = conv3x3(c256, c256);
    this.conv3_3 = conv3x3(c256, c256);
    this.conv3_3norm_ss = halve(c256);
    this.conv4_1 = conv3x3(c256, c512);
    this.conv4_2 = conv3x3(c512, c512);
    this.conv4_3 = conv3x3(c512, c512);
    this.conv5_1 = conv3x3(c512, c512, 2);
    this.conv5_2 = conv3x3(c512, c512, 2);
    this.conv5_3 = conv3x3(c512, c512, 2);
    this.conv6_1 = conv3x3(c512, c512, 2);
    this.conv6_2 = conv3x3(c512, c512, 2);
    this.conv6_3 = conv3x3(c512, c512, 2);
    this.conv7_1 = conv3x3(c512, c512);
    this.conv7_2 = conv3x3(c512, c512);
    this.conv7_3 = conv3x3(c512, c512);
    this.conv8_1 = enlarge(c512, c256);
    this.conv3_3_short = conv3x3(c256, c256);
    this.conv8_2 = conv3x3(c256, c256);
    this.conv8_3 = conv3x3(c256, c256);
    this.conv9_1 = enlarge(c256, c128);
    this.conv2_2_short = conv3x3(c128, c128);
    this.conv9_2 = conv3x3(c128, c128);
    this.conv10_1 = enlarge(c128, c128);
    this.conv1_2_short = conv3x3(c64, c128);
    this.conv10_2 = conv3x3(c128, c128);
    this.conv10_ab = conv2d(c128, 3, 1, { bias: true });
  }

  forward(x: Value): Value {
    const stage = (from: Value, ...layers: Module[]) =>
      instanceNorm(layers.reduce((value, layer) => relu(layer.forward(value)), from));
    const join = (from: Value, enlarged: Module, short: Module, skipped: Value) =>
      relu(add(enlarged.forward(from), short.forward(skipped)));

    const down1 = stage(x, this.conv1_1, this.conv1_2);
    const down2 = stage(this.conv1_2norm_ss.forward(down1), this.conv2_1, this.conv2_2);
    const down3 = stage(this.conv2_2norm_ss.forward(down2), this.conv3_1, this.conv3_2, this.conv3_3);
    const middle4 = stage(this.conv3_3norm_ss.forward(down3), this.conv4_1, this.conv4_2, this.conv4_3);
    const middle5 = stage(middle4, this.conv5_1, this.conv5_2, this.conv5_3);
    const middle6 = stage(middle5, this.conv6_1, this.conv6_2, this.conv6_3);
    const middle7 = stage(middle6, this.conv7_1, this.conv7_2, this.conv7_3);
    const up8 = stage(join(middle7, this.conv8_1, this.conv3_3_short, down3), this.conv8_2, this.conv8_3);
    const up9 = stage(join(up8, this.conv9_1, this.conv2_2_short, down2), this.conv9_2);
    const up10 = join(up9, this.conv10_1, this.conv1_2_short, down1);
    return tanh(this.conv10_ab.forward(leakyRelu(this.conv10_2.forward(up10), SLOPE)));
  }
}
