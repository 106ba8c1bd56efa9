import type { RgbImage } from '../data/resample.js';
import { printable } from '../formats/text.js';
import type { BlendResult } from '../models/ghost2/blender.js';
import type { Image } from '../models/ghost2/images.js';
import { GhostkitError, isAllocationFailure } from '../tensor/error.js';
import type { RunOptions } from './backends.js';
import { SwapNetworks } from './networks.js';
import { coloured, grey, greyBytes, marked, toImage, toRgb, weighted } from './pictures.js';
import { type FoundFace, type Inpainter, type Plugin, type Plugins, withPlugin } from './plugins.js';
import { availablePlugins, builtInPlugins } from './plugins-default.js';
import {
  type AlignedHead,
  alignHead,
  blendHead,
  cropHead,
  findFace,
  type HeadCrop,
  maskHead,
  notesOn,
  type ParsedHeads,
  type PasteRegion,
  parseHeads,
  pasteHead,
  pasteMask,
  type StagedHead,
  stageHead,
} from './stages.js';
import { NAMED_WEIGHTS, type SwapWeights } from './weights.js';

/** The stages of a swap, in order. */
export const STAGES = ['detect', 'crop', 'mask', 'align', 'parse', 'background', 'blend', 'inpaint', 'paste'] as const;
export type Stage = (typeof STAGES)[number];

/** The pictures that the stages make to look at, in their order. */
export const STAGE_PICTURES = [
  ...(['1-source', '1-target', '2-source-wide', '2-source-arcface', '2-target-wide'] as const),
  ...(['3-source-masked', '3-target-masked', '4-aligned', '4-aligned-mask'] as const),
  ...(['5-aligned-parsing', '5-target-parsing', '6-background', '6-staged'] as const),
  ...(['7-head-colours', '7-blended', '8-filled', '9-mask', '9-result'] as const),
] as const;
type StagePicture = (typeof STAGE_PICTURES)[number];

/** Receives what a stage made as a picture to look at; `name` sorts in the order of the stages. */
export type StageSink = (name: string, picture: RgbImage) => void | Promise<void>;

export interface SwapOptions extends RunOptions {
  /** Whose head: a picture, or in Node its path or bytes. */
  readonly source: RgbImage | string | Uint8Array;
  /** Who gets it. */
  readonly target: RgbImage | string | Uint8Array;
  /**
   * The folder of the official weights (in Node), weights from elsewhere, or `from-names` for trying: the head is then noise. For
   * several swaps, networks that are kept.
   */
  readonly weights: string | SwapWeights | SwapNetworks;
  /** Which face of the target, and of the source, counted from 1; needed where there are several. */
  readonly face?: number;
  readonly sourceFace?: number;
  /** What runs instead of the networks that the weights' folder has, or of their built-in stand-ins. */
  readonly plugins?: Partial<Plugins>;
  /** Whether only the head and its margin are put back (the default), or the whole square around it as the original does. */
  readonly paste?: PasteRegion;
  readonly stages?: StageSink;
  /** Told when a stage begins. */
  readonly onProgress?: (stage: Stage, index: number, count: number) => void;
}

export interface SwapResult {
  /** The target with the source's head, of the target's size. */
  readonly image: RgbImage;
  /** Milliseconds of each stage. */
  readonly timings: Readonly<Record<Stage, number>>;
  /** What ran around GHOST 2.0's own networks, by stage. */
  readonly plugins: Readonly<Record<string, string>>;
  /** What a person should know of the result, a line each. */
  readonly notes: readonly string[];
  /** The faces that were used. */
  readonly faces: { readonly source: FoundFace; readonly target: FoundFace };
}

interface Pair<T> {
  readonly source: T;
  readonly target: T;
}

const nameOf = (picture: SwapOptions['source'], otherwise: string): string =>
  typeof picture === 'string' ? printable(picture, 200) : otherwise;

/** Times the stages, one after another, and tells of each. */
class Clock {
  readonly timings = Object.fromEntries(STAGES.map((stage) => [stage, 0])) as Record<Stage, number>;

  constructor(private readonly onProgress: SwapOptions['onProgress']) {}

  async time<T>(stage: Stage, work: () => T | Promise<T>): Promise<T> {
    this.onProgress?.(stage, STAGES.indexOf(stage), STAGES.length);
    const before = performance.now();
    try {
      return await work();
    } finally {
      this.timings[stage] += performance.now() - before;
    }
  }
}

async function resolveNetworks({ weights, backend, threads }: SwapOptions): Promise<SwapNetworks> {
  if (weights instanceof SwapNetworks) return weights;
  const options = { backend, threads };
  if (typeof weights !== 'string') return new SwapNetworks(weights, options);
  if (weights === 'from-names') return new SwapNetworks(NAMED_WEIGHTS, options);
  const { folderWeights } = await import('./weights-folder.js');
  return new SwapNetworks(folderWeights(weights), options);
}

function resolvePlugins({ weights }: SwapNetworks, { plugins, backend, threads }: SwapOptions): Plugins {
  const options = { backend, threads };
  const found = weights.find ? availablePlugins((entry) => weights.find?.(entry), options) : builtInPlugins(options);
  return { ...found, ...plugins };
}

async function resolveImage(picture: SwapOptions['source']): Promise<RgbImage> {
  if (typeof picture !== 'string' && !(picture instanceof Uint8Array)) return picture;
  const { loadImage } = await import('../data/image.js');
  return loadImage(picture);
}

/** What JavaScript throws when an array does not fit into memory, as one line. */
function explainMemory(error: unknown): unknown {
  if (!isAllocationFailure(error)) return error;
  return new GhostkitError('there is not enough memory; a swap needs up to 3 GB', { cause: error });
}

/**
 * Puts the source's head on the target's body: GHOST 2.0 (Groshev et al., arXiv:2502.18417), from two pictures to one.
 *
 * The people in both pictures have to agree to that; the caller sees to it. The result should be written with its provenance: see
 * `writeSwap`.
 *
 * @throws GhostkitError in one line: a file of weights is missing or does not fit, a picture cannot be read, there is no face or
 * several, or there is no memory.
 */
export async function swapHead(options: SwapOptions): Promise<SwapResult> {
  try {
    const networks = await resolveNetworks(options);
    return await new Swap(options, networks, resolvePlugins(networks, options)).run();
  } catch (error) {
    throw explainMemory(error);
  }
}

/** One swap: the stages in order, and what is told of them. */
class Swap {
  private readonly clock: Clock;
  private readonly used: Record<string, string> = {};
  private readonly notes = new Set<string>();

  constructor(
    private readonly options: SwapOptions,
    private readonly networks: SwapNetworks,
    private readonly plugins: Plugins,
  ) {
    this.clock = new Clock(options.onProgress);
  }

  async run(): Promise<SwapResult> {
    const { trained } = this.networks.weights;
    if (!trained) this.notes.add('the weights are made from their names, not trained: the head is noise');
    const [source, target] = await Promise.all([this.options.source, this.options.target].map(resolveImage));
    const faces = await this.detect(source, target);
    const crops = await this.crop({ source, target }, faces);
    const aligned = await this.align(crops, await this.mask(crops));
    const { parsed, landmarks } = await this.parse(aligned, crops.target);
    const staged = await this.with('background', this.plugins.matting, (matting) =>
      stageHead(aligned, crops.target, parsed.target, matting, { landmarks, trained }),
    );
    await this.show('6-background', () => toRgb(staged.background));
    await this.show('6-staged', () => toRgb(staged.picture));
    const blended = await this.blend(staged, crops.target, parsed);
    const image = await this.paste(blended, target, crops.target);
    return { image, timings: this.clock.timings, plugins: this.used, notes: [...this.notes], faces };
  }

  private detect(source: RgbImage, target: RgbImage): Promise<Pair<FoundFace>> {
    const { face, sourceFace } = this.options;
    return this.with('detect', this.plugins.detector, async (detector) => {
      const pictures = {
        source: { image: source, name: nameOf(this.options.source, 'the source'), option: '--source-face' },
        target: { image: target, name: nameOf(this.options.target, 'the target'), option: '--face' },
      };
      const faces = {
        source: await findFace(pictures.source, detector, sourceFace),
        target: await findFace(pictures.target, detector, face),
      };
      for (const which of ['source', 'target'] as const) {
        for (const note of notesOn(pictures[which].name, faces[which])) this.notes.add(note);
        await this.show(`1-${which}`, () => marked(pictures[which].image, faces[which]));
      }
      return faces;
    });
  }

  private async crop(images: Pair<RgbImage>, faces: Pair<FoundFace>): Promise<Pair<HeadCrop>> {
    const crops = await this.clock.time('crop', () => ({
      source: cropHead(images.source, faces.source),
      target: cropHead(images.target, faces.target),
    }));
    await this.show('2-source-wide', () => crops.source.wide);
    await this.show('2-source-arcface', () => crops.source.arc);
    await this.show('2-target-wide', () => crops.target.wide);
    return crops;
  }

  private async mask(crops: Pair<HeadCrop>): Promise<Pair<Image>> {
    const masks = await this.with('mask', this.plugins.matting, async (matting) => ({
      source: await maskHead(crops.source, matting),
      target: await maskHead(crops.target, matting),
    }));
    for (const which of ['source', 'target'] as const) {
      await this.show(`3-${which}-masked`, () => toRgb(weighted(toImage(crops[which].wide), masks[which])));
    }
    return masks;
  }

  private async align(crops: Pair<HeadCrop>, masks: Pair<Image>): Promise<AlignedHead> {
    const inputs = {
      source: { crop: crops.source, mask: masks.source },
      target: { crop: crops.target, mask: masks.target },
    };
    const aligned = await this.clock.time('align', () => alignHead(inputs, this.networks));
    await this.show('4-aligned', () => toRgb(aligned.picture));
    await this.show('4-aligned-mask', () => grey(aligned.mask));
    return aligned;
  }

  private async parse(
    aligned: AlignedHead,
    target: HeadCrop,
  ): Promise<{ parsed: ParsedHeads; landmarks: HeadCrop['landmarks'] }> {
    const { trained } = this.networks.weights;
    const result = await this.with('parse', this.plugins.segmenter, async (segmenter) => {
      // Only what draws heads from landmarks needs those of the new head; that of untrained weights has none.
      const found = trained && segmenter.caveat ? await this.landmarksOf(aligned) : undefined;
      const landmarks = found ?? target.landmarks;
      return { parsed: await parseHeads(aligned, target, segmenter, landmarks), landmarks };
    });
    await this.show('5-aligned-parsing', () => coloured(result.parsed.source));
    await this.show('5-target-parsing', () => coloured(result.parsed.target));
    return result;
  }

  private async landmarksOf({ picture }: AlignedHead): Promise<HeadCrop['landmarks'] | undefined> {
    const [face] = await withPlugin(this.plugins.detector, (detector) => detector.detect(toRgb(picture)));
    return face?.landmarks;
  }

  private async blend(staged: StagedHead, target: HeadCrop, parsed: ParsedHeads): Promise<BlendResult> {
    const { clock, networks } = this;
    const blended = await withPlugin(this.plugins.inpainter, (inpainter) => {
      this.record('inpaint', inpainter);
      const timed: Inpainter = {
        ...inpainter,
        fill: (picture, mask) => clock.time('inpaint', () => inpainter.fill(picture, mask)),
      };
      return clock.time('blend', () => blendHead(staged, target, parsed, timed, networks));
    });
    // Filling happens in the middle of blending.
    clock.timings.blend -= clock.timings.inpaint;
    await this.show('7-head-colours', () => toRgb(blended.headColours));
    await this.show('7-blended', () => toRgb(blended.picture));
    await this.show('8-filled', () => toRgb(blended.fillColours));
    return blended;
  }

  private async paste(blended: BlendResult, target: RgbImage, crop: HeadCrop): Promise<RgbImage> {
    const { paste = 'head' } = this.options;
    const image = await this.clock.time('paste', () => pasteHead(blended, target, crop, paste));
    await this.show('9-mask', () => greyBytes(pasteMask(blended.masks.dilated), crop.wide.width, crop.wide.height));
    await this.show('9-result', () => image);
    return image;
  }

  /** Runs a stage with its plug-in, which is noted. */
  private with<P extends Plugin, T>(stage: Stage, make: () => Promise<P>, use: (plugin: P) => Promise<T>): Promise<T> {
    return this.clock.time(stage, () =>
      withPlugin(make, (plugin) => {
        if (stage !== 'background') this.record(stage, plugin);
        return use(plugin);
      }),
    );
  }

  private record(stage: Stage, { name, caveat }: Plugin): void {
    this.used[stage] = name;
    if (caveat) this.notes.add(`${stage}: ${caveat}`);
  }

  private async show(name: StagePicture, picture: () => RgbImage): Promise<void> {
    await this.options.stages?.(name, picture());
  }
}
