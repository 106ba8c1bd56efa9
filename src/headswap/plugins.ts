import type { RgbImage } from '../data/resample.js';
import type { Image } from '../models/ghost2/images.js';
import type { LabelMap, Mask } from '../models/ghost2/masks.js';
import type { FivePoints, Point } from './geometry.js';
import { collectGarbage } from './memory.js';

/**
 * The networks around GHOST 2.0's own, each behind an interface as small as it can be. A pipeline is given a function that makes one,
 * uses it, closes it, and goes on to the next stage with its memory free.
 */
export interface Plugin {
  /** What it is, for people: `SegFormer-B5 (onnxruntime-node)`. */
  readonly name: string;
  /** One line on what it cannot do, for what only stands in for a network. */
  readonly caveat?: string;
  /** Gives its memory back; it cannot be used any more. */
  close?(): void | Promise<void>;
}

/** A face that was found in a picture; positions are in the picture's pixels. */
export interface FoundFace {
  readonly box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** 0 to 1. */
  readonly score: number;
  readonly points: FivePoints;
  /** The 68 points of the iBUG scheme, where the detector knows them. */
  readonly landmarks?: readonly Point[];
}

/** Finds faces, the most certain first. */
export interface Detector extends Plugin {
  detect(image: RgbImage): Promise<readonly FoundFace[]>;
}

/** What is known of a head beside its picture. The stand-ins live on it, networks need none of it. */
export interface HeadHint {
  /** The 68 landmarks, in the crop's pixels. */
  readonly landmarks: readonly Point[];
  /** The generator's own mask of the head that it drew, `[1,1,H,W]` in 0 to 1. */
  readonly mask?: Image;
}

/** Tells a person from the background. */
export interface Matting extends Plugin {
  /** @param picture `[1,3,H,W]`, BGR in [-1, 1]. @returns How much of each pixel is the person, `[1,1,H,W]` in 0 to 1. */
  alpha(picture: Image, hint: HeadHint): Promise<Image>;
}

/** Names the parts of a head. */
export interface Segmenter extends Plugin {
  /** @param picture `[1,3,H,W]`, BGR in [-1, 1]. @returns One of GHOST 2.0's 20 labels, or 0 for the background, for each pixel. */
  parse(picture: Image, hint: HeadHint): Promise<LabelMap>;
}

/** Makes up what is behind a mask. */
export interface Inpainter extends Plugin {
  /** @param picture `[1,3,H,W]`, BGR in [-1, 1]. @returns The same with the pixels of `mask` filled. */
  fill(picture: Image, mask: Mask): Promise<Image>;
}

/** How to make each of them, when its turn has come. */
export interface Plugins {
  readonly detector: () => Promise<Detector>;
  readonly matting: () => Promise<Matting>;
  readonly segmenter: () => Promise<Segmenter>;
  readonly inpainter: () => Promise<Inpainter>;
}

/** Makes a plug-in, uses it and closes it, whatever happens. */
export async function withPlugin<P extends Plugin, T>(
  make: () => Promise<P>,
  use: (plugin: P) => Promise<T>,
): Promise<T> {
  const plugin = await make();
  try {
    return await use(plugin);
  } finally {
    if (plugin.close) {
      await plugin.close();
      await collectGarbage();
    }
  }
}
