import { GhostkitError } from '../tensor/error.js';

/** A position in pixels, x to the right and y down; the middle of the first pixel is (0, 0), as in OpenCV. */
export type Point = readonly [x: number, y: number];

/** The picture's left eye, its right eye, the tip of the nose, the left and the right corner of the mouth. */
export type FivePoints = readonly [Point, Point, Point, Point, Point];

/** An affine map: `[a, b, c, d, e, f]` takes (x, y) to (ax + by + c, dx + ey + f). The rows of OpenCV's 2x3 matrix. */
export type Transform = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

export const IDENTITY: Transform = [1, 0, 0, 0, 1, 0];

/** Where `transform` takes a point. */
export function applyTransform([a, b, c, d, e, f]: Transform, [x, y]: Point): Point {
  return [a * x + b * y + c, d * x + e * y + f];
}

/** Every one of five points through `f`. */
export function mapFive([a, b, c, d, e]: FivePoints, f: (point: Point) => Point): FivePoints {
  return [f(a), f(b), f(c), f(d), f(e)];
}

/** `second` after `first`. */
export function composeTransforms(second: Transform, first: Transform): Transform {
  const [a, b, c, d, e, f] = second;
  const [g, h, i, j, k, l] = first;
  return [a * g + b * j, a * h + b * k, a * i + b * l + c, d * g + e * j, d * h + e * k, d * i + e * l + f];
}

/**
 * The map that undoes `transform`.
 *
 * @throws GhostkitError when there is none: it takes everything to a line or a point, or is not finite.
 */
export function invertTransform([a, b, c, d, e, f]: Transform): Transform {
  const scale = 1 / (a * e - b * d);
  const inverse: Transform = [
    e * scale,
    -b * scale,
    (b * f - c * e) * scale,
    -d * scale,
    a * scale,
    (c * d - a * f) * scale,
  ];
  if (!inverse.every(Number.isFinite)) throw new GhostkitError('the transform cannot be inverted');
  return inverse;
}

/** Turns by `angle` radians (clockwise as seen, since y points down) and scales around `center`, which goes to `to`. */
export function rotationAround(center: Point, angle: number, scale = 1, to: Point = center): Transform {
  const a = scale * Math.cos(angle);
  const b = scale * Math.sin(angle);
  return [a, -b, to[0] - a * center[0] + b * center[1], b, a, to[1] - b * center[0] - a * center[1]];
}

/** How much longer `transform` makes what it maps; for a similarity the same in every direction. */
export function scaleOf([a, b, , d, e]: Transform): number {
  return Math.sqrt(Math.abs(a * e - b * d));
}

/** The mean of a list and what every element is off it, every step through `round`. */
function centred(values: readonly number[], round = (v: number) => v): { mean: number; rest: number[] } {
  const mean = round(values.reduce((sum, v) => round(sum + v), 0) / values.length);
  return { mean, rest: values.map((v) => round(v - mean)) };
}

/**
 * The similarity (rotation, one scale, shift; no mirroring) that takes `from` to `to` with the least sum of squared
 * distances: Umeyama's estimate (PAMI 1991), which is scikit-image's.
 *
 * @param single Whether `to` is centred in single precision, as NumPy does for a float32 array; changes the seventh digit.
 * @throws GhostkitError when the points of `from` coincide, a coordinate is not finite, or there are fewer than two pairs.
 */
export function estimateSimilarity(from: readonly Point[], to: readonly Point[], single = false): Transform {
  if (from.length !== to.length || from.length < 2) {
    throw new GhostkitError(`a similarity needs pairs of points, at least two; got ${from.length} and ${to.length}`);
  }
  const sx = centred(from.map(([x]) => x));
  const sy = centred(from.map(([, y]) => y));
  const round = single ? Math.fround : undefined;
  const dx = centred(
    to.map(([x]) => x),
    round,
  );
  const dy = centred(
    to.map(([, y]) => y),
    round,
  );
  let spread = 0;
  let along = 0;
  let across = 0;
  for (let i = 0; i < from.length; i++) {
    spread += sx.rest[i] ** 2 + sy.rest[i] ** 2;
    along += sx.rest[i] * dx.rest[i] + sy.rest[i] * dy.rest[i];
    across += sx.rest[i] * dy.rest[i] - sy.rest[i] * dx.rest[i];
  }
  // In the plane, the rotation of Umeyama's singular value decomposition is the direction of (along, across).
  const a = along / spread;
  const b = across / spread;
  const shift = [dx.mean - (a * sx.mean - b * sy.mean), dy.mean - (b * sx.mean + a * sy.mean)];
  const transform: Transform = [a, -b, shift[0], b, a, shift[1]];
  if (!transform.every(Number.isFinite)) throw new GhostkitError('the points of a face must differ and be finite');
  return transform;
}
