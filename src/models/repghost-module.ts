import type { Value } from '../graph/value.js';
import { batchNorm, type Conv2d, conv2d, Identity, ReLU, type Sequential, sequential } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import type { Conv2dOptions } from '../ops/index.js';
import * as ops from '../ops/index.js';
import { GhostkitError } from '../tensor/error.js';
import { needOddKernel, samePadding } from './options.js';

/**
 * What stands beside the depthwise convolution of a RepGhost module (section 4.3 compares them):
 * `bn`, the paper's choice, a batch norm; `identity`, the input itself; `bn+identity`, both; `none`, nothing;
 * `merged`, nothing but one convolution with a bias, as in a checkpoint that was converted for inference.
 */
export type Reparam = 'bn' | 'identity' | 'bn+identity' | 'none' | 'merged';

export interface RepGhostModuleOptions {
  /** Kernel of the primary convolution; default 1. */
  kernel?: number;
  /** Kernel of the cheap operation, odd; default 3. */
  dwKernel?: number;
  /** Stride of the primary convolution; default 1. */
  stride?: Conv2dOptions['stride'];
  /** Zeros around the input of the primary convolution; by default as many as keep the size of the image at stride 1. */
  padding?: Conv2dOptions['padding'];
  /** Dilation of the primary convolution; default 1. */
  dilation?: Conv2dOptions['dilation'];
  /** Whether the primary convolution and the sum end in a ReLU; default true. */
  relu?: boolean;
  /** The branches that re-parameterisation merges into the cheap operation; default `bn`. */
  reparam?: Reparam;
  /** Of all batch norms; PyTorch's defaults where absent. */
  norm?: NormOptions;
}

type NormOptions = { epsilon?: number; momentum?: number };

const BRANCHES: Readonly<Record<Reparam, (channels: number, norm?: NormOptions) => Module[]>> = {
  bn: (channels, norm) => [batchNorm(channels, norm)],
  identity: () => [new Identity()],
  'bn+identity': (channels, norm) => [batchNorm(channels, norm), new Identity()],
  none: () => [],
  merged: () => [],
};

/**
 * The RepGhost module: features are reused by adding them to their ghosts instead of concatenating them, and the ReLU comes
 * after the sum, so that for inference all branches are one depthwise convolution (the `reparameterize` pass).
 * `[N, inChannels, H, W]` to `[N, outChannels, H/stride, W/stride]`.
 *
 * Chen et al., "RepGhost: A Hardware-Efficient Ghost Module via Re-parameterization" (arXiv:2211.06088), section 3.2 and
 * figure 3.
 *
 * Throws a {@link GhostkitError} for an even `dwKernel` or an unknown `reparam`.
 */
export class RepGhostModule extends Module {
  readonly primary_conv: Sequential;
  readonly fusion_bn: Sequential;
  readonly cheap_operation: Sequential | Conv2d;
  private readonly relu: boolean;

  constructor(inChannels: number, outChannels: number, options: RepGhostModuleOptions = {}) {
    super();
    const { kernel = 1, dwKernel = 3, relu = true, reparam = 'bn', norm } = options;
    const { stride = 1, dilation = 1, padding = samePadding(kernel, dilation) } = options;
    needOddKernel('RepGhostModule', dwKernel);
    if (!Object.hasOwn(BRANCHES, reparam)) {
      throw new GhostkitError(
        `RepGhostModule: reparam must be one of ${Object.keys(BRANCHES).join(', ')}, got ${reparam}`,
      );
    }
    this.relu = relu;
    this.primary_conv = sequential(
      conv2d(inChannels, outChannels, kernel, { stride, padding, dilation }),
      batchNorm(outChannels, norm),
      relu && new ReLU(),
    );
    this.fusion_bn = sequential(...BRANCHES[reparam](outChannels, norm));
    const cheap = { padding: Math.floor(dwKernel / 2), groups: outChannels };
    this.cheap_operation =
      reparam === 'merged'
        ? conv2d(outChannels, outChannels, dwKernel, { ...cheap, bias: true })
        : sequential(conv2d(outChannels, outChannels, dwKernel, cheap), batchNorm(outChannels, norm));
  }

  forward(x: Value): Value {
    const intrinsic = this.primary_conv.forward(x);
    const sum = this.fusion_bn.layers.reduce(
      (y, branch) => ops.add(y, branch.forward(intrinsic)),
      this.cheap_operation.forward(intrinsic),
    );
    return this.relu ? ops.relu(sum) : sum;
  }
}
