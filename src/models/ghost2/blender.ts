import { type LoadStateOptions, loadState } from '../../formats/load-state.js';
import type { Graph } from '../../graph/value.js';
import { type CompileOptions, compileGraph } from '../../nn/compile.js';
import { Network } from '../../nn/module.js';
import { trace } from '../../nn/trace.js';
import { type Closable, closeAll, keepingAll } from '../../runtime/closable.js';
import { GhostkitError } from '../../tensor/error.js';
import { type FloatTensor, formatShape, type Tensor } from '../../tensor/tensor.js';
import { BlenderDecoder, DECODER_CHANNELS } from './blender-decoder.js';
import {
  type HeadMasks,
  headMasks,
  type MaskNoise,
  type PartPlan,
  planParts,
  planTrainingParts,
} from './blender-parts.js';
import { ColourReference, type Features, headColours, sum } from './blender-reference.js';
import { grayscale, type Image, masked, maskImage, needImage, needMaskOf, resized, stacked } from './images.js';
import { type LabelMap, type Mask, union, without } from './masks.js';
import { PYRAMID_SCALE, Vgg19Pyramid } from './vgg19-pyramid.js';

/** The networks of GHOST 2.0's blender, under the original's names. What is between them is not one graph: {@link CompiledBlender} runs it. */
export class Blender extends Network {
  readonly feature_ext: Vgg19Pyramid;
  readonly decoder: BlenderDecoder;

  /** `maxChannels` bounds the channels of every layer, for networks smaller than the original. */
  constructor({ maxChannels = 512 } = {}) {
    super();
    this.feature_ext = new Vgg19Pyramid({ maxChannels });
    this.decoder = new BlenderDecoder({ maxChannels });
  }
}

/** What the weights' keys begin with in the original's checkpoints (beside the discriminator and the losses), and in ghostkit's. */
const PREFIXES = ['gen.', 'blender.'];

/** torchvision's pyramid before 0.14 had its convolutions without a block around them. */
const OLD_PYRAMID_KEY = /^(feature_ext\.decoder\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$/;

/**
 * The blender with the weights of a state dict: an official `blender_*.ckpt`, or one whose keys are {@link Blender}'s own. What a
 * checkpoint of training holds beside the generator is left aside.
 *
 * @throws GhostkitError with one line that names the missing and misshapen keys.
 */
export function loadBlender(state: ReadonlyMap<string, Tensor>, options: LoadStateOptions = {}): Blender {
  const prefix = PREFIXES.find((p) => state.has(`${p}decoder.conv1_2.weight`)) ?? '';
  const own = new Map<string, Tensor>();
  for (const [key, tensor] of state) {
    if (key.startsWith(prefix)) own.set(key.slice(prefix.length).replace(OLD_PYRAMID_KEY, '$1.0.$2'), tensor);
  }
  const blender = new Blender();
  const hint = 'is this a blender checkpoint of GHOST 2.0?';
  blender.assign(loadState(blender.stateShapes(), own, { hint, ...options }));
  return blender;
}

export interface BlendInputs {
  /** The picture of the new head, BGR in [-1, 1], `[1,3,H,W]`. */
  readonly source: Image;
  /** Its brightness, `[1,1,H,W]`; made from it when absent. */
  readonly sourceGray?: Image;
  /** The picture that gets the head, BGR in [-1, 1], `[1,3,H,W]`. */
  readonly target: Image;
  readonly sourceParsing: LabelMap;
  readonly targetParsing: LabelMap;
  readonly noise?: MaskNoise;
}

/**
 * Fills the pixels of `mask` in a picture: BGR in [-1, 1], `[1,3,H,W]`, in and out.
 */
export type Inpainter = (picture: Image, mask: Mask) => Image | Promise<Image>;

export interface BlendOptions {
  /** Keep the source's colours of glasses, hat, headphone, earrings, hair, brows and lips. */
  readonly copyAttributes?: boolean;
  /** Makes up what neither head covers any more; without one the target's own pixels stay there. */
  readonly inpaint?: Inpainter;
}

/** The blended picture, and what the decoder made it of, each at the pictures' size. */
export interface BlendResult {
  /** `[1,3,H,W]`, BGR in [-1, 1] (`oup`). */
  readonly picture: Image;
  /** The head's colours (`gen_h`), and those of what is to be filled (`gen_i`). */
  readonly headColours: Image;
  readonly fillColours: Image;
  /** The target's picture without both heads (`I_tb`), and the head's brightness (`I_ag`). */
  readonly background: Image;
  readonly headGray: Image;
  /** `M_Ah` is `head`, `M_Ai` is `fill`. */
  readonly masks: HeadMasks;
  /** Head and fill colours by correlation, at the features' size (`gen_total`). */
  readonly reference: Image;
}

/** What training compares beside the picture itself. */
export interface TrainingResult extends BlendResult {
  /** The brightness that `reference` should have (`I_gd`), at the features' size. */
  readonly referenceGray: Image;
}

/** The cycle path: the colours by correlation, and the target's that they should be; both `[1,3,H/8,W/8]`. */
export interface CycleResult {
  readonly generated: Image;
  readonly label: Image;
}

/** A network of one input `image` and one output `logits` that is ready to run, here or in another runtime. */
export interface BlenderNet extends Closable {
  run(inputs: { readonly image: Image }): Record<string, FloatTensor> | Promise<Record<string, FloatTensor>>;
}

export interface BlenderOptions extends Omit<CompileOptions, 'input' | 'features'> {
  /** The pictures' height and width. */
  readonly size?: readonly [number, number];
  /** Makes the graphs of the features and of the decoder ready to run; by ghostkit where absent. */
  readonly ready?: (name: 'features' | 'decoder', graph: Graph) => Promise<BlenderNet>;
}

/** The blender ready to run on pictures of one size. */
export class CompiledBlender {
  private constructor(
    /** Height and width of the pictures. */
    readonly size: readonly [number, number],
    /** The features' network: input `image`, output `logits`. */
    readonly featureNet: BlenderNet,
    private readonly reference: ColourReference,
    /** The decoder: input `image`, output `logits`. */
    readonly decoderNet: BlenderNet,
  ) {}

  /**
   * Compiles the blender's graphs. `size` is the pictures' height and width, multiples of 8 and at least 32; the original's is 512, and so
   * are the areas below which a part counts as missing.
   */
  static async create(
    blender: Blender,
    { size = [512, 512], ready, ...options }: BlenderOptions = {},
  ): Promise<CompiledBlender> {
    const [height, width] = size;
    if (size.some((d) => !Number.isInteger(d) || d < 32 || d % PYRAMID_SCALE !== 0)) {
      throw new GhostkitError(`blender: height and width must be multiples of 8 from 32 on, got ${formatShape(size)}`);
    }
    const make = ready ?? ((_, graph) => compileGraph(graph, options));
    const [h, w] = [height / PYRAMID_SCALE, width / PYRAMID_SCALE];
    return keepingAll(async (keep) => {
      const features = await keep(make('features', trace(blender.feature_ext, { input: [1, 3, height, width] })));
      const decoderInput = [1, DECODER_CHANNELS, height, width];
      const decoder = await keep(make('decoder', trace(blender.decoder, { input: decoderInput })));
      const reference = await keep(ColourReference.create(blender.feature_ext.channels, h, w, options));
      return new CompiledBlender(size, features, reference, decoder);
    });
  }

  /** The features that are correlated, `[1,256,H/8,W/8]`, of a picture `[1,3,H,W]`. */
  async features(image: Image): Promise<Features> {
    return (await this.featureNet.run({ image })).logits;
  }

  /** Puts the source's head into the target's picture, as the original does at inference. */
  async blend(inputs: BlendInputs, options: BlendOptions = {}): Promise<BlendResult> {
    this.check(inputs);
    const plans = planParts(inputs.sourceParsing, inputs.targetParsing, options);
    return this.decode(inputs, await this.colour(inputs, plans), options.inpaint);
  }

  /** The same as training does: coarser parts, each coloured after the same part of the target, without inpainting. */
  async trainingForward(inputs: BlendInputs): Promise<TrainingResult> {
    this.check(inputs);
    const colours = await this.colour(inputs, planTrainingParts(inputs.sourceParsing, inputs.targetParsing));
    const result = await this.decode(inputs, colours);
    const [, , h, w] = colours.head.shape;
    const gray = masked(grayOf(inputs), colours.masks.targetDilated);
    return { ...result, referenceGray: resized(gray, h, w, { alignCorners: true }) };
  }

  /** The colours that training compares with the target's own, when the source is the target's picture with other colours. */
  async cycle(inputs: BlendInputs): Promise<CycleResult> {
    this.check(inputs);
    const { head, fill, masks } = await this.colour(
      inputs,
      planTrainingParts(inputs.sourceParsing, inputs.targetParsing),
    );
    const [, , h, w] = head.shape;
    return { generated: sum(head, fill), label: resized(masked(inputs.target, masks.targetDilated), h, w) };
  }

  /** Ends the threads; the blender cannot be run any more. */
  close(): Promise<void> {
    return closeAll([this.featureNet, this.reference, this.decoderNet]);
  }

  private check({ source, sourceGray, target, sourceParsing, targetParsing, noise = {} }: BlendInputs): void {
    needImage('source', source, 3);
    needImage('target', target, 3);
    if (sourceGray) needImage('sourceGray', sourceGray, 1);
    const [height, width] = this.size;
    for (const [what, image] of Object.entries({ source, target, ...(sourceGray && { sourceGray }) })) {
      needMaskOf(`blender for ${height}x${width}, ${what}`, { width, height }, image);
    }
    const maps = { sourceParsing, targetParsing, sourceNoise: noise.source, targetNoise: noise.target };
    for (const [what, map] of Object.entries(maps)) if (map) needMaskOf(what, map, target);
  }

  /** The colours of the head and of what is to be filled, at the features' size. */
  private async colour(
    inputs: BlendInputs,
    plans: readonly PartPlan[],
  ): Promise<{ head: Image; fill: Image; masks: HeadMasks }> {
    const { source, target, sourceParsing, targetParsing, noise } = inputs;
    const masks = headMasks(sourceParsing, targetParsing, noise);
    const recoloured = plans.filter(({ copy }) => !copy);
    const pairs = [...recoloured, { source: masks.fill, target: masks.targetMargin }];
    const colours = this.reference.run(await this.features(source), await this.features(target), target, pairs);
    const fill = colours[recoloured.length];
    const [, , h, w] = fill.shape;
    const picture = resized(source, h, w, { alignCorners: true });
    const references = new Map(recoloured.map((plan, i) => [plan, colours[i]]));
    return { head: headColours(plans, references, picture), fill, masks };
  }

  private async decode(
    inputs: BlendInputs,
    { head, fill, masks }: { head: Image; fill: Image; masks: HeadMasks },
    inpaint?: Inpainter,
  ): Promise<BlendResult> {
    const { source, target } = inputs;
    const whole = { ...masks.dilated, data: new Uint8Array(masks.dilated.data.length).fill(1) };
    const background = masked(target, without(whole, masks.dilated));
    const headGray = masked(grayOf(inputs), masks.head);
    const headColours = resized(head, ...this.size, { alignCorners: true });
    let filled = target;
    if (inpaint) {
      const picture = sum(background, masked(source, masks.head));
      filled = await inpaint(picture, union(masks.head, masks.fill));
      needImage('the inpainted picture', filled, 3);
    }
    const fillColours = masked(filled, masks.fill);
    const image = stacked([
      headColours,
      fillColours,
      maskImage(masks.head),
      background,
      maskImage(masks.fill),
      headGray,
    ]);
    const picture = (await this.decoderNet.run({ image })).logits;
    return { picture, headColours, fillColours, background, headGray, masks, reference: sum(head, fill) };
  }
}

const grayOf = ({ source, sourceGray }: BlendInputs): Image => sourceGray ?? grayscale(source);
