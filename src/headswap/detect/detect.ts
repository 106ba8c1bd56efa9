import type { RgbImage } from '../../data/resample.js';
import { type CompiledModel, compile } from '../../nn/compile.js';
import { keepingAll } from '../../runtime/closable.js';
import { invertTransform, rotationAround, type Transform } from '../geometry.js';
import { type Candidate, CELL, decodeBoxes, overlap, suppress } from './boxes.js';
import { describeFace, type Face } from './face.js';
import {
  type Frame,
  findLandmarks,
  frameOf,
  frameTransform,
  LANDMARK_SIZE,
  type Landmarks,
  VIEWS,
} from './landmarks.js';
import { Pyramid } from './pyramid.js';
import { normalized } from './tensor.js';
import { loadFaceNetworks, type ReadWeightFile } from './weights.js';

/** What the detector subtracts from red, green and blue, 0 to 255. */
const MEAN = [117.001, 114.697, 97.404] as const;

/** The sides of the squares that the detector runs on. */
const SMALL = 10 * CELL;
const LARGE = 24 * CELL;
/** How far squares overlap that tile a picture: what is larger is found at a smaller size of the picture. */
const TILE_OVERLAP = 4 * CELL;

/**
 * The picture's long side at which it is searched upright. A face is found when it is about 40 to 350 pixels wide: from a
 * whole picture down to a thirtieth of it.
 */
const LEVELS = [SMALL, LARGE, 1152];
/** Where nothing is found, the picture is searched at up to this size, for faces down to a hundredth of it. */
const DEEPEST = 4608;
/** Enlarging a picture further than this shows no more of it. */
const MAX_ENLARGE = 2;
/** The detector knows faces that lean up to about 30 degrees; the picture is searched turned by this, too, radians. */
const TURN = (40 * Math.PI) / 180;

/** Boxes with a lower score are not looked at; the landmarks tell which of them are faces. */
const CANDIDATE_SCORE = 0.25;
/** Boxes that overlap by more are of one face. */
const SAME_FACE = 0.3;
/** The most boxes whose landmarks are sought, so that no picture takes forever. */
const MAX_CANDIDATES = 64;

/** Landmarks are sought up to this often, each time in the frame around those before. */
const PASSES = 4;
/** On what is no face the frame shrinks each time; on a face its size changes little. */
const LEAST_GROWTH = 0.7;
const MOST_GROWTH = 1.5;
/** A frame that moves less than this share of its size is where it stays, and one that moves more in the end is no face's. */
const AT_REST = 0.01;
const SETTLED = 0.05;
/**
 * The sizes in pixels at which a found face is shown to the detector once more, upright in a small square. What only looks
 * like a face does so at one size; the mean of the scores tells them apart.
 */
const SECOND_LOOK = [48, 64, 80, 128];

export interface DetectOptions {
  /** Faces with a lower score are left out; default 0.3. */
  readonly minScore?: number;
}

export interface FaceDetectorOptions {
  /** Threads that the networks run on; default 1. */
  readonly threads?: number;
  /** Where the weights come from; by default what ghostkit comes with. */
  readonly weights?: ReadWeightFile;
}

/**
 * Finds faces and their landmarks with the networks of face-api.js, at several sizes and angles of the picture. Ready for any
 * number of pictures; {@link close} it in the end.
 */
export class FaceDetector {
  private constructor(
    private readonly small: CompiledModel,
    private readonly large: CompiledModel,
    private readonly landmarks: CompiledModel,
  ) {}

  /** @throws GhostkitError when the weights are not there or do not fit. */
  static async create({ threads = 1, weights }: FaceDetectorOptions = {}): Promise<FaceDetector> {
    const networks = await loadFaceNetworks(weights);
    const square = (side: number) => compile(networks.detector, { input: [1, 3, side, side], threads });
    const views = [VIEWS, 3, LANDMARK_SIZE, LANDMARK_SIZE];
    return keepingAll(
      async (keep) =>
        new FaceDetector(
          await keep(square(SMALL)),
          await keep(square(LARGE)),
          await keep(compile(networks.landmarks, { input: views, threads })),
        ),
    );
  }

  /** Ends the networks' threads. */
  close(): void {
    for (const network of [this.small, this.large, this.landmarks]) network.close();
  }

  /** The faces of a picture, the most prominent (size times score) first; none is an empty list. */
  detect(image: RgbImage, { minScore = 0.3 }: DetectOptions = {}): Face[] {
    const picture = new Pyramid(image);
    const long = Math.max(image.width, image.height);
    const scaleTo = (level: number) => Math.min(MAX_ENLARGE, level / long);
    const candidates = [...new Set(LEVELS.map(scaleTo))].flatMap((scale) => this.search(picture, scale, 0));
    for (const angle of [-TURN, TURN]) candidates.push(...this.search(picture, fitting(image, angle), angle));
    let faces = this.confirm(picture, candidates, minScore);
    for (let level = 2 * LEVELS[2]; faces.length === 0 && level <= Math.min(DEEPEST, MAX_ENLARGE * long); level *= 2) {
      faces = this.confirm(picture, this.search(picture, scaleTo(level), 0), minScore);
    }
    return faces.sort((a, b) => b.size * b.score - a.size * a.score);
  }

  /** The detector's boxes in a picture that is scaled by `scale` and turned back by `angle`. */
  private search(picture: Pyramid, scale: number, angle: number): Candidate[] {
    const { width, height } = picture.image;
    const [w, h] = turnedSize(width * scale, height * scale, angle);
    const whole = rotationAround([(width - 1) / 2, (height - 1) / 2], -angle, scale, [(w - 1) / 2, (h - 1) / 2]);
    const [network, side] = Math.max(w, h) <= SMALL ? [this.small, SMALL] : [this.large, LARGE];
    const found: Candidate[] = [];
    for (const top of tileStarts(h, side)) {
      for (const left of tileStarts(w, side)) {
        const [a, b, c, d, e, f] = whole;
        found.push(...this.boxes(network, side, picture, [a, b, c - left, d, e, f - top], CANDIDATE_SCORE));
      }
    }
    return suppress(found.sort(byScore), SAME_FACE);
  }

  /** One run of the detector on the square of the picture that `transform` shows. */
  private boxes(
    network: CompiledModel,
    side: number,
    picture: Pyramid,
    transform: Transform,
    threshold: number,
  ): Candidate[] {
    const image = normalized(picture.sample(transform, side, side), MEAN, new Float32Array(3 * side * side));
    return decodeBoxes(network.run({ image }).logits, threshold, invertTransform(transform));
  }

  /** Those boxes that are faces, each once. */
  private confirm(picture: Pyramid, candidates: readonly Candidate[], minScore: number): Face[] {
    const { width, height } = picture.image;
    const known: Candidate[] = [];
    const faces: Face[] = [];
    for (const candidate of [...candidates].sort(byScore).slice(0, MAX_CANDIDATES)) {
      const seen = (box: Candidate) => known.some((other) => overlap(other, box) > SAME_FACE);
      if (seen(candidate)) continue;
      const settled = this.settle(picture, candidate);
      if (!settled) continue;
      const { frame, landmarks } = settled;
      const score = this.lookAgain(picture, frame);
      const face = { ...frame, width: frame.size, height: frame.size, score };
      if (seen(face)) continue;
      known.push(face);
      if (score >= minScore) faces.push(describeFace(landmarks, frame, score, width, height));
    }
    return faces;
  }

  /** The landmarks of the face in a box, or undefined when there is none. */
  private settle(picture: Pyramid, { center, width, height, angle }: Candidate) {
    let frame: Frame = { center, size: Math.max(width, height), angle };
    let landmarks: Landmarks = [];
    let moved = 0;
    for (let pass = 0; pass < PASSES; pass++) {
      landmarks = findLandmarks(this.landmarks, picture, frame);
      const next = frameOf(landmarks);
      const growth = next.size / frame.size;
      if (!(growth > LEAST_GROWTH && growth < MOST_GROWTH)) return undefined;
      moved = Math.hypot(next.center[0] - frame.center[0], next.center[1] - frame.center[1]) / next.size;
      frame = next;
      if (moved < AT_REST && Math.abs(growth - 1) < AT_REST) break;
    }
    return moved < SETTLED ? { frame, landmarks } : undefined;
  }

  /** The detector's mean score for a face that is shown to it upright at several sizes. */
  private lookAgain(picture: Pyramid, frame: Frame): number {
    const face = { ...frame, width: frame.size, height: frame.size, score: 1 };
    let sum = 0;
    for (const size of SECOND_LOOK) {
      const transform = frameTransform({ ...frame, size: (frame.size * SMALL) / size }, SMALL);
      const boxes = this.boxes(this.small, SMALL, picture, transform, 0.1);
      sum += boxes.find((box) => overlap(box, face) > SAME_FACE)?.score ?? 0;
    }
    return sum / SECOND_LOOK.length;
  }
}

const byScore = (a: Candidate, b: Candidate): number => b.score - a.score;

/** The size of the upright box around a picture that is turned by `angle`. */
function turnedSize(width: number, height: number, angle: number): [number, number] {
  const c = Math.abs(Math.cos(angle));
  const s = Math.abs(Math.sin(angle));
  return [width * c + height * s, width * s + height * c];
}

/** The scale at which a picture that is turned by `angle` fits into one large square. */
function fitting({ width, height }: RgbImage, angle: number): number {
  return Math.min(MAX_ENLARGE, LARGE / Math.max(...turnedSize(width, height, angle)));
}

/** Where squares of `side` begin that cover `length`, overlapping. */
function tileStarts(length: number, side: number): number[] {
  if (length <= side) return [0];
  const count = Math.ceil((length - TILE_OVERLAP) / (side - TILE_OVERLAP));
  return Array.from({ length: count }, (_, i) => Math.round((i * (length - side)) / (count - 1)));
}

/**
 * The faces of a picture, the most prominent first. Loads the networks anew each time: for several pictures, keep a
 * {@link FaceDetector}.
 *
 * @throws GhostkitError when the weights are not there.
 */
export async function detectFaces(
  image: RgbImage,
  { minScore, ...options }: DetectOptions & FaceDetectorOptions = {},
): Promise<Face[]> {
  const detector = await FaceDetector.create(options);
  try {
    return detector.detect(image, { minScore });
  } finally {
    detector.close();
  }
}
