import type { Value } from '../graph/value.js';
import { type BatchNorm2d, batchNorm, type Conv2d, conv2d, Linear, type Sequential, sequential } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import { Classifier } from '../nn/trace.js';
import * as ops from '../ops/index.js';
import { makeDivisible } from './make-divisible.js';
import { type ClassifierOptions, classifierOptions } from './options.js';

/** A bottleneck at width 1, in the order of the papers' tables, with the depthwise kernel in front. */
export type BottleneckRow = readonly [kernel: number, expansion: number, out: number, se: 0 | 1, stride: number];

/** A bottleneck's measures under the width multiplier. */
export interface BottleneckSize {
  readonly inChannels: number;
  readonly midChannels: number;
  readonly outChannels: number;
  readonly dwKernel: number;
  readonly stride: number;
  readonly seRatio: number;
}

export interface BackboneTable {
  /** One list for each stage, whose outputs are named `blocks.N`. */
  readonly stages: readonly (readonly BottleneckRow[])[];
  /** Channels of the pointwise convolution behind the bottlenecks, at width 1. */
  readonly last: number;
}

/** Channels between the pooled features and the classifier, whatever the width. */
const HEAD_CHANNELS = 1280;

/** A pointwise convolution, batch norm and ReLU. */
class ConvBnAct extends Module {
  readonly conv: Conv2d;
  readonly bn1: BatchNorm2d;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.conv = conv2d(inChannels, outChannels, 1);
    this.bn1 = batchNorm(outChannels);
  }

  forward(x: Value): Value {
    return ops.relu(this.bn1.forward(this.conv.forward(x)));
  }
}

/**
 * What GhostNet and RepGhostNet share: a 3x3 stem, stages of bottlenecks, a pointwise convolution, pooling and two fully
 * connected layers. `[N, inChannels, H, W]` to `logits: [N, classes]`, for images of any size.
 */
export abstract class GhostBackbone extends Classifier {
  readonly conv_stem: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly blocks: Sequential;
  readonly conv_head: Conv2d;
  readonly classifier: Linear;
  readonly numClasses: number;
  readonly inChannels: number;
  private readonly dropout: number;

  constructor(options: ClassifierOptions, table: BackboneTable, bottleneck: (size: BottleneckSize) => Module) {
    super();
    const { width, classes, inChannels, stemStride, dropout } = classifierOptions(options);
    const scaled = (channels: number) => makeDivisible(channels * width, 4);
    this.numClasses = classes;
    this.inChannels = inChannels;
    this.dropout = dropout;

    let channels = scaled(16);
    this.conv_stem = conv2d(inChannels, channels, 3, { stride: stemStride, padding: 1 });
    this.bn1 = batchNorm(channels);

    const stages = table.stages.map((rows) =>
      sequential(
        ...rows.map(([dwKernel, expansion, out, se, stride]) => {
          const size = { inChannels: channels, midChannels: scaled(expansion), outChannels: scaled(out) };
          channels = size.outChannels;
          return bottleneck({ ...size, dwKernel, stride, seRatio: se * 0.25 });
        }),
      ),
    );
    const last = scaled(table.last);
    this.blocks = sequential(...stages, sequential(new ConvBnAct(channels, last)));

    this.conv_head = conv2d(last, HEAD_CHANNELS, 1, { bias: true });
    this.classifier = new Linear(HEAD_CHANNELS, classes);
  }

  stages(x: Value): Record<string, Value> {
    const outputs: Record<string, Value> = {};
    let y: Value = ops.relu(this.bn1.forward(this.conv_stem.forward(x)));
    for (const [i, stage] of this.blocks.layers.entries()) {
      y = stage.forward(y);
      outputs[`blocks.${i}`] = y;
    }
    const features = ops.relu(this.conv_head.forward(ops.globalAveragePool(y)));
    outputs.logits = this.classifier.forward(ops.dropout(ops.flatten(features), this.dropout));
    return outputs;
  }
}
