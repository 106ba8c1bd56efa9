import type { FloatTensor } from '../../tensor/tensor.js';
import { applyTransform, type Point, type Transform } from '../geometry.js';

/** The side of the square of pixels that one position of the detector's output stands for. */
export const CELL = 32;

/** Width and height of the five boxes that a position starts from, in cells. */
const ANCHORS = [
  [1.603231, 2.094468],
  [6.041143, 7.080126],
  [2.882459, 3.518061],
  [4.266906, 5.178857],
  [9.041765, 10.66308],
] as const;
/** Numbers for each anchor: x, y, log width, log height, score. */
const FIELDS = 5;

/** Where a face may be: a box turned by `angle` around its middle. */
export interface Candidate {
  readonly center: Point;
  readonly width: number;
  readonly height: number;
  /** Radians, clockwise as seen. */
  readonly angle: number;
  /** 0 to 1. */
  readonly score: number;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/**
 * The boxes in the detector's output `[1,25,rows,columns]` whose score is at least `threshold`, best first.
 *
 * @param toPicture The map from the detector's input to the picture; positions count from the middle of the first pixel.
 */
export function decodeBoxes({ shape, data }: FloatTensor, threshold: number, toPicture: Transform): Candidate[] {
  const [, , rows, columns] = shape;
  const plane = rows * columns;
  const scale = Math.hypot(toPicture[0], toPicture[3]);
  const angle = Math.atan2(toPicture[3], toPicture[0]);
  const found: Candidate[] = [];
  for (const [k, [width, height]] of ANCHORS.entries()) {
    const field = (i: number, at: number) => data[(k * FIELDS + i) * plane + at];
    for (let at = 0; at < plane; at++) {
      const score = sigmoid(field(4, at));
      if (score < threshold) continue;
      const x = ((at % columns) + sigmoid(field(0, at))) * CELL - 0.5;
      const y = (Math.floor(at / columns) + sigmoid(field(1, at))) * CELL - 0.5;
      found.push({
        center: applyTransform(toPicture, [x, y]),
        width: Math.exp(field(2, at)) * width * CELL * scale,
        height: Math.exp(field(3, at)) * height * CELL * scale,
        angle,
        score,
      });
    }
  }
  return found.sort((a, b) => b.score - a.score);
}

/** Intersection over union of two boxes, as if both were upright. */
export function overlap(a: Candidate, b: Candidate): number {
  const shared = (axis: 0 | 1, sizeA: number, sizeB: number) => {
    const low = Math.max(a.center[axis] - sizeA / 2, b.center[axis] - sizeB / 2);
    const high = Math.min(a.center[axis] + sizeA / 2, b.center[axis] + sizeB / 2);
    return Math.max(0, high - low);
  };
  const both = shared(0, a.width, b.width) * shared(1, a.height, b.height);
  return both / (a.width * a.height + b.width * b.height - both);
}

/** Non-maximum suppression: of boxes that overlap by more than `limit` only the best stays. `boxes` are best first. */
export function suppress<C extends Candidate>(boxes: readonly C[], limit: number): C[] {
  const kept: C[] = [];
  for (const box of boxes) if (kept.every((better) => overlap(better, box) <= limit)) kept.push(box);
  return kept;
}
