import { constant } from '../../graph/leaves.js';
import type { Value } from '../../graph/value.js';
import { type Module, Network, type Parameter } from '../../nn/module.js';
import { SpectralLinear, SpectralWeight, spectralConv2d } from '../../nn/spectral-norm.js';
import * as ops from '../../ops/index.js';
import { Numbered } from './numbered.js';

/** A residual block on rectified input; `downsample` halves its size. */
class DiscriminatorBlock extends Network {
  readonly block: Numbered;
  readonly skip?: Numbered;
  readonly #forward: (x: Value) => Value;

  constructor(inChannels: number, outChannels: number, downsample: boolean) {
    super();
    const first = spectralConv2d(inChannels, outChannels, 3, { padding: 1, bias: true });
    const second = spectralConv2d(outChannels, outChannels, 3, { padding: 1, bias: true });
    const shrink = (x: Value) => (downsample ? ops.averagePool(x, 2) : x);
    let shortcut = (x: Value) => x;
    this.block = new Numbered({ 2: first, 5: second });
    if (downsample || inChannels !== outChannels) {
      const projection = spectralConv2d(inChannels, outChannels, 1, { bias: true });
      this.skip = new Numbered({ 0: projection });
      shortcut = (x) => shrink(projection.forward(x));
    }
    this.#forward = (x) => ops.add(shrink(second.forward(ops.relu(first.forward(x)))), shortcut(x));
  }

  forward(x: Value): Value {
    return this.#forward(x);
  }
}

/** The embedding of the one identity that a fine-tuned discriminator knows. */
class IdentityEmbedding extends Network {
  readonly weight_orig: Parameter;
  readonly weight_u: Parameter;
  readonly weight_v: Parameter;
  readonly #weight: SpectralWeight;

  constructor(features: number) {
    super();
    this.#weight = new SpectralWeight([1, features]);
    ({ weight_orig: this.weight_orig, weight_u: this.weight_u, weight_v: this.weight_v } = this.#weight);
  }

  /** `[1, features]`. */
  forward(): Value {
    return this.#weight.value;
  }
}

export interface DiscriminatorOptions {
  /** Channels behind the first halving; default 64. */
  channels?: number;
  /** Channels of any stage at most; default 512. */
  maxChannels?: number;
  /** Channels of the last stage; default 512. */
  features?: number;
  /** Stages; default 6. */
  blocks?: number;
  /** Height and width of the pictures: stages that would make them smaller than 4 leave the size; default 512. */
  imageSize?: number;
  /** Whether it is fine-tuned to one identity, whose embedding (`embed.*` in the state) is part of the score; default false. */
  identity?: boolean;
}

export interface Judgement {
  /** The higher, the more real: `[N]`. */
  readonly score: Value;
  /** The output of every stage, finest first; all but the last rectified. */
  readonly features: readonly Value[];
}

/**
 * The discriminator of GHOST 2.0's aligner, after Burkov et al. (arXiv:2004.12000): BGR pictures in [-1, 1], `[N, 3, imageSize,
 * imageSize]`, to a score, with a projection onto the identity's embedding where there is one.
 */
export class Discriminator extends Network {
  readonly down_block: Numbered;
  readonly skip: Numbered;
  readonly blocks: readonly DiscriminatorBlock[];
  readonly linear: SpectralLinear;
  readonly embed?: IdentityEmbedding;
  readonly #stem: readonly [Module, Module];
  readonly #shortcut: Module;

  constructor({
    channels = 64,
    maxChannels = 512,
    features = 512,
    blocks = 6,
    imageSize = 512,
    identity = false,
  }: DiscriminatorOptions = {}) {
    super();
    this.#stem = [
      spectralConv2d(3, channels, 3, { padding: 1, bias: true }),
      spectralConv2d(channels, channels, 3, { padding: 1, bias: true }),
    ];
    this.#shortcut = spectralConv2d(3, channels, 1, { bias: true });
    this.down_block = new Numbered({ 0: this.#stem[0], 2: this.#stem[1] });
    this.skip = new Numbered({ 0: this.#shortcut });
    const halvings = Math.min(Math.floor(Math.log2(imageSize)) - 2, blocks);
    let inChannels = channels;
    this.blocks = Array.from({ length: blocks - 1 }, (_, i) => {
      const downsample = i + 1 < halvings;
      const widened = downsample ? Math.min(inChannels * 2, maxChannels) : inChannels;
      const outChannels = i === blocks - 2 ? features : widened;
      const block = new DiscriminatorBlock(inChannels, outChannels, downsample);
      inChannels = outChannels;
      return block;
    });
    this.linear = new SpectralLinear(features, 1);
    if (identity) this.embed = new IdentityEmbedding(features);
  }

  forward(x: Value): Judgement {
    const [first, second] = this.#stem;
    const stem = ops.averagePool(second.forward(ops.relu(first.forward(x))), 2);
    let y: Value = ops.add(stem, ops.averagePool(this.#shortcut.forward(x), 2));
    const features: Value[] = [];
    for (const block of this.blocks) {
      // The original rectifies in place: what a block's shortcut reads and what is kept as a feature is rectified too.
      y = ops.relu(y);
      features.push(y);
      y = block.forward(y);
    }
    features.push(y);
    return { score: this.score(y), features };
  }

  private score(y: Value): Value {
    const [n, , h, w] = y.shape;
    const mean = ops.flatten(ops.globalAveragePool(ops.relu(y)));
    const sum = ops.mul(mean, constant([1], [h * w]));
    let score = this.linear.forward(sum);
    if (this.embed) score = ops.add(score, ops.linear(sum, this.embed.forward()));
    return ops.reshape(score, [n]);
  }
}
