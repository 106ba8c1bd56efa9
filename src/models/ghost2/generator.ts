import { constant } from '../../graph/leaves.js';
import type { Value } from '../../graph/value.js';
import { constantInit } from '../../nn/init.js';
import { type Module, Network, Parameter } from '../../nn/module.js';
import { type SpectralConv2d, SpectralLinear, spectralConv2d } from '../../nn/spectral-norm.js';
import * as ops from '../../ops/index.js';
import { GhostkitError } from '../../tensor/error.js';
import { Numbered } from './numbered.js';

const EPSILON = 1e-4;

/** The scales and shifts of all adaptive norms, side by side in one value, handed out in the order of the norms. */
class AdaptiveNorms {
  private next = 0;

  constructor(private readonly parameters: Value) {}

  /** Adaptive instance norm with the next parameters, then ReLU. */
  forward(x: Value): Value {
    const shift = this.take(x.shape[1]);
    const scale = this.take(x.shape[1]);
    return ops.relu(ops.instanceNorm(x, { scale, shift }, { epsilon: EPSILON }));
  }

  private take(channels: number): Value {
    this.next += channels;
    return ops.slice(this.parameters, this.next - channels, this.next);
  }
}

/** A residual block whose two norms take their scales and shifts from the embeddings; `upsample` doubles its size. */
export class AdaptiveResBlock extends Network {
  readonly block: Numbered;
  readonly skip?: Numbered;
  readonly #convolutions: readonly [SpectralConv2d, SpectralConv2d];
  readonly #shortcut?: SpectralConv2d;

  constructor(
    inChannels: number,
    outChannels: number,
    readonly upsample: boolean,
  ) {
    super();
    const first = spectralConv2d(inChannels, outChannels, 3, { padding: 1 });
    const second = spectralConv2d(outChannels, outChannels, 3, { padding: 1 });
    this.block = new Numbered(upsample ? { 4: first, 8: second } : { 3: first, 7: second });
    this.#convolutions = [first, second];
    if (upsample || inChannels !== outChannels) {
      this.#shortcut = spectralConv2d(inChannels, outChannels, 1, { bias: true });
      this.skip = new Numbered({ [upsample ? 1 : 0]: this.#shortcut });
    }
  }

  forward(x: Value, norms: AdaptiveNorms): Value {
    const [first, second] = this.#convolutions;
    const grow = (v: Value) => (this.upsample ? ops.upsampleNearest(v, 2) : v);
    const y = first.forward(grow(norms.forward(x)));
    return ops.add(second.forward(norms.forward(y)), this.#shortcut ? this.#shortcut.forward(grow(x)) : x);
  }
}

class Constant extends Network {
  readonly constant: Parameter;

  constructor(channels: number, size: number) {
    super();
    this.constant = new Parameter([1, channels, size, size], constantInit(1));
  }

  forward(batch: number): Value {
    const one = this.constant.value;
    return batch === 1 ? one : ops.mul(one, constant([batch, 1, 1, 1], new Float32Array(batch).fill(1)));
  }
}

export interface GeneratorOptions {
  /** Length of all embeddings together; default 512 + 512 + 256. */
  embedding?: number;
  /** Channels at the full size; default 64. */
  channels?: number;
  /** Channels at any size at most; default 512. */
  maxChannels?: number;
  /** Height and width of the learnt constant that everything grows from; default 4. */
  constantSize?: number;
  /** Residual blocks before the first that doubles the size; default 2. */
  residualBlocks?: number;
  /** Height and width of the pictures, the constant's size times a power of 2; default 512. */
  imageSize?: number;
}

export interface GeneratedHead {
  /** BGR in (-1, 1), `[N, 3, imageSize, imageSize]`. */
  readonly fake_rgbs: Value;
  /** How much of a pixel is head, in (0, 1): `[N, 1, imageSize, imageSize]`. */
  readonly fake_segm: Value;
}

/**
 * The generator of GHOST 2.0's aligner (arXiv:2502.18417, section 3.1), after Burkov et al., "Neural Head Reenactment with Latent
 * Pose Descriptors", CVPR 2020 (arXiv:2004.12000): a learnt constant grows through residual blocks whose adaptive norms are
 * driven by the joint embedding (portrait, identity, pose).
 */
export class Generator extends Network {
  readonly constant: Constant;
  readonly decoder_blocks: readonly AdaptiveResBlock[];
  readonly rgb_head: Numbered;
  readonly mask_head: Numbered;
  readonly affine_params_projector: Numbered;
  readonly #rgb: Module;
  readonly #mask: Module;
  readonly #projector: readonly [Module, Module];

  /** Throws a {@link GhostkitError} when the size of the pictures is not the constant's times a power of 2. */
  constructor({
    embedding = 1280,
    channels = 64,
    maxChannels = 512,
    constantSize = 4,
    residualBlocks = 2,
    imageSize = 512,
  }: GeneratorOptions = {}) {
    super();
    const doublings = Math.log2(imageSize / constantSize);
    if (!Number.isInteger(doublings) || doublings < 0) {
      throw new GhostkitError(`Generator: ${imageSize} is not ${constantSize} times a power of 2`);
    }
    const width = (i: number) => Math.min(channels * 2 ** (doublings - i), maxChannels);
    this.constant = new Constant(width(0), constantSize);
    this.decoder_blocks = [
      ...Array.from({ length: residualBlocks }, () => new AdaptiveResBlock(width(0), width(0), false)),
      ...Array.from({ length: doublings }, (_, i) => new AdaptiveResBlock(width(i), width(i + 1), true)),
    ];
    const last = width(doublings);
    this.#rgb = spectralConv2d(last, 3, 3, { padding: 1, bias: true });
    this.#mask = spectralConv2d(last, 1, 3, { padding: 1, bias: true });
    this.rgb_head = new Numbered({ 2: this.#rgb });
    this.mask_head = new Numbered({ 2: this.#mask });
    let normalized = residualBlocks * 2 * width(0) + 2 * last;
    for (let i = 0; i < doublings; i++) normalized += width(i) + width(i + 1);
    const hidden = Math.max(embedding, 512);
    this.#projector = [new SpectralLinear(embedding, hidden), new SpectralLinear(hidden, 2 * normalized)];
    this.affine_params_projector = new Numbered({ 0: this.#projector[0], 2: this.#projector[1] });
  }

  /** The head that the joint embedding `[N, embedding]` describes. */
  forward(embedding: Value): GeneratedHead {
    const [first, second] = this.#projector;
    const norms = new AdaptiveNorms(second.forward(ops.relu(first.forward(embedding))));
    let x = this.constant.forward(embedding.shape[0]);
    for (const block of this.decoder_blocks) x = block.forward(x, norms);
    // In this order: the heads' norms take the last parameters.
    const fake_rgbs = ops.tanh(this.#rgb.forward(norms.forward(x)));
    return { fake_rgbs, fake_segm: ops.sigmoid(this.#mask.forward(norms.forward(x))) };
  }
}
