import type { Value } from '../graph/value.js';
import { heFanOutInit } from '../nn/init.js';
import { type BatchNorm2d, batchNorm, type Conv2d, conv2d, Linear, type Sequential, sequential } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import { Classifier } from '../nn/trace.js';
import * as ops from '../ops/index.js';
import { makeDivisible } from './make-divisible.js';
import { type ClassifierOptions, classifierOptions, withDefaults } from './options.js';

/**
 * Residual networks. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385): those for ImageNet of
 * table 1 under torchvision's state names, and those for CIFAR-10 of section 4.2 under the names that are common for them.
 */

const init = { weight: heFanOutInit };

const conv3x3 = (inChannels: number, outChannels: number, stride: number) =>
  conv2d(inChannels, outChannels, 3, { stride, padding: 1, init });

/** The shortcut where input and output differ in shape: a strided 1x1 convolution (option B of section 3.3). */
const projection = (inChannels: number, outChannels: number, stride: number) =>
  sequential(conv2d(inChannels, outChannels, 1, { stride, init }), batchNorm(outChannels));

/** Two 3x3 convolutions, of which the first takes the stride, around which the input is added (figure 5, left). */
class BasicBlock extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample?: Sequential;

  /** `project`: whether the shortcut may have weights; if not, it is {@link paddedShortcut}. */
  constructor(
    private readonly inChannels: number,
    private readonly outChannels: number,
    private readonly stride = 1,
    project = true,
  ) {
    super();
    this.conv1 = conv3x3(inChannels, outChannels, stride);
    this.bn1 = batchNorm(outChannels);
    this.conv2 = conv3x3(outChannels, outChannels, 1);
    this.bn2 = batchNorm(outChannels);
    if (project && (stride !== 1 || inChannels !== outChannels)) {
      this.downsample = projection(inChannels, outChannels, stride);
    }
  }

  forward(x: Value): Value {
    let y: Value = ops.relu(this.bn1.forward(this.conv1.forward(x)));
    y = this.bn2.forward(this.conv2.forward(y));
    return ops.relu(ops.add(y, this.downsample ? this.downsample.forward(x) : this.identity(x)));
  }

  private identity(x: Value): Value {
    const { inChannels, outChannels, stride } = this;
    return stride === 1 && inChannels === outChannels ? x : paddedShortcut(x, outChannels, stride);
  }
}

/** The shortcut without weights (option A of section 3.3): every `stride`th pixel, and channels of zeros on both sides. */
function paddedShortcut(x: Value, outChannels: number, stride: number): Value {
  const pixels = stride === 1 ? x : ops.maxPool(x, 1, { stride });
  const missing = outChannels - x.shape[1];
  const before = Math.floor(missing / 2);
  return ops.concat([...zeroChannels(pixels, before), pixels, ...zeroChannels(pixels, missing - before)]);
}

/** As a difference, zeros are no constant that would be counted among the weights, and they fit any batch. */
function zeroChannels(x: Value, count: number): Value[] {
  if (count <= 0) return [];
  const some = ops.slice(x, 0, Math.min(count, x.shape[1]));
  return [ops.sub(some, some), ...zeroChannels(x, count - some.shape[1])];
}

/**
 * Reduce, a 3x3 convolution, expand, around which the input is added (figure 5, right). The 3x3 convolution takes the stride, as in
 * torchvision; in the paper the first one does. Grouped, it is the bottleneck of ResNeXt.
 */
export class Bottleneck extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample?: Sequential;

  constructor(inChannels: number, midChannels: number, outChannels: number, { stride = 1, groups = 1 } = {}) {
    super();
    this.conv1 = conv2d(inChannels, midChannels, 1, { init });
    this.bn1 = batchNorm(midChannels);
    this.conv2 = conv2d(midChannels, midChannels, 3, { stride, padding: 1, groups, init });
    this.bn2 = batchNorm(midChannels);
    this.conv3 = conv2d(midChannels, outChannels, 1, { init });
    this.bn3 = batchNorm(outChannels);
    if (stride !== 1 || inChannels !== outChannels) this.downsample = projection(inChannels, outChannels, stride);
  }

  forward(x: Value): Value {
    let y: Value = ops.relu(this.bn1.forward(this.conv1.forward(x)));
    y = ops.relu(this.bn2.forward(this.conv2.forward(y)));
    y = this.bn3.forward(this.conv3.forward(y));
    return ops.relu(ops.add(y, this.downsample ? this.downsample.forward(x) : x));
  }
}

export interface ResNetOptions extends ClassifierOptions {
  /** Channels in the middle of the first stage's bottlenecks, doubled with every stage; default 64. Wide ResNet-50-2 has 128. */
  baseWidth?: number;
}

/** A column of table 1: the kind of block, and how many of them each of the four stages has. */
interface Column {
  readonly block: 'basic' | 'bottleneck';
  readonly blocks: readonly number[];
}

const COLUMNS = {
  18: { block: 'basic', blocks: [2, 2, 2, 2] },
  34: { block: 'basic', blocks: [3, 4, 6, 3] },
  50: { block: 'bottleneck', blocks: [3, 4, 6, 3] },
  101: { block: 'bottleneck', blocks: [3, 4, 23, 3] },
  152: { block: 'bottleneck', blocks: [3, 8, 36, 3] },
} satisfies Readonly<Record<number, Column>>;

/** How much wider a bottleneck's output is than its stage's base width. */
const EXPANSION = 4;

/**
 * ResNet for ImageNet, table 1. `[N, inChannels, H, W]` to `logits: [N, classes]`; `stages` gives `layer1` (stride 4) to
 * `layer4` (stride 32). Without dropout unless asked for.
 */
export class ResNet extends Classifier {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly fc: Linear;
  readonly numClasses: number;
  readonly inChannels: number;
  private readonly dropout: number;

  constructor(depth: keyof typeof COLUMNS, { baseWidth = 64, ...options }: ResNetOptions = {}) {
    super();
    const { width, classes, inChannels, stemStride, dropout } = classifierOptions(
      withDefaults({ dropout: 0 }, options),
    );
    const scaled = (channels: number) => makeDivisible(channels * width, 8);
    const { block, blocks }: Column = COLUMNS[depth];
    this.numClasses = classes;
    this.inChannels = inChannels;
    this.dropout = dropout;

    let channels = scaled(64);
    this.conv1 = conv2d(inChannels, channels, 7, { stride: stemStride, padding: 3, init });
    this.bn1 = batchNorm(channels);
    const stage = (i: number) =>
      sequential(
        ...Array.from({ length: blocks[i] }, (_, j) => {
          const stride = i > 0 && j === 0 ? 2 : 1;
          const from = channels;
          channels = scaled(64 * 2 ** i * (block === 'basic' ? 1 : EXPANSION));
          if (block === 'basic') return new BasicBlock(from, channels, stride);
          return new Bottleneck(from, scaled(baseWidth * 2 ** i), channels, { stride });
        }),
      );
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.fc = new Linear(channels, classes);
  }

  stages(x: Value): Record<string, Value> {
    const stem = ops.relu(this.bn1.forward(this.conv1.forward(x)));
    const { layer1, layer2, layer3, layer4 } = this;
    const outputs = chain(ops.maxPool(stem, 3, { stride: 2, padding: 1 }), { layer1, layer2, layer3, layer4 });
    return { ...outputs, logits: head(outputs.layer4, this.fc, this.dropout) };
  }
}

/**
 * ResNet for CIFAR-10, section 4.2: a 3x3 stem and three stages of `(depth - 2) / 6` basic blocks with 16, 32 and 64 channels, whose
 * shortcuts have no weights. `[N, inChannels, H, W]` to `logits: [N, classes]`; `stages` gives `layer1` (stride 1) to `layer3`
 * (stride 4). Ten classes, stem stride 1 and no dropout unless asked for.
 */
export class CifarResNet extends Classifier {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly linear: Linear;
  readonly numClasses: number;
  readonly inChannels: number;
  private readonly dropout: number;

  constructor(depth: 20 | 32 | 44 | 56 | 110, options: ClassifierOptions = {}) {
    super();
    const defaults: ClassifierOptions = { classes: 10, stemStride: 1, dropout: 0 };
    const { width, classes, inChannels, stemStride, dropout } = classifierOptions(withDefaults(defaults, options));
    const scaled = (channels: number) => makeDivisible(channels * width, 8);
    this.numClasses = classes;
    this.inChannels = inChannels;
    this.dropout = dropout;

    let channels = scaled(16);
    this.conv1 = conv3x3(inChannels, channels, stemStride);
    this.bn1 = batchNorm(channels);
    const stage = (outChannels: number, stride: number) =>
      sequential(
        ...Array.from({ length: (depth - 2) / 6 }, (_, j) => {
          const block = new BasicBlock(channels, outChannels, j === 0 ? stride : 1, false);
          channels = outChannels;
          return block;
        }),
      );
    this.layer1 = stage(scaled(16), 1);
    this.layer2 = stage(scaled(32), 2);
    this.layer3 = stage(scaled(64), 2);
    this.linear = new Linear(channels, classes);
  }

  stages(x: Value): Record<string, Value> {
    const stem = ops.relu(this.bn1.forward(this.conv1.forward(x)));
    const { layer1, layer2, layer3 } = this;
    const outputs = chain(stem, { layer1, layer2, layer3 });
    return { ...outputs, logits: head(outputs.layer3, this.linear, this.dropout) };
  }
}

/** Runs stages one after another and gives the output of each. */
function chain<K extends string>(x: Value, stages: Readonly<Record<K, Module>>): Record<K, Value> {
  const outputs = {} as Record<K, Value>;
  let y = x;
  for (const name of Object.keys(stages) as K[]) {
    y = stages[name].forward(y);
    outputs[name] = y;
  }
  return outputs;
}

function head(features: Value, classifier: Linear, dropout: number): Value {
  const pooled = ops.flatten(ops.globalAveragePool(features));
  return classifier.forward(dropout > 0 ? ops.dropout(pooled, dropout) : pooled);
}

export function resnet18(options: ResNetOptions = {}): ResNet {
  return new ResNet(18, options);
}

export function resnet34(options: ResNetOptions = {}): ResNet {
  return new ResNet(34, options);
}

export function resnet50(options: ResNetOptions = {}): ResNet {
  return new ResNet(50, options);
}

export function resnet101(options: ResNetOptions = {}): ResNet {
  return new ResNet(101, options);
}

export function resnet56(options: ClassifierOptions = {}): CifarResNet {
  return new CifarResNet(56, options);
}
