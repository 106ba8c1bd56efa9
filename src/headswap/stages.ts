import type { RgbImage } from '../data/resample.js';
import { input } from '../graph/leaves.js';
import type { Graph } from '../graph/value.js';
import { type BlendResult, CompiledBlender } from '../models/ghost2/blender.js';
import type { Embedder } from '../models/ghost2/embedder.js';
import type { Generator } from '../models/ghost2/generator.js';
import type { Image } from '../models/ghost2/images.js';
import type { LabelMap, Mask } from '../models/ghost2/masks.js';
import { GhostkitError } from '../tensor/error.js';
import { float32 } from '../tensor/tensor.js';
import { type ReadyNet, type RunOptions, readyGraph } from './backends.js';
import { applyTransform, type Point, type Transform } from './geometry.js';
import { ARCFACE_SIZE, cropArcface, cropWide, WIDE_SIZE } from './geometry-crops.js';
import { pasteBack } from './geometry-paste.js';
import { composed, toImage, toRgb, weighted } from './pictures.js';
import type { Detector, FoundFace, Inpainter, Matting, Segmenter } from './plugins.js';
import { pseudoBackground } from './pseudo-background.js';
import { gaussianBlur } from './raster.js';
import { landmarksFromFive } from './segment-landmarks.js';
import type { SwapWeights } from './weights.js';

// The stages of a head swap, each a function of what the ones before it gave. `pipeline.ts` puts them in order.

/** A face of fewer pixels across shows nothing that could be put anywhere. */
export const LEAST_FACE = 32;

const rounded = (v: number) => Math.round(v);

/**
 * The face in a picture: the only one, or the one chosen, counted from 1 in the detector's order.
 *
 * @param name What to call the picture in messages.
 * @throws GhostkitError when there is none, when there are several and none was chosen, or when it is too small.
 */
export async function findFace(
  { name, image, option }: { name: string; image: RgbImage; option: string },
  detector: Detector,
  choice?: number,
): Promise<FoundFace> {
  const faces = await detector.detect(image);
  if (faces.length === 0) {
    throw new GhostkitError(
      `${name}: no face is found; it should be larger than ${LEAST_FACE} pixels and not turned away`,
    );
  }
  if (choice === undefined && faces.length > 1) {
    const list = faces.slice(0, 9).map(({ box }, i) => {
      return `${i + 1} at ${rounded(box.left + box.width / 2)},${rounded(box.top + box.height / 2)} (${rounded(box.width)} px)`;
    });
    throw new GhostkitError(`${name}: ${faces.length} faces; choose with ${option} N: ${list.join(', ')}`);
  }
  const face = faces[(choice ?? 1) - 1];
  if (!face) throw new GhostkitError(`${name}: there is no face ${choice}, only ${faces.length}`);
  if (face.box.width < LEAST_FACE) {
    throw new GhostkitError(
      `${name}: the face is ${rounded(face.box.width)} pixels wide, which is too little; ${LEAST_FACE} are the least`,
    );
  }
  return face;
}

/** A head cut out of a picture. */
export interface HeadCrop {
  /** 512 x 512: the head with its surroundings. */
  readonly wide: RgbImage;
  /** From the picture's pixels to those of `wide`. */
  readonly transform: Transform;
  /** 112 x 112, as ArcFace takes faces. */
  readonly arc: RgbImage;
  /** The 68 landmarks in `wide`'s pixels. */
  readonly landmarks: readonly Point[];
}

export function cropHead(image: RgbImage, face: FoundFace): HeadCrop {
  const { image: wide, transform } = cropWide(image, face.points);
  const { image: arc } = cropArcface(image, face.points);
  const landmarks = face.landmarks ?? landmarksFromFive(face.points);
  return { wide, transform, arc, landmarks: landmarks.map((point) => applyTransform(transform, point)) };
}

/** How much of each pixel of a head's crop is the person, `[1,1,512,512]` in 0 to 1. */
export function maskHead({ wide, landmarks }: HeadCrop, matting: Matting): Promise<Image> {
  return matting.alpha(toImage(wide), { landmarks });
}

/** The source's head as the generator draws it in the target's pose. */
export interface AlignedHead {
  /** `[1,3,512,512]`, BGR in [-1, 1]. */
  readonly picture: Image;
  /** How much of a pixel is head by the generator, `[1,1,512,512]` in 0 to 1. */
  readonly mask: Image;
}

export interface AlignInputs {
  readonly source: { readonly crop: HeadCrop; readonly mask: Image };
  readonly target: { readonly crop: HeadCrop; readonly mask: Image };
}

function embedderGraph(embedder: Embedder): Graph {
  embedder.nameParameters();
  const wide = [1, 3, WIDE_SIZE, WIDE_SIZE];
  const inputs = {
    sourceWide: input('sourceWide', wide),
    sourceArc: input('sourceArc', [1, 3, ARCFACE_SIZE, ARCFACE_SIZE]),
    targetWide: input('targetWide', wide),
  };
  return { inputs, outputs: { ...embedder.forward(inputs) } };
}

function generatorGraph(generator: Generator, length: number): Graph {
  generator.nameParameters();
  const embedding = input('embedding', [1, length]);
  return { inputs: { embedding }, outputs: { ...generator.forward(embedding) } };
}

async function runOnce<T>(net: ReadyNet, use: (net: ReadyNet) => Promise<T>): Promise<T> {
  try {
    return await use(net);
  } finally {
    await net.close();
  }
}

/** Draws the source's head in the target's pose. The embedder's memory is free before the generator's is taken. */
export async function alignHead(
  { source, target }: AlignInputs,
  weights: SwapWeights,
  options: RunOptions,
): Promise<AlignedHead> {
  const embedder = await readyGraph('aligner-embedder', embedderGraph(await weights.embedder()), options);
  const { por_embed, id_embed, pose_embed } = await runOnce(embedder, (net) =>
    net.run({
      sourceWide: weighted(toImage(source.crop.wide), source.mask),
      sourceArc: toImage(source.crop.arc),
      targetWide: weighted(toImage(target.crop.wide), target.mask),
    }),
  );
  const parts = [por_embed, id_embed, pose_embed].map(({ data }) => data);
  const embedding = new Float32Array(parts.reduce((n, { length }) => n + length, 0));
  let at = 0;
  for (const part of parts) {
    embedding.set(part, at);
    at += part.length;
  }
  const generator = await readyGraph('aligner-generator', generatorGraph(await weights.generator(), at), options);
  const { fake_rgbs, fake_segm } = await runOnce(generator, (net) =>
    net.run({ embedding: float32([1, embedding.length], embedding) }),
  );
  return { picture: fake_rgbs, mask: fake_segm };
}

/** The labels of both heads. */
export interface ParsedHeads {
  readonly source: LabelMap;
  readonly target: LabelMap;
}

/**
 * Parses the head that was drawn and the target's.
 *
 * @param landmarks Of the drawn head, where they are known better than by the target's pose, in which it is.
 */
export async function parseHeads(
  aligned: AlignedHead,
  target: HeadCrop,
  segmenter: Segmenter,
  landmarks = target.landmarks,
): Promise<ParsedHeads> {
  return {
    source: await segmenter.parse(weighted(aligned.picture, aligned.mask), { landmarks }),
    target: await segmenter.parse(toImage(target.wide), { landmarks: target.landmarks }),
  };
}

/** The drawn head on the target's background. */
export interface StagedHead {
  /** The target without the person, `[1,3,512,512]`, BGR in [-1, 1]. */
  readonly background: Image;
  /** The soft mask of the drawn head, `[1,1,512,512]` in 0 to 1. */
  readonly alpha: Image;
  /** Both together. */
  readonly picture: Image;
}

/** Cuts the drawn head out and lays it on the target's picture as if nobody were in it. */
export async function stageHead(
  aligned: AlignedHead,
  target: HeadCrop,
  parsing: LabelMap,
  matting: Matting,
  { landmarks = target.landmarks, trained }: { landmarks?: readonly Point[]; trained: boolean },
): Promise<StagedHead> {
  const background = pseudoBackground(toImage(target.wide), parsing);
  // The mask of a generator that was not trained is noise.
  const hint = { landmarks, ...(trained && { mask: aligned.mask }) };
  const alpha = await matting.alpha(weighted(aligned.picture, aligned.mask), hint);
  return { background, alpha, picture: composed(aligned.picture, background, alpha) };
}

/** Gives the drawn head the target's colours and puts it into the target's picture. */
export async function blendHead(
  staged: StagedHead,
  target: HeadCrop,
  { source, target: targetParsing }: ParsedHeads,
  inpainter: Inpainter,
  weights: SwapWeights,
  { threads }: RunOptions,
): Promise<BlendResult> {
  const blender = await CompiledBlender.create(await weights.blender(), { threads });
  try {
    const inputs = {
      source: staged.picture,
      target: toImage(target.wide),
      sourceParsing: source,
      targetParsing,
    };
    return await blender.blend(inputs, { inpaint: (picture, mask) => inpainter.fill(picture, mask) });
  } finally {
    blender.close();
  }
}

/** The standard deviation, in pixels of the crop, of the edge where the new pixels fade into the old ones. */
const FEATHER = 3;

/**
 * How much of each pixel of the blended crop is taken, 0 to 255: all of it on both heads and the margin around them that the blender
 * makes anew, nothing of it where it only repeats the target.
 */
export function pasteMask({ width, height, data }: Mask): Uint8Array {
  const soft = gaussianBlur(Float32Array.from(data), width, height, FEATHER);
  return Uint8Array.from(soft, (v) => Math.round(v * 255));
}

/** What of the blended crop goes back: only what the blender made anew (`head`), or the whole square as in the original (`crop`). */
export type PasteRegion = 'head' | 'crop';

/** The blended crop back in the target's picture; outside of the region it is the target, to the bit. */
export function pasteHead(blended: BlendResult, target: RgbImage, crop: HeadCrop, region: PasteRegion): RgbImage {
  const mask = region === 'head' ? pasteMask(blended.masks.dilated) : undefined;
  return pasteBack(toRgb(blended.picture), target, crop.transform, { mask });
}
