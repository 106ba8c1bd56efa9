import type { Value } from '../graph/value.js';
import { batchNorm, conv2d, ReLU, type Sequential, sequential } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import type { Conv2dOptions } from '../ops/index.js';
import * as ops from '../ops/index.js';
import { needOddKernel, needRatio, samePadding } from './options.js';

export interface GhostModuleOptions {
  /** Kernel of the primary convolution; default 1. */
  kernel?: number;
  /** The paper's s: one of `ratio` feature maps is intrinsic, the others are its ghosts; an integer from 2, default 2. */
  ratio?: number;
  /** The paper's d: kernel of the cheap operation, odd; default 3. */
  dwKernel?: number;
  /** Stride of the primary convolution; default 1. */
  stride?: Conv2dOptions['stride'];
  /** Zeros around the input of the primary convolution; by default as many as keep the size of the image at stride 1. */
  padding?: Conv2dOptions['padding'];
  /** Dilation of the primary convolution; default 1. */
  dilation?: Conv2dOptions['dilation'];
  /** Whether both convolutions end in a ReLU; default true. */
  relu?: boolean;
  /** Of both batch norms; PyTorch's defaults where absent. */
  norm?: { epsilon?: number; momentum?: number };
}

/**
 * The Ghost module: a stand-in for a convolution that computes only `1 / ratio` of its output maps and makes the rest from
 * them with a depthwise convolution. `[N, inChannels, H, W]` to `[N, outChannels, H/stride, W/stride]`.
 *
 * Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020 (arXiv:1911.11907), section 3.1 and figure 2(b).
 *
 * Throws a {@link GhostkitError} for a ratio that is no integer from 2 or an even `dwKernel`.
 */
export class GhostModule extends Module {
  readonly primary_conv: Sequential;
  readonly cheap_operation: Sequential;

  constructor(
    inChannels: number,
    readonly outChannels: number,
    options: GhostModuleOptions = {},
  ) {
    super();
    const { kernel = 1, ratio = 2, dwKernel = 3, relu = true, norm } = options;
    const { stride = 1, dilation = 1, padding = samePadding(kernel, dilation) } = options;
    needRatio('GhostModule', ratio);
    needOddKernel('GhostModule', dwKernel);
    const intrinsic = Math.ceil(outChannels / ratio);
    const ghosts = intrinsic * (ratio - 1);
    this.primary_conv = sequential(
      conv2d(inChannels, intrinsic, kernel, { stride, padding, dilation }),
      batchNorm(intrinsic, norm),
      relu && new ReLU(),
    );
    this.cheap_operation = sequential(
      conv2d(intrinsic, ghosts, dwKernel, { padding: Math.floor(dwKernel / 2), groups: intrinsic }),
      batchNorm(ghosts, norm),
      relu && new ReLU(),
    );
  }

  forward(x: Value): Value {
    const intrinsic = this.primary_conv.forward(x);
    const ghosts = this.cheap_operation.forward(intrinsic);
    return ops.slice(ops.concat([intrinsic, ghosts]), 0, this.outChannels);
  }
}
