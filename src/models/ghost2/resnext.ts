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

const init = { weight: heFanOutInit };

/** How much wider a block's output is than its stage's base width. */
const EXPANSION = 4;

/** The ResNeXt bottleneck: reduce, a grouped 3x3 convolution that takes the stride, expand (figure 3c of the paper). */
export class ResNeXtBottleneck extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample?: Sequential;

  constructor(inChannels: number, width: number, outChannels: number, { stride = 1, groups = 32 } = {}) {
    super();
    this.conv1 = conv2d(inChannels, width, 1, { init });
    this.bn1 = batchNorm(width);
    this.conv2 = conv2d(width, width, 3, { stride, padding: 1, groups, init });
    this.bn2 = batchNorm(width);
    this.conv3 = conv2d(width, outChannels, 1, { init });
    this.bn3 = batchNorm(outChannels);
    if (stride !== 1 || inChannels !== outChannels) {
      this.downsample = sequential(conv2d(inChannels, outChannels, 1, { stride, init }), batchNorm(outChannels));
    }
  }

  forward(x: Value): Value {
    let y: Value = ops.relu(this.bn1.forward(this.conv1.forward(x)));
    y = ops.relu(this.bn2.forward(this.conv2.forward(y)));
    y = this.bn3.forward(this.conv3.forward(y));
    return ops.relu(ops.add(y, this.downsample ? this.downsample.forward(x) : x));
  }
}

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
        return new ResNeXtBottleneck(j === 0 ? inChannels : outChannels, width, outChannels, { stride, groups });
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
