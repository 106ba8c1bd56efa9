import type { Value } from '../graph/value.js';
import { heFanOutInit, normalInit } from '../nn/init.js';
import { batchNorm, conv2d, Dropout, Lambda, Linear, ReLU, type Sequential, sequential } from '../nn/layers.js';
import type { Module } from '../nn/module.js';
import { Classifier } from '../nn/trace.js';
import * as ops from '../ops/index.js';
import { makeDivisible } from './make-divisible.js';
import { type ClassifierOptions, classifierOptions, withDefaults } from './options.js';

/** Configuration D of the paper's table 1: channels of the 3x3 convolutions, and `M` for a 2x2 max pooling. */
const VGG16 = [64, 64, 'M', 128, 128, 'M', 256, 256, 256, 'M', 512, 512, 512, 'M', 512, 512, 512, 'M'] as const;

export interface VggOptions extends ClassifierOptions {
  /** Features between the two fully connected layers; default 512. With 0 the classifier is a single layer. */
  hidden?: number;
}

/**
 * VGG-16 for CIFAR-10: the 13 convolutions of Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
 * Recognition" (arXiv:1409.1556), each with a batch norm, and fully connected layers of 512 features in place of 4096. That is the
 * network of 15 M weights and 313 M multiply-adds in the tables on compressing networks, in the GhostNet paper’s (table 5) too.
 * The convolutions have torchvision's names (those of `vgg16_bn`) and no biases, which the batch norms would cancel.
 *
 * `[N, inChannels, H, W]` with H and W of at least 32 to `logits: [N, classes]`; `stages` gives the output of every pooling by its
 * name, `features.6` (stride 2) to `features.43` (stride 32). Ten classes, stem stride 1 and no dropout unless asked for.
 */
export class Vgg extends Classifier {
  readonly features: Sequential;
  readonly classifier: Sequential;
  readonly numClasses: number;
  readonly inChannels: number;

  constructor({ hidden = 512, ...options }: VggOptions = {}) {
    super();
    const defaults: ClassifierOptions = { classes: 10, stemStride: 1, dropout: 0 };
    const { width, classes, inChannels, stemStride, dropout } = classifierOptions(withDefaults(defaults, options));
    this.numClasses = classes;
    this.inChannels = inChannels;

    let channels = inChannels;
    const layers = VGG16.flatMap((entry, i): Module[] => {
      if (entry === 'M') return [new MaxPool()];
      const from = channels;
      channels = makeDivisible(entry * width, 8);
      const stride = i === 0 ? stemStride : 1;
      return [
        conv2d(from, channels, 3, { stride, padding: 1, init: { weight: heFanOutInit } }),
        batchNorm(channels),
        new ReLU(),
      ];
    });
    this.features = sequential(...layers);
    const linear = (from: number, to: number) => new Linear(from, to, { init: { weight: normalInit(0.01) } });
    this.classifier =
      hidden > 0
        ? sequential(
            linear(channels, hidden),
            batchNorm(hidden),
            new ReLU(),
            new Dropout(dropout),
            linear(hidden, classes),
          )
        : sequential(new Dropout(dropout), linear(channels, classes));
  }

  stages(x: Value): Record<string, Value> {
    const outputs: Record<string, Value> = {};
    let y = x;
    for (const [i, layer] of this.features.layers.entries()) {
      y = layer.forward(y);
      if (layer instanceof MaxPool) outputs[`features.${i}`] = y;
    }
    // One pixel is left of an image of 32x32; of a larger one, their mean.
    outputs.logits = this.classifier.forward(ops.flatten(ops.globalAveragePool(y)));
    return outputs;
  }
}

class MaxPool extends Lambda {
  constructor() {
    super((x) => ops.maxPool(x, 2));
  }
}

export function vgg16(options: VggOptions = {}): Vgg {
  return new Vgg(options);
}
