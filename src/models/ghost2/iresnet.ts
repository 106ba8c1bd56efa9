import type { Value } from '../../graph/value.js';
import { normalInit } from '../../nn/init.js';
import {
  type BatchNorm2d,
  batchNorm,
  type Conv2d,
  conv2d,
  Linear,
  PReLU,
  type Sequential,
  sequential,
} from '../../nn/layers.js';
import { Module } from '../../nn/module.js';
import * as ops from '../../ops/index.js';

const init = { weight: normalInit(0.1) };

const conv3x3 = (inChannels: number, outChannels: number, stride = 1) =>
  conv2d(inChannels, outChannels, 3, { stride, padding: 1, init });

/** The improved residual block: a batch norm before the first convolution and none behind the sum. */
export class IBasicBlock extends Module {
  readonly bn1: BatchNorm2d;
  readonly conv1: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly prelu: PReLU;
  readonly conv2: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample?: Sequential;

  constructor(inChannels: number, outChannels: number, stride: number) {
    super();
    this.bn1 = batchNorm(inChannels);
    this.conv1 = conv3x3(inChannels, outChannels);
    this.bn2 = batchNorm(outChannels);
    this.prelu = new PReLU(outChannels);
    this.conv2 = conv3x3(outChannels, outChannels, stride);
    this.bn3 = batchNorm(outChannels);
    if (stride !== 1 || inChannels !== outChannels) {
      this.downsample = sequential(conv2d(inChannels, outChannels, 1, { stride, init }), batchNorm(outChannels));
    }
  }

  forward(x: Value): Value {
    let y = this.conv1.forward(this.bn1.forward(x));
    y = this.prelu.forward(this.bn2.forward(y));
    y = this.bn3.forward(this.conv2.forward(y));
    return ops.add(y, this.downsample ? this.downsample.forward(x) : x);
  }
}

export interface IResNetOptions {
  /** Blocks of each stage; default 3, 4, 14, 3: IResNet-50. */
  blocks?: readonly number[];
  /** Channels of each stage; default 64, 128, 256, 512. */
  channels?: readonly number[];
  /** Length of the embedding; default 512. */
  features?: number;
  /** Height and width of the input, a multiple of 16; default 112. */
  size?: number;
}

/**
 * IResNet, the network behind ArcFace: `[N, 3, 112, 112]` (RGB in [-1, 1], aligned to the ArcFace template) to an identity
 * embedding `[N, 512]`. Duta et al., "Improved Residual Networks for Image and Video Recognition" (arXiv:2004.04989), as in
 * insightface; Deng et al., "ArcFace", CVPR 2019 (arXiv:1801.07698).
 */
export class IResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly prelu: PReLU;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly bn2: BatchNorm2d;
  readonly fc: Linear;
  readonly features: BatchNorm2d;

  constructor({
    blocks = [3, 4, 14, 3],
    channels = [64, 128, 256, 512],
    features = 512,
    size = 112,
  }: IResNetOptions = {}) {
    super();
    this.conv1 = conv3x3(3, channels[0]);
    this.bn1 = batchNorm(channels[0]);
    this.prelu = new PReLU(channels[0]);
    const stage = (i: number) => {
      const first = new IBasicBlock(channels[Math.max(i - 1, 0)], channels[i], 2);
      const others = Array.from({ length: blocks[i] - 1 }, () => new IBasicBlock(channels[i], channels[i], 1));
      return sequential(first, ...others);
    };
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.bn2 = batchNorm(channels[3]);
    this.fc = new Linear(channels[3] * (size / 16) ** 2, features);
    this.features = batchNorm(features);
  }

  forward(x: Value): Value {
    let y = this.prelu.forward(this.bn1.forward(this.conv1.forward(x)));
    for (const layer of [this.layer1, this.layer2, this.layer3, this.layer4]) y = layer.forward(y);
    return this.features.forward(this.fc.forward(ops.flatten(this.bn2.forward(y))));
  }
}
