import type { Value } from '../../graph/value.js';
import { heFanOutInit } from '../../nn/init.js';
import {
  type BatchNorm2d,
  batchNorm,
  type Conv2d,
  conv2d,
  Linear,
  type Sequential,
  sequential,
} from '../../nn/layers.js';
import { Module } from '../../nn/module.js';
import * as ops from '../../ops/index.js';
import { Bottleneck } from '../resnet.js';

const init = { weight: heFanOutInit };

/** How much wider a block's output is than its stage's base width. */
const EXPANSION = 4;

export interface ResNeXtOptions {
  /** Length of the output; default 1000. */
  classes?: number;
  /** Bottlenecks of each stage; default 3, 4, 6, 3: 50 layers. */
  blocks?: readonly number[];
  /** Groups of the 3x3 convolutions (the paper's cardinality); default 32. */
  groups?: number;
  /** Channels of a group in the first stage, doubled with every stage; default 4. */
  groupWidth?: number;
  /** Channels of the stem and base width of the first stage; default 64. */
  base?: number;
}

/**
 * ResNeXt-50 32x4d under torchvision's state names: `[N, 3, H, W]` (RGB, normalised as for ImageNet) to `[N, classes]`.
 * Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017 (arXiv:1611.05431), table 1.
 */
export class ResNeXt extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly fc: Linear;

  constructor({ classes = 1000, blocks = [3, 4, 6, 3], groups = 32, groupWidth = 4, base = 64 }: ResNeXtOptions = {}) {
    super();
    this.conv1 = conv2d(3, base, 7, { stride: 2, padding: 3, init });
    this.bn1 = batchNorm(base);
    let inChannels = base;
    const stage = (i: number) => {
      const width = groups * groupWidth * 2 ** i;
      const outChannels = base * 2 ** i * EXPANSION;
      const bottlenecks = Array.from({ length: blocks[i] }, (_, j) => {
        const stride = i > 0 && j === 0 ? 2 : 1;
        return new Bottleneck(j === 0 ? inChannels : outChannels, width, outChannels, { stride, groups });
      });
      inChannels = outChannels;
      return sequential(...bottlenecks);
    };
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.fc = new Linear(inChannels, classes);
  }

  forward(x: Value): Value {
    let y: Value = ops.relu(this.bn1.forward(this.conv1.forward(x)));
    y = ops.maxPool(y, 3, { stride: 2, padding: 1 });
    for (const layer of [this.layer1, this.layer2, this.layer3, this.layer4]) y = layer.forward(y);
    return this.fc.forward(ops.flatten(ops.globalAveragePool(y)));
  }
}
