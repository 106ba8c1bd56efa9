import type { Value } from '../graph/value.js';
import type { BatchNorm2d, Conv2d, Sequential } from '../nn/layers.js';
import { batchNorm } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import * as ops from '../ops/index.js';
import { type BackboneTable, GhostBackbone } from './ghost-backbone.js';
import { GhostModule } from './ghost-module.js';
import type { ClassifierOptions } from './options.js';
import { depthwise, projection } from './shortcut.js';
import { SqueezeExcite } from './squeeze-excite.js';

export interface GhostBottleneckOptions {
  /** Kernel of the depthwise convolutions that take the stride and the shortcut; default 3. */
  dwKernel?: number;
  /** Above 1, a depthwise convolution between the two modules takes the stride; default 1. */
  stride?: number;
  /** Hidden share of squeeze-and-excitation; 0, the default, for none. */
  seRatio?: number;
  /** Ratio of both ghost modules; default 2. */
  ratio?: number;
}

/**
 * The Ghost bottleneck: a ghost module that expands, one without ReLU that reduces, and a shortcut around both.
 * `[N, inChannels, H, W]` to `[N, outChannels, H/stride, W/stride]`.
 *
 * Han et al., CVPR 2020 (arXiv:1911.11907), section 3.2 and figure 3.
 */
export class GhostBottleneck extends Module {
  readonly ghost1: GhostModule;
  readonly conv_dw?: Conv2d;
  readonly bn_dw?: BatchNorm2d;
  readonly se?: SqueezeExcite;
  readonly ghost2: GhostModule;
  readonly shortcut?: Sequential;

  constructor(
    inChannels: number,
    midChannels: number,
    outChannels: number,
    { dwKernel = 3, stride = 1, seRatio = 0, ratio = 2 }: GhostBottleneckOptions = {},
  ) {
    super();
    this.ghost1 = new GhostModule(inChannels, midChannels, { ratio });
    if (stride > 1) {
      this.conv_dw = depthwise(midChannels, dwKernel, stride);
      this.bn_dw = batchNorm(midChannels);
    }
    if (seRatio > 0) this.se = new SqueezeExcite(midChannels, seRatio);
    this.ghost2 = new GhostModule(midChannels, outChannels, { ratio, relu: false });
    this.shortcut = projection(inChannels, outChannels, dwKernel, stride);
  }

  forward(x: Value): Value {
    let y = this.ghost1.forward(x);
    if (this.conv_dw && this.bn_dw) y = this.bn_dw.forward(this.conv_dw.forward(y));
    if (this.se) y = this.se.forward(y);
    y = this.ghost2.forward(y);
    return ops.add(y, this.shortcut ? this.shortcut.forward(x) : x);
  }
}

/** Table 1 of the paper: kernel, #exp, #out, SE, stride. */
const TABLE: BackboneTable = {
  stages: [
    [[3, 16, 16, 0, 1]],

    [[3, 48, 24, 0, 2]],
    [[3, 72, 24, 0, 1]],

    [[5, 72, 40, 1, 2]],
    [[5, 120, 40, 1, 1]],

    [[3, 240, 80, 0, 2]],
    [
      [3, 200, 80, 0, 1],
      [3, 184, 80, 0, 1],
      [3, 184, 80, 0, 1],
      [3, 480, 112, 1, 1],
      [3, 672, 112, 1, 1],
    ],

    [[5, 672, 160, 1, 2]],
    [
      [5, 960, 160, 0, 1],
      [5, 960, 160, 1, 1],
      [5, 960, 160, 0, 1],
      [5, 960, 160, 1, 1],
    ],
  ],
  last: 960,
};

/**
 * GhostNet. Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020 (arXiv:1911.11907), table 1.
 * `[N, inChannels, H, W]` to `logits: [N, classes]`; `stages` gives `blocks.0` (stride 2) to `blocks.9` (stride 32).
 */
export class GhostNet extends GhostBackbone {
  constructor(options: ClassifierOptions = {}) {
    super(options, TABLE, ({ inChannels, midChannels, outChannels, ...rest }) => {
      return new GhostBottleneck(inChannels, midChannels, outChannels, rest);
    });
  }
}

export function ghostnet(options: ClassifierOptions = {}): GhostNet {
  return new GhostNet(options);
}
