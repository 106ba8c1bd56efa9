import type { Value } from '../../graph/value.js';
import { constantInit, heFanOutInit, normalInit } from '../../nn/init.js';
import {
  batchNorm,
  type Conv2dLayerOptions,
  conv2d,
  Dropout,
  Linear,
  ReLU6,
  type Sequential,
  sequential,
} from '../../nn/layers.js';
import { Module } from '../../nn/module.js';
import * as ops from '../../ops/index.js';
import { makeDivisible } from '../make-divisible.js';

const init = { weight: heFanOutInit };

function convNorm(
  inChannels: number,
  outChannels: number,
  kernel: number,
  options: Conv2dLayerOptions = {},
): Sequential {
  return sequential(
    conv2d(inChannels, outChannels, kernel, { ...options, padding: (kernel - 1) / 2, init }),
    batchNorm(outChannels),
    new ReLU6(),
  );
}

/** The inverted residual with a linear bottleneck: expand, depthwise, project (figure 3b of the paper). */
class InvertedResidual extends Module {
  readonly conv: Sequential;
  readonly #addsInput: boolean;

  constructor(inChannels: number, outChannels: number, expansion: number, stride: number) {
    super();
    const hidden = inChannels * expansion;
    const depthwise = convNorm(hidden, hidden, 3, { stride, groups: hidden });
    const project = [conv2d(hidden, outChannels, 1, { init }), batchNorm(outChannels)];
    this.conv =
      expansion === 1
        ? sequential(depthwise, ...project)
        : sequential(convNorm(inChannels, hidden, 1), depthwise, ...project);
    this.#addsInput = stride === 1 && inChannels === outChannels;
  }

  forward(x: Value): Value {
    const y = this.conv.forward(x);
    return this.#addsInput ? ops.add(x, y) : y;
  }
}

/** Table 2 of the paper: expansion t, channels c, repeats n, stride s of the first. */
const TABLE = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

export interface MobileNetV2Options {
  /** Multiplies the channels of every layer; default 1. */
  width?: number;
  /** Length of the output; default 1000. */
  classes?: number;
}

/**
 * MobileNetV2 under torchvision's state names: `[N, 3, H, W]` to `[N, classes]`. Sandler et al., "MobileNetV2: Inverted
 * Residuals and Linear Bottlenecks", CVPR 2018 (arXiv:1801.04381), table 2.
 */
export class MobileNetV2 extends Module {
  readonly features: Sequential;
  readonly classifier: Sequential;

  constructor({ width = 1, classes = 1000 }: MobileNetV2Options = {}) {
    super();
    const last = makeDivisible(1280 * Math.max(1, width), 8);
    let channels = makeDivisible(32 * width, 8);
    const layers: Module[] = [convNorm(3, channels, 3, { stride: 2 })];
    for (const [t, c, n, s] of TABLE) {
      const outChannels = makeDivisible(c * width, 8);
      for (let i = 0; i < n; i++) {
        layers.push(new InvertedResidual(channels, outChannels, t, i === 0 ? s : 1));
        channels = outChannels;
      }
    }
    this.features = sequential(...layers, convNorm(channels, last, 1));
    const linearInit = { weight: normalInit(0.01), bias: constantInit(0) };
    this.classifier = sequential(new Dropout(0.2), new Linear(last, classes, { init: linearInit }));
  }

  forward(x: Value): Value {
    return this.classifier.forward(ops.flatten(ops.globalAveragePool(this.features.forward(x))));
  }
}
