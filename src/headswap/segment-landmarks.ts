import { type Image, needImage } from '../models/ghost2/images.js';
import { HEAD_LABELS, type LabelMap, maskOf } from '../models/ghost2/masks.js';
import { float32 } from '../tensor/tensor.js';
import type { FivePoints, Point } from './geometry.js';
import type { HeadHint, Matting, Segmenter } from './plugins.js';
import { arc, fillBand, fillPolygon, gaussianBlur } from './raster.js';

/** GHOST 2.0's labels that can be drawn from landmarks. */
const LABEL = {
  skin: 2,
  leftBrow: 3,
  rightBrow: 4,
  leftEye: 5,
  rightEye: 6,
  teeth: 7,
  lips: 9,
  leftEar: 10,
  rightEar: 11,
  nose: 12,
  neck: 13,
  hair: 15,
} as const;

const CAVEAT = 'a head shape drawn from its landmarks: hair, hats and beards are not seen';

/** The width, in pixels of a 512 px crop, over which the drawn head fades into the background. */
const FADE = 6;

const add = ([x, y]: Point, [u, v]: Point, by = 1): Point => [x + u * by, y + v * by];
const between = ([x, y]: Point, [u, v]: Point, t = 0.5): Point => [x + (u - x) * t, y + (v - y) * t];
const distance = ([x, y]: Point, [u, v]: Point): number => Math.hypot(x - u, y - v);
const mean = (points: readonly Point[]): Point => [
  points.reduce((sum, [x]) => sum + x, 0) / points.length,
  points.reduce((sum, [, y]) => sum + y, 0) / points.length,
];

/** The frame of a face: its middle at the height of the eyes, the units across (half its width) and up (from the chin to the eyes). */
function frameOf(landmarks: readonly Point[]): { middle: Point; across: Point; up: Point } {
  const eyes = mean(landmarks.slice(36, 48));
  const chin = landmarks[8];
  const [left, right] = [landmarks[0], landmarks[16]];
  const across: Point = [(right[0] - left[0]) / 2, (right[1] - left[1]) / 2];
  // At a right angle to the line through the ears: in a turned head, eyes and chin are both off the middle.
  const width = Math.hypot(...across) || 1;
  const normal: Point = [across[1] / width, -across[0] / width];
  const ears = between(left, right);
  const heightOf = ([x, y]: Point) => (x - ears[0]) * normal[0] + (y - ears[1]) * normal[1];
  const height = heightOf(eyes) - heightOf(chin);
  return { middle: add(ears, normal, heightOf(eyes)), across, up: [normal[0] * height, normal[1] * height] };
}

/**
 * A head as one can guess it from 68 landmarks: the face where they are, a forehead above it, hair around that as a short cut would
 * be, ears and a neck.
 */
export function headFromLandmarks(landmarks: readonly Point[], width: number, height: number): LabelMap {
  const map = { width, height, data: new Uint8Array(width * height) };
  const { middle, across, up } = frameOf(landmarks);
  const part = (from: number, to: number) => landmarks.slice(from, to + 1);
  const face = part(0, 16);

  const [neckLeft, neckRight] = [landmarks[4], landmarks[12]];
  fillPolygon(map, [neckLeft, neckRight, add(neckRight, up, -1.1), add(neckLeft, up, -1.1)], LABEL.neck);

  // A skull reaches as far above the eyes as the chin is below them; hair adds to it.
  const scalp: Point = [across[0] * 1.16, across[1] * 1.16];
  const top = arc(middle, scalp, [up[0] * 1.14, up[1] * 1.14], 0, Math.PI);
  const bottom = arc(middle, scalp, [up[0] * 0.4, up[1] * 0.4], Math.PI, 2 * Math.PI);
  fillPolygon(map, [...top, ...bottom], LABEL.hair);

  const ear: [Point, Point] = [
    [across[0] * 0.13, across[1] * 0.13],
    [up[0] * 0.28, up[1] * 0.28],
  ];
  fillPolygon(map, arc(between(landmarks[1], landmarks[2]), ...ear, 0, 2 * Math.PI), LABEL.leftEar);
  fillPolygon(map, arc(between(landmarks[15], landmarks[14]), ...ear, 0, 2 * Math.PI), LABEL.rightEar);

  const forehead = arc(between(face[0], face[16]), across, [up[0] * 0.75, up[1] * 0.75], 0, Math.PI);
  fillPolygon(map, [...face, ...forehead], LABEL.skin);

  const thickness = Math.hypot(...across) * 0.09;
  fillBand(map, part(17, 21), thickness, LABEL.leftBrow);
  fillBand(map, part(22, 26), thickness, LABEL.rightBrow);
  fillPolygon(map, part(36, 41), LABEL.leftEye);
  fillPolygon(map, part(42, 47), LABEL.rightEye);
  fillPolygon(map, [landmarks[27], ...part(31, 35)], LABEL.nose);
  fillPolygon(map, part(48, 59), LABEL.lips);
  const open = distance(landmarks[62], landmarks[66]) > 0.15 * distance(landmarks[60], landmarks[64]);
  if (open) fillPolygon(map, part(60, 67), LABEL.teeth);
  return map;
}

/** The 68 landmarks of a face of which only five points are known: an average face laid through them. */
export function landmarksFromFive([leftEye, rightEye, nose, leftMouth, rightMouth]: FivePoints): Point[] {
  const eyes = between(leftEye, rightEye);
  const mouth = between(leftMouth, rightMouth);
  const down: Point = [mouth[0] - eyes[0], mouth[1] - eyes[1]];
  const across: Point = [(rightEye[0] - leftEye[0]) / 2, (rightEye[1] - leftEye[1]) / 2];
  const at = (x: number, y: number, from: Point = eyes): Point => add(add(from, across, x), down, y);
  // From one ear over the chin to the other: half an ellipse.
  const jaw = Array.from({ length: 17 }, (_, i) => {
    const t = Math.PI * (1 - i / 16);
    return at(Math.cos(t) * 2.1, 0.05 + Math.sin(t) * 1.7);
  });
  const brow = (eye: Point) => [-0.7, -0.35, 0, 0.35, 0.7].map((x) => at(x, -0.3 - 0.12 * Math.cos(x * 2), eye));
  const lids = (eye: Point) =>
    [
      [-0.4, 0],
      [-0.15, -0.1],
      [0.15, -0.1],
      [0.4, 0],
      [0.15, 0.08],
      [-0.15, 0.08],
    ].map(([x, y]) => at(x, y, eye));
  const bridge = [0, 0.33, 0.67, 1].map((t) => between(eyes, nose, t));
  const nostrils = [-0.45, -0.22, 0, 0.22, 0.45].map((x) => at(x, 0.12, nose));
  const half: Point = [(rightMouth[0] - leftMouth[0]) / 2, (rightMouth[1] - leftMouth[1]) / 2];
  const lip = (x: number, y: number) => add(add(mouth, half, x), down, y);
  const outer = [
    ...[-1, -0.66, -0.25, 0, 0.25, 0.66, 1].map((x) => lip(x, -0.16 * (1 - x * x))),
    ...[0.66, 0.3, 0, -0.3, -0.66].map((x) => lip(x, 0.22 * (1 - x * x))),
  ];
  const inner = [-0.8, -0.3, 0, 0.3, 0.8, 0.3, 0, -0.3].map((x) => lip(x, 0));
  return [
    ...jaw,
    ...brow(leftEye),
    ...brow(rightEye),
    ...bridge,
    ...nostrils,
    ...lids(leftEye),
    ...lids(rightEye),
    ...outer,
    ...inner,
  ];
}

/** Parses a head by its landmarks alone. */
export const landmarkSegmenter: Segmenter = {
  name: 'landmarks (built in)',
  caveat: CAVEAT,
  async parse(picture, { landmarks }) {
    needImage('head parsing', picture, 3);
    const [, , height, width] = picture.shape;
    return headFromLandmarks(landmarks, width, height);
  },
};

/** The mask of a head by its landmarks, or the generator's own mask of it where there is one. */
export const landmarkMatting: Matting = {
  name: 'landmarks (built in)',
  caveat: CAVEAT,
  async alpha(picture: Image, { landmarks, mask }: HeadHint) {
    needImage('matting', picture, 3);
    if (mask) return mask;
    const [, , height, width] = picture.shape;
    const head = maskOf(headFromLandmarks(landmarks, width, height), [...HEAD_LABELS, LABEL.neck]);
    const alpha = gaussianBlur(Float32Array.from(head.data), width, height, (FADE / 2) * (width / 512));
    return float32([1, 1, height, width], alpha);
  },
};
