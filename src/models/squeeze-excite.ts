import type { Value } from '../graph/value.js';
import { type Conv2d, conv2d } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import * as ops from '../ops/index.js';
import { makeDivisible } from './make-divisible.js';

/**
 * Squeeze-and-excitation with a hard sigmoid (MobileNetV3, arXiv:1905.02244, section 5.3): every channel is multiplied with a
 * gate between 0 and 1 that depends on the means of all channels. `[N,C,H,W]` to the same shape.
 */
export class SqueezeExcite extends Module {
  readonly conv_reduce: Conv2d;
  readonly conv_expand: Conv2d;

  /** `seRatio`: the hidden channels' share of `channels`; their number is rounded to a multiple of 4. */
  constructor(channels: number, seRatio = 0.25) {
    super();
    const reduced = makeDivisible(channels * seRatio, 4);
    this.conv_reduce = conv2d(channels, reduced, 1, { bias: true });
    this.conv_expand = conv2d(reduced, channels, 1, { bias: true });
  }

  forward(x: Value): Value {
    const hidden = ops.relu(this.conv_reduce.forward(ops.globalAveragePool(x)));
    return ops.mul(x, ops.hardSigmoid(this.conv_expand.forward(hidden)));
  }
}
