import type { RgbImage } from '../data/resample.js';
import type { BlendResult } from '../models/ghost2/blender.js';
import type { Image } from '../models/ghost2/images.js';
import type { LabelMap, Mask } from '../models/ghost2/masks.js';
import { GhostkitError } from '../tensor/error.js';
import { float32 } from '../tensor/tensor.js';
import { applyTransform, type Point, type Transform } from './geometry.js';
import { cropArcface, cropWide } from './geometry-crops.js';
import { pasteBack } from './geometry-paste.js';
import type { SwapNetworks } from './networks.js';
import { composed, toImage, toRgb, weighted } from './pictures.js';
import type { Detector, FoundFace, Inpainter, Matting, Segmenter } from './plugins.js';
import { pseudoBackground } from './pseudo-background.js';
import { gaussianBlur } from './raster.js';
import { landmarksFromFive } from './segment-landmarks.js';

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

/** What a detector may know of a face beyond what the pipeline needs. */
type KnownFace = FoundFace & { readonly yaw?: number; readonly touchesBorder?: boolean };

/** Beyond this, only one side of a face is seen. */
const PROFILE_DEGREES = 45;

/** What a person should know of a face that can be used all the same, a line each; `name` is the picture's. */
export function notesOn(name: string, { yaw = 0, touchesBorder }: KnownFace): string[] {
  return [
    ...(touchesBorder ? [`${name}: the picture's edge cuts the face; what is outside is taken for black`] : []),
    ...(Math.abs(yaw) > PROFILE_DEGREES ? [`${name}: the face is in profile, where its landmarks are a guess`] : []),
  ];
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

/** Draws the source's head in the target's pose. */
export async function alignHead({ source, target }: AlignInputs, networks: SwapNetworks): Promise<AlignedHead> {
  const embeddings = await networks.embedder((net) =>
    net.run({
      sourceWide: weighted(toImage(source.crop.wide), source.mask),
      sourceArc: toImage(source.crop.arc),
      targetWide: weighted(toImage(target.crop.wide), target.mask),
    }),
  );
  const parts = ['por_embed', 'id_embed', 'pose_embed'].flatMap((name) => [...embeddings[name].data]);
  const embedding = float32([1, parts.length], parts);
  const { fake_rgbs, fake_segm } = await networks.generator((net) => net.run({ embedding }));
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
export function blendHead(
  staged: StagedHead,
  target: HeadCrop,
  parsed: ParsedHeads,
  inpainter: Inpainter,
  networks: SwapNetworks,
): Promise<BlendResult> {
  const inputs = {
    source: staged.picture,
    target: toImage(target.wide),
    sourceParsing: parsed.source,
    targetParsing: parsed.target,
  };
  return networks.blender((blender) =>
    blender.blend(inputs, { inpaint: (picture, mask) => inpainter.fill(picture, mask) }),
  );
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
