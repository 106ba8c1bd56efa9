import type { RgbImage } from '../data/resample.js';
import {
  applyTransform,
  estimateSimilarity,
  type FivePoints,
  mapFive,
  type Point,
  type Transform,
} from './geometry.js';
import { warpAffine } from './geometry-warp.js';

/** The side of the wide crop that the networks of GHOST 2.0 take: the head and what is around it. */
export const WIDE_SIZE = 512;
/** The side of the crop that ArcFace takes: the face alone. */
export const ARCFACE_SIZE = 112;

const f32 = Math.fround;

/** Five points from their coordinates, in single precision like the original's templates. */
function template(...xy: number[]): FivePoints {
  const [a, b, c, d, e, f, g, h, i, j] = xy.map(f32);
  return [
    [a, b],
    [c, d],
    [e, f],
    [g, h],
    [i, j],
  ];
}

/** The five points in a 112 px crop by pose, from the left profile over the front to the right one: InsightFace's. */
const POSES = [
  template(51.642, 50.115, 57.617, 49.99, 35.74, 69.007, 51.157, 89.05, 57.025, 89.702),
  template(45.031, 50.118, 65.568, 50.872, 39.677, 68.111, 45.177, 86.19, 64.246, 86.758),
  template(39.73, 51.138, 72.27, 51.138, 56, 68.493, 42.463, 87.01, 69.537, 87.01),
  template(46.845, 50.872, 67.382, 50.118, 72.737, 68.111, 48.167, 86.758, 67.236, 86.19),
  template(54.796, 49.99, 60.771, 50.115, 76.673, 69.007, 55.388, 89.702, 61.257, 89.05),
];
const FRONTAL = POSES[2];

/** The five points in the crop that ArcFace was trained on. */
const ARCFACE = template(38.2946, 51.6963, 73.5318, 51.5014, 56.0252, 71.7366, 41.5493, 92.3655, 70.7299, 92.2041);

/** A pose shrunk to half around the tip of the frontal nose, in a crop of side `size`; every step in single precision. */
function widened(pose: FivePoints, size: number): FivePoints {
  const [mx, my] = FRONTAL[2];
  const widen = (v: number, middle: number) => f32(f32(f32(f32(v - middle) * 0.5) + middle) * f32(size / ARCFACE_SIZE));
  return mapFive(pose, ([x, y]) => [widen(x, mx), widen(y, my)]);
}

const WIDE_POSES = POSES.map((pose) => widened(pose, WIDE_SIZE));

/** The sum of the distances at which `transform` misses the template. */
function missed(transform: Transform, points: FivePoints, template: FivePoints): number {
  let sum = 0;
  for (const [i, point] of points.entries()) {
    const [u, v] = applyTransform(transform, point);
    sum += Math.hypot(u - template[i][0], v - template[i][1]);
  }
  return sum;
}

/** The map into the wide 512 px crop. `template`: which pose fits best, 0 (left profile) over 2 (frontal) to 4. */
export function wideTransform(points: FivePoints): { transform: Transform; template: number } {
  const fits = WIDE_POSES.map((t) => {
    const transform = estimateSimilarity(points, t, true);
    return { transform, error: missed(transform, points, t) };
  });
  const best = fits.reduce((least, { error }, i) => (error < fits[least].error ? i : least), 0);
  return { transform: fits[best].transform, template: best };
}

/** The map into the 112 px crop that ArcFace takes. */
export function arcfaceTransform(points: FivePoints): Transform {
  return estimateSimilarity(points, ARCFACE, true);
}

/** A face cut out of a picture, and the map from the picture's pixels to the crop's. */
export interface Crop {
  readonly image: RgbImage;
  readonly transform: Transform;
}

/** The wide crop, 512 x 512: what lies outside of the picture is black. */
export function cropWide(image: RgbImage, points: FivePoints): Crop & { readonly template: number } {
  const { transform, template } = wideTransform(points);
  return { image: warpAffine(image, transform, WIDE_SIZE, WIDE_SIZE), transform, template };
}

/** The crop for ArcFace, 112 x 112: what lies outside of the picture is black. */
export function cropArcface(image: RgbImage, points: FivePoints): Crop {
  const transform = arcfaceTransform(points);
  return { image: warpAffine(image, transform, ARCFACE_SIZE, ARCFACE_SIZE), transform };
}

/**
 * Where ArcFace's crop lies in the wide crop of side `size` of a frontal face: its left top and right bottom corner in
 * whole pixels, in the middle across. The generator's output is cut there to be compared by identity.
 */
export function arcfaceBorders(size = WIDE_SIZE): readonly [Point, Point] {
  const transform = estimateSimilarity(ARCFACE, widened(FRONTAL, ARCFACE_SIZE), true);
  const scale = size / ARCFACE_SIZE;
  const [[x0, y0], [x1, y1]] = [
    applyTransform(transform, [0, 0]),
    applyTransform(transform, [ARCFACE_SIZE, ARCFACE_SIZE]),
  ];
  const half = (((x1 - x0 + (y1 - y0)) / 2) * scale) / 2;
  const cx = Math.floor(size / 2);
  const cy = ((y0 + y1) / 2) * scale;
  return [
    [Math.trunc(cx - half), Math.trunc(cy - half)],
    [Math.trunc(cx + half), Math.trunc(cy + half)],
  ];
}

/** {@link arcfaceBorders} of the 512 px crop. */
export const arcfaceBorders512: readonly [Point, Point] = arcfaceBorders(WIDE_SIZE);
