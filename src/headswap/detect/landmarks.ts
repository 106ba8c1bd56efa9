import type { CompiledModel } from '../../nn/compile.js';
import {
  applyTransform,
  type FivePoints,
  invertTransform,
  type Point,
  rotationAround,
  type Transform,
} from '../geometry.js';
import type { Pyramid } from './pyramid.js';
import { normalized } from './tensor.js';

/** The side of the landmark network's input. */
export const LANDMARK_SIZE = 112;
/** Views of a face that one run of the network sees: three sizes, each also mirrored. */
export const VIEWS = 6;

/** What the network subtracts from red, green and blue, 0 to 255. */
const MEAN = [122.782, 117.001, 104.298] as const;
const POINTS = 68;
/** The sides of the views over the side of the frame: the detector's boxes, which the network was trained on, vary as much. */
const VIEW_SIZES = [0.9, 1, 1.1];
/** A detector's box is about this much larger than the landmarks that it holds. */
const FRAME_OVER_LANDMARKS = 1.3;

/** A square around a face, its sides along the face's: `angle` is that of the line through the eyes. */
export interface Frame {
  readonly center: Point;
  /** The square's side in pixels. */
  readonly size: number;
  /** Radians, clockwise as seen. */
  readonly angle: number;
}

/** The 68 landmarks of the iBUG scheme: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67; left is the picture's left. */
export type Landmarks = readonly Point[];

/** Which landmark each becomes when the picture is mirrored. */
const MIRRORED: readonly number[] = (() => {
  const index = Array.from({ length: POINTS }, (_, i) => i);
  const swap = (a: number, b: number) => {
    index[a] = b;
    index[b] = a;
  };
  for (let i = 0; i < 8; i++) swap(i, 16 - i);
  for (let i = 0; i < 5; i++) swap(17 + i, 26 - i);
  for (let i = 0; i < 2; i++) swap(31 + i, 35 - i);
  for (const [a, b] of [
    [36, 45],
    [37, 44],
    [38, 43],
    [39, 42],
    [40, 47],
    [41, 46],
  ])
    swap(a, b);
  for (let i = 0; i < 3; i++) swap(48 + i, 54 - i);
  for (let i = 0; i < 2; i++) swap(55 + i, 59 - i);
  for (let i = 0; i < 2; i++) swap(60 + i, 64 - i);
  swap(65, 67);
  return index;
})();

/** The map from the picture to a square of `side` px that shows the frame. */
export function frameTransform({ center, size, angle }: Frame, side: number): Transform {
  const middle = (side - 1) / 2;
  return rotationAround(center, -angle, side / size, [middle, middle]);
}

/** The mean of the landmarks `from` to `to`, exclusive. */
function middleOf(landmarks: Landmarks, from: number, to: number): Point {
  let x = 0;
  let y = 0;
  for (const point of landmarks.slice(from, to)) {
    x += point[0];
    y += point[1];
  }
  return [x / (to - from), y / (to - from)];
}

/** The middles of the eyes, the tip of the nose and the corners of the mouth. */
export function fivePoints(landmarks: Landmarks): FivePoints {
  return [middleOf(landmarks, 36, 42), middleOf(landmarks, 42, 48), landmarks[30], landmarks[48], landmarks[54]];
}

/** The least upright box around points: `[left, top, right, bottom]`. */
export function boundsOf(points: readonly Point[]): [number, number, number, number] {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** The frame around landmarks, upright by the eyes, as large as a detector's box. */
export function frameOf(landmarks: Landmarks): Frame {
  const [left, right] = fivePoints(landmarks);
  const angle = Math.atan2(right[1] - left[1], right[0] - left[0]);
  const upright = rotationAround([0, 0], -angle);
  const [x0, y0, x1, y1] = boundsOf(landmarks.map((point) => applyTransform(upright, point)));
  const center = applyTransform(invertTransform(upright), [(x0 + x1) / 2, (y0 + y1) / 2]);
  return { center, size: FRAME_OVER_LANDMARKS * Math.max(x1 - x0, y1 - y0), angle };
}

/**
 * The landmarks of the face in a frame: the mean over several views of it, in the picture's pixels.
 *
 * @param network The landmark network, compiled for {@link VIEWS} pictures.
 */
export function findLandmarks(network: CompiledModel, picture: Pyramid, frame: Frame): Landmarks {
  const side = LANDMARK_SIZE;
  const plane = 3 * side * side;
  const image = new Float32Array(VIEWS * plane);
  const toPicture = VIEW_SIZES.map((factor, i) => {
    const transform = frameTransform({ ...frame, size: frame.size * factor }, side);
    const view = picture.sample(transform, side, side);
    normalized(view, MEAN, image, 2 * i * plane);
    normalized(view, MEAN, image, (2 * i + 1) * plane, true);
    return invertTransform(transform);
  });
  const shares = network.run({ image }).logits.data;
  return MIRRORED.map((mirror, i): Point => {
    let x = 0;
    let y = 0;
    for (const [v, transform] of toPicture.entries()) {
      const plain = (2 * v * POINTS + i) * 2;
      const flipped = ((2 * v + 1) * POINTS + mirror) * 2;
      const across = (shares[plain] + 1 - shares[flipped]) / 2;
      const down = (shares[plain + 1] + shares[flipped + 1]) / 2;
      // A share of 0 is the edge of the first pixel, half a pixel before its middle.
      const point = applyTransform(transform, [across * side - 0.5, down * side - 0.5]);
      x += point[0] / VIEW_SIZES.length;
      y += point[1] / VIEW_SIZES.length;
    }
    return [x, y];
  });
}
