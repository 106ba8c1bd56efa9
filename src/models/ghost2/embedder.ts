import { constant } from '../../graph/leaves.js';
import type { Value } from '../../graph/value.js';
import { Network } from '../../nn/module.js';
import * as ops from '../../ops/index.js';
import { IResNet, type IResNetOptions } from './iresnet.js';
import { MobileNetV2, type MobileNetV2Options } from './mobilenetv2.js';
import { ResNeXt, type ResNeXtOptions } from './resnext.js';

/** What a head swap is told from: pictures in BGR order, in [-1, 1]. */
export interface EmbedderPictures {
  /** The source's head with its surroundings: `[N * views, 3, 512, 512]`, an identity's views one after another. */
  readonly sourceWide: Value;
  /** The source's face on the ArcFace template: `[N * views, 3, 112, 112]`. */
  readonly sourceArc: Value;
  /** The target's head with its surroundings: `[N, 3, 512, 512]`. */
  readonly targetWide: Value;
}

export interface Embeddings {
  /** The source's looks, `[N, portrait]`. */
  readonly por_embed: Value;
  /** The source's identity, `[N, identity]`. */
  readonly id_embed: Value;
  /** The target's pose and expression, `[N, pose]`. */
  readonly pose_embed: Value;
}

export interface EmbedderOptions {
  /** Length of the portrait embedding; default 512. */
  portrait?: number;
  /** Length of the identity embedding; default 512. */
  identity?: number;
  /** Length of the pose embedding; default 256. */
  pose?: number;
  /** Other than full-size encoders. */
  porEncoder?: ResNeXtOptions;
  idEncoder?: IResNetOptions;
  poseEncoder?: MobileNetV2Options;
}

/** ImageNet's statistics, RGB. */
const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];

/** The encoders of GHOST 2.0's aligner (section 3.1 of arXiv:2502.18417): portrait, identity, and pose with expression. */
export class Embedder extends Network {
  readonly por_encoder: ResNeXt;
  readonly id_encoder: IResNet;
  readonly pose_encoder: MobileNetV2;

  constructor({ portrait = 512, identity = 512, pose = 256, ...encoders }: EmbedderOptions = {}) {
    super();
    this.por_encoder = new ResNeXt({ ...encoders.porEncoder, classes: portrait });
    this.id_encoder = new IResNet({ ...encoders.idEncoder, features: identity });
    this.pose_encoder = new MobileNetV2({ ...encoders.poseEncoder, classes: pose });
  }

  forward({ sourceWide, sourceArc, targetWide }: EmbedderPictures): Embeddings {
    const batch = targetWide.shape[0];
    return {
      por_embed: meanOfViews(this.por_encoder.forward(toImageNet(sourceWide)), batch),
      id_embed: meanOfViews(this.id_encoder.forward(toRgb(sourceArc)), batch),
      pose_embed: this.pose_encoder.forward(targetWide),
    };
  }
}

/** BGR to RGB, by channel times a factor and plus an offset, as a pointwise convolution. */
function fromBgr(x: Value, factors: readonly number[], offsets: readonly number[]): Value {
  const weight = new Float32Array(9);
  for (const [c, factor] of factors.entries()) weight[c * 3 + 2 - c] = factor;
  return ops.conv2d(x, constant([3, 3, 1, 1], weight), constant([3], offsets));
}

const toRgb = (x: Value) => fromBgr(x, [1, 1, 1], [0, 0, 0]);

/** `((x + 1) / 2 - mean) / deviation`. */
const toImageNet = (x: Value) =>
  fromBgr(
    x,
    DEVIATION.map((d) => 0.5 / d),
    DEVIATION.map((d, c) => (0.5 - MEAN[c]) / d),
  );

/** `[N * views, C]` to the mean of each N's views, `[N, C]`. */
function meanOfViews(x: Value, batch: number): Value {
  const [total, channels] = x.shape;
  const views = total / batch;
  if (views === 1) return x;
  const wide = ops.reshape(x, [batch, views * channels]);
  const each = Array.from({ length: views }, (_, i) => ops.slice(wide, i * channels, (i + 1) * channels));
  return ops.mul(each.reduce(ops.add), constant([1], [1 / views]));
}
