import type { Value } from '../graph/value.js';
import type { BatchNorm2d, Conv2d, Sequential } from '../nn/layers.js';
import { batchNorm } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import * as ops from '../ops/index.js';
import { type BackboneTable, GhostBackbone } from './ghost-backbone.js';
import type { ClassifierOptions } from './options.js';
import { type Reparam, RepGhostModule } from './repghost-module.js';
import { depthwise, projection } from './shortcut.js';
import { SqueezeExcite } from './squeeze-excite.js';

export interface RepGhostBottleneckOptions {
  /** Kernel of the depthwise convolutions that take the stride and the shortcut; default 3. */
  dwKernel?: number;
  /** Above 1, a depthwise convolution between the two modules takes the stride; default 1. */
  stride?: number;
  /** Hidden share of squeeze-and-excitation; 0, the default, for none. */
  seRatio?: number;
  /** Whether the input is added where its shape is the output's; a projection is always there. Default true. */
  shortcut?: boolean;
  /** The branches of both RepGhost modules; default `bn`. */
  reparam?: Reparam;
}

/**
 * The RepGhost bottleneck: two RepGhost modules around a thin middle (its channels are half of a Ghost bottleneck's, since
 * nothing is concatenated) and a shortcut. `[N, inChannels, H, W]` to `[N, outChannels, H/stride, W/stride]`.
 *
 * Chen et al., arXiv:2211.06088, section 3.3 and figure 4.
 */
export class RepGhostBottleneck extends Module {
  readonly ghost1: RepGhostModule;
  readonly conv_dw?: Conv2d;
  readonly bn_dw?: BatchNorm2d;
  readonly se?: SqueezeExcite;
  readonly ghost2: RepGhostModule;
  readonly shortcut?: Sequential;
  private readonly addsInput: boolean;

  constructor(
    inChannels: number,
    midChannels: number,
    outChannels: number,
    { dwKernel = 3, stride = 1, seRatio = 0, shortcut = true, reparam = 'bn' }: RepGhostBottleneckOptions = {},
  ) {
    super();
    this.ghost1 = new RepGhostModule(inChannels, midChannels, { reparam });
    if (stride > 1) {
      this.conv_dw = depthwise(midChannels, dwKernel, stride);
      this.bn_dw = batchNorm(midChannels);
    }
    if (seRatio > 0) this.se = new SqueezeExcite(midChannels, seRatio);
    this.ghost2 = new RepGhostModule(midChannels, outChannels, { reparam, relu: false });
    this.shortcut = projection(inChannels, outChannels, dwKernel, stride);
    this.addsInput = shortcut && !this.shortcut;
  }

  forward(x: Value): Value {
    let y = this.ghost1.forward(x);
    if (this.conv_dw && this.bn_dw) y = this.bn_dw.forward(this.conv_dw.forward(y));
    if (this.se) y = this.se.forward(y);
    y = this.ghost2.forward(y);
    if (this.shortcut) return ops.add(y, this.shortcut.forward(x));
    return this.addsInput ? ops.add(y, x) : y;
  }
}

/** Table 2 of the paper: kernel, #mid, #out, SE, stride. */
const TABLE: BackboneTable = {
  stages: [
    [[3, 8, 16, 0, 1]],

    [[3, 24, 24, 0, 2]],
    [[3, 36, 24, 0, 1]],

    [[5, 36, 40, 1, 2]],
    [[5, 60, 40, 1, 1]],

    [[3, 120, 80, 0, 2]],
    [
      [3, 100, 80, 0, 1],
      [3, 120, 80, 0, 1],
      [3, 120, 80, 0, 1],
      [3, 240, 112, 1, 1],
      [3, 336, 112, 1, 1],
    ],

    [[5, 336, 160, 1, 2]],
    [
      [5, 480, 160, 0, 1],
      [5, 480, 160, 1, 1],
      [5, 480, 160, 0, 1],
      [5, 480, 160, 1, 1],
    ],
  ],
  last: 960,
};

/** The ablations of the paper's section 4.3 are options; the defaults are RepGhostNet itself. */
export interface RepGhostNetOptions extends ClassifierOptions {
  /** The branches beside every cheap operation; default `bn`. */
  reparam?: Reparam;
  /** Without it, no bottleneck adds its input; projections stay. Default true. */
  shortcut?: boolean;
  /** Whether bottlenecks have squeeze-and-excitation where the table says so; default true. */
  squeezeExcite?: boolean;
}

/**
 * RepGhostNet. Chen et al., "RepGhost: A Hardware-Efficient Ghost Module via Re-parameterization" (arXiv:2211.06088), table 2.
 * `[N, inChannels, H, W]` to `logits: [N, classes]`; `stages` gives `blocks.0` (stride 2) to `blocks.9` (stride 32).
 */
export class RepGhostNet extends GhostBackbone {
  constructor({ reparam, shortcut, squeezeExcite = true, ...options }: RepGhostNetOptions = {}) {
    super(options, TABLE, ({ inChannels, midChannels, outChannels, dwKernel, stride, seRatio }) => {
      return new RepGhostBottleneck(inChannels, midChannels, outChannels, {
        dwKernel,
        stride,
        seRatio: squeezeExcite ? seRatio : 0,
        reparam,
        shortcut,
      });
    });
  }
}

export function repghostnet(options: RepGhostNetOptions = {}): RepGhostNet {
  return new RepGhostNet(options);
}
