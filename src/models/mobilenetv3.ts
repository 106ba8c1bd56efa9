import type { Value } from '../graph/value.js';
import { constantInit, heFanOutInit, normalInit } from '../nn/init.js';
import {
  batchNorm,
  type Conv2d,
  type Conv2dLayerOptions,
  conv2d,
  Dropout,
  Lambda,
  type LayerInit,
  Linear,
  type Sequential,
  sequential,
} from '../nn/layers.js';
import { Module } from '../nn/module.js';
import { Classifier } from '../nn/trace.js';
import * as ops from '../ops/index.js';
import { makeDivisible } from './make-divisible.js';
import { type ClassifierOptions, classifierOptions } from './options.js';

/** The two MobileNetV3s, the baseline of both Ghost papers, under torchvision's state names. */

type ActivationKind = 'RE' | 'HS';

const ACTIVATIONS: Readonly<Record<ActivationKind, (x: Value) => Value>> = { RE: ops.relu, HS: ops.hardSwish };

/** A row of the paper's tables: kernel, exp size, #out, SE, NL, stride. */
type Row = readonly [kernel: number, expansion: number, out: number, se: 0 | 1, nl: ActivationKind, stride: number];

interface Table {
  readonly rows: readonly Row[];
  /** Features between the two fully connected layers at width 1. */
  readonly head: number;
}

/** Table 1 of the paper. */
const LARGE: Table = {
  rows: [
    [3, 16, 16, 0, 'RE', 1],
    [3, 64, 24, 0, 'RE', 2],
    [3, 72, 24, 0, 'RE', 1],
    [5, 72, 40, 1, 'RE', 2],
    [5, 120, 40, 1, 'RE', 1],
    [5, 120, 40, 1, 'RE', 1],
    [3, 240, 80, 0, 'HS', 2],
    [3, 200, 80, 0, 'HS', 1],
    [3, 184, 80, 0, 'HS', 1],
    [3, 184, 80, 0, 'HS', 1],
    [3, 480, 112, 1, 'HS', 1],
    [3, 672, 112, 1, 'HS', 1],
    [5, 672, 160, 1, 'HS', 2],
    [5, 960, 160, 1, 'HS', 1],
    [5, 960, 160, 1, 'HS', 1],
  ],
  head: 1280,
};

/** Table 2 of the paper. */
const SMALL: Table = {
  rows: [
    [3, 16, 16, 1, 'RE', 2],
    [3, 72, 24, 0, 'RE', 2],
    [3, 88, 24, 0, 'RE', 1],
    [5, 96, 40, 1, 'HS', 2],
    [5, 240, 40, 1, 'HS', 1],
    [5, 240, 40, 1, 'HS', 1],
    [5, 120, 48, 1, 'HS', 1],
    [5, 144, 48, 1, 'HS', 1],
    [5, 288, 96, 1, 'HS', 2],
    [5, 576, 96, 1, 'HS', 1],
    [5, 576, 96, 1, 'HS', 1],
  ],
  head: 1024,
};

const zero = constantInit(0);
const convInit: LayerInit = { weight: heFanOutInit, bias: zero };
const linearInit: LayerInit = { weight: normalInit(0.01), bias: zero };

interface ConvNormOptions extends Conv2dLayerOptions {
  activation?: ActivationKind;
  epsilon: number;
}

function convNorm(
  inChannels: number,
  outChannels: number,
  kernel: number,
  { activation, epsilon, ...options }: ConvNormOptions,
): Sequential {
  return sequential(
    conv2d(inChannels, outChannels, kernel, { ...options, padding: (kernel - 1) / 2, init: convInit }),
    batchNorm(outChannels, { epsilon, momentum: 0.01 }),
    activation && new Lambda(ACTIVATIONS[activation]),
  );
}

/** Squeeze-and-excitation under torchvision's names, with a quarter of the channels rounded to a multiple of 8. */
class SqueezeExcitation extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;

  constructor(channels: number) {
    super();
    const reduced = makeDivisible(Math.floor(channels / 4), 8);
    this.fc1 = conv2d(channels, reduced, 1, { bias: true, init: convInit });
    this.fc2 = conv2d(reduced, channels, 1, { bias: true, init: convInit });
  }

  forward(x: Value): Value {
    const hidden = ops.relu(this.fc1.forward(ops.globalAveragePool(x)));
    return ops.mul(x, ops.hardSigmoid(this.fc2.forward(hidden)));
  }
}

/** The bottleneck: expand, depthwise, squeeze-and-excitation, project; the input is added where its shape allows (figure 4). */
class InvertedResidual extends Module {
  readonly block: Sequential;
  private readonly addsInput: boolean;

  constructor(inChannels: number, [kernel, expansion, out, se, activation, stride]: Row, epsilon: number) {
    super();
    this.addsInput = stride === 1 && inChannels === out;
    this.block = sequential(
      ...(expansion === inChannels ? [] : [convNorm(inChannels, expansion, 1, { activation, epsilon })]),
      convNorm(expansion, expansion, kernel, { activation, epsilon, stride, groups: expansion }),
      ...(se ? [new SqueezeExcitation(expansion)] : []),
      convNorm(expansion, out, 1, { epsilon }),
    );
  }

  forward(x: Value): Value {
    const y = this.block.forward(x);
    return this.addsInput ? ops.add(y, x) : y;
  }
}

export interface MobileNetV3Options extends ClassifierOptions {
  /** Added to the variances of batch norm: 0.001 as in torchvision, the default; timm's weights were trained with 1e-5. */
  epsilon?: number;
}

/**
 * MobileNetV3. Howard et al., "Searching for MobileNetV3", ICCV 2019 (arXiv:1905.02244), tables 1 and 2. A width other than 1
 * scales every layer as torchvision does, the last two included; the paper's narrow variants keep those.
 * `[N, inChannels, H, W]` to `logits: [N, classes]`; `stages` gives every `features.N`.
 */
export class MobileNetV3 extends Classifier {
  readonly features: Sequential;
  readonly classifier: Sequential;
  readonly numClasses: number;
  readonly inChannels: number;

  constructor(size: 'large' | 'small', { epsilon = 0.001, ...options }: MobileNetV3Options = {}) {
    super();
    const { width, classes, inChannels, stemStride, dropout } = classifierOptions(options);
    const { rows, head } = size === 'large' ? LARGE : SMALL;
    const scaled = (channels: number) => makeDivisible(channels * width, 8);
    this.numClasses = classes;
    this.inChannels = inChannels;

    let channels = scaled(16);
    const stem = convNorm(inChannels, channels, 3, { activation: 'HS', epsilon, stride: stemStride });
    const bottlenecks = rows.map(([kernel, expansion, out, ...rest]) => {
      const row: Row = [kernel, scaled(expansion), scaled(out), ...rest];
      const block = new InvertedResidual(channels, row, epsilon);
      channels = row[2];
      return block;
    });
    const last = convNorm(channels, 6 * channels, 1, { activation: 'HS', epsilon });
    this.features = sequential(stem, ...bottlenecks, last);

    const hidden = scaled(head);
    this.classifier = sequential(
      new Linear(6 * channels, hidden, { init: linearInit }),
      new Lambda(ops.hardSwish),
      new Dropout(dropout),
      new Linear(hidden, classes, { init: linearInit }),
    );
  }

  stages(x: Value): Record<string, Value> {
    const outputs: Record<string, Value> = {};
    let y = x;
    for (const [i, stage] of this.features.layers.entries()) {
      y = stage.forward(y);
      outputs[`features.${i}`] = y;
    }
    outputs.logits = this.classifier.forward(ops.flatten(ops.globalAveragePool(y)));
    return outputs;
  }
}

export function mobilenetV3Large(options: MobileNetV3Options = {}): MobileNetV3 {
  return new MobileNetV3('large', options);
}

export function mobilenetV3Small(options: MobileNetV3Options = {}): MobileNetV3 {
  return new MobileNetV3('small', options);
}
