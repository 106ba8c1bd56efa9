import { applyTransform, type FivePoints, mapFive } from '../geometry.js';
import { boundsOf, type Frame, fivePoints, frameTransform, type Landmarks } from './landmarks.js';

/** A face in a picture. All positions are the picture's pixels, the middle of the first one being (0, 0). */
export interface Face {
  /** A square around the face without its hair, upright; may reach beyond the picture. */
  readonly box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** How sure the detector is, 0 to 1. */
  readonly score: number;
  /** The 68 points of the iBUG scheme. */
  readonly landmarks: Landmarks;
  /** What the crops are made from. */
  readonly points: FivePoints;
  /** The side of `box`, pixels. */
  readonly size: number;
  /** From the middle of one eye to the other's, pixels; small in a profile. */
  readonly eyeDistance: number;
  /** How far the head leans in the picture's plane, degrees, clockwise as seen. */
  readonly roll: number;
  /**
   * How far the head is turned aside, degrees, about: 0 looks at the camera, positive to the picture's right; beyond 45
   * either way is a profile, of which the landmarks are not to be relied on.
   */
  readonly yaw: number;
  /** Whether the picture's edge cuts the face. */
  readonly touchesBorder: boolean;
}

/** The tip of the nose lies about this far before the line between the eyes' middles, in distances between the eyes. */
const NOSE_DEPTH = 0.55;
/** How much of a face's size a landmark may lie outside of the picture by mistake. */
const BORDER_SLACK = 0.02;

const degrees = (radians: number): number => (radians * 180) / Math.PI;

/** The angle at which the nose stands before the middle between the eyes, from five points in an upright frame. */
function yawOf([left, right, nose]: FivePoints): number {
  return degrees(Math.atan2(nose[0] - (left[0] + right[0]) / 2, NOSE_DEPTH * Math.abs(right[0] - left[0])));
}

/** What is known of a face from its landmarks in a picture of `width` x `height` pixels. */
export function describeFace(landmarks: Landmarks, frame: Frame, score: number, width: number, height: number): Face {
  const { center, size, angle } = frame;
  const points = fivePoints(landmarks);
  const upright = frameTransform(frame, size);
  const [x0, y0, x1, y1] = boundsOf(landmarks);
  const slack = BORDER_SLACK * size;
  return {
    box: { left: center[0] - size / 2, top: center[1] - size / 2, width: size, height: size },
    score,
    landmarks,
    points,
    size,
    eyeDistance: Math.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1]),
    roll: degrees(angle),
    yaw: yawOf(mapFive(points, (point) => applyTransform(upright, point))),
    touchesBorder: x0 < -slack || y0 < -slack || x1 > width - 1 + slack || y1 > height - 1 + slack,
  };
}
