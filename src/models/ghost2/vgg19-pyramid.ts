import { constant } from '../../graph/leaves.js';
import type { Value } from '../../graph/value.js';
import { conv2d, Lambda, ReLU, type Sequential, sequential } from '../../nn/layers.js';
import { Module, Network } from '../../nn/module.js';
import { add, averagePool, concat, mul, resizeNearest, slice } from '../../ops/index.js';

/** VGG-19's convolutions, stage by stage (Simonyan and Zisserman, arXiv:1409.1556, column E); a pooling follows each stage. */
const STAGES = [
  [64, 64],
  [128, 128],
  [256, 256, 256, 256],
  [512, 512, 512, 512],
  [512, 512, 512, 512],
];

/**
 * The pyramid's levels: the layer of the encoder whose output goes into it, and that output's channels. The first is the original's
 * layer 0: the ReLU behind it works in place, so that what was kept of layer 0 is the ReLU's output.
 */
const LEVELS = [
  { layer: 1, channels: 64 },
  { layer: 4, channels: 64 },
  { layer: 9, channels: 128 },
  { layer: 18, channels: 256 },
  { layer: 27, channels: 512 },
  { layer: 36, channels: 512 },
];

/** The level that the blender correlates: 1/8 of the picture's size. */
const OUTPUT_LEVEL = 3;
export const PYRAMID_SCALE = 8;
const PYRAMID_CHANNELS = 256;

/** Statistics of ImageNet, channels in RGB order. */
const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];

/** Feature pyramid layers (Lin et al., arXiv:1612.03144), named as torchvision's. */
class Pyramid extends Network {
  readonly inner_blocks: readonly Sequential[];
  readonly layer_blocks: readonly Sequential[];

  constructor(inChannels: readonly number[], outChannels: number) {
    super();
    this.inner_blocks = inChannels.map((c) => sequential(conv2d(c, outChannels, 1, { bias: true })));
    this.layer_blocks = inChannels.map(() =>
      sequential(conv2d(outChannels, outChannels, 3, { padding: 1, bias: true })),
    );
  }

  /** The output of one level, from the encoder's outputs at all of them. */
  level(features: readonly Value[], level: number): Value {
    let inner = this.inner_blocks[features.length - 1].forward(features[features.length - 1]);
    for (let i = features.length - 2; i >= level; i--) {
      const [, , h, w] = features[i].shape;
      inner = add(this.inner_blocks[i].forward(features[i]), resizeNearest(inner, [h, w]));
    }
    return this.layer_blocks[level].forward(inner);
  }
}

/**
 * The blender's features: VGG-19 with average pooling and a feature pyramid on it. From a BGR picture in [-1, 1], `[N,3,H,W]` with at least 32
 * pixels a side, to `[N,256,H/8,W/8]`. `maxChannels` bounds the channels of every layer, for networks smaller than the original.
 */
export class Vgg19Pyramid extends Module {
  readonly encoder: readonly Module[];
  readonly decoder: Pyramid;
  /** Channels of the features. */
  readonly channels: number;

  constructor({ maxChannels = 512 } = {}) {
    super();
    this.channels = Math.min(PYRAMID_CHANNELS, maxChannels);
    this.encoder = vgg19(maxChannels);
    this.decoder = new Pyramid(
      LEVELS.map(({ channels }) => Math.min(channels, maxChannels)),
      this.channels,
    );
  }

  forward(x: Value): Value {
    const features: Value[] = [];
    let value = normalized(x);
    for (const [i, layer] of this.encoder.entries()) {
      value = layer.forward(value);
      if (LEVELS.some((level) => level.layer === i)) features.push(value);
    }
    return this.decoder.level(features, OUTPUT_LEVEL);
  }
}

function vgg19(maxChannels: number): Module[] {
  const layers: Module[] = [];
  let channels = 3;
  for (const stage of STAGES) {
    for (const width of stage) {
      const outputs = Math.min(width, maxChannels);
      layers.push(conv2d(channels, outputs, 3, { padding: 1, bias: true }), new ReLU());
      channels = outputs;
    }
    layers.push(new Lambda((x) => averagePool(x, 2)));
  }
  return layers;
}

/** From BGR in [-1, 1] to RGB with the mean and deviation of ImageNet's pictures in [0, 1]. */
function normalized(x: Value): Value {
  const rgb = concat([slice(x, 2, 3), slice(x, 1, 2), slice(x, 0, 1)]);
  const scale = STD.map((std) => 0.5 / std);
  const shift = STD.map((std, c) => (0.5 - MEAN[c]) / std);
  return add(mul(rgb, constant([1, 3, 1, 1], scale)), constant([1, 3, 1, 1], shift));
}
