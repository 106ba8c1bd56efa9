import { type RgbImage, resample } from '../data/resample.js';
import { type FloatTensor, float32 } from '../tensor/tensor.js';
import { openOnnx } from './backends.js';
import type { FivePoints, Point } from './geometry.js';
import type { Detector, FoundFace } from './plugins.js';
import type { OnnxPlugin } from './plugins-onnx.js';

/** Boxes at each position of a grid. */
const ANCHORS = 2;
const LEAST_SCORE = 0.5;
/** Of boxes that share more than this of their area, the better one stays. */
const MOST_OVERLAP = 0.4;

/** A picture shrunk into the upper left of a square, grey around it: `scale` takes its pixels to the picture's. */
function letterboxed(image: RgbImage, size: number, mean: readonly number[], std: readonly number[]) {
  const scale = Math.max(image.width, image.height) / size;
  const width = Math.max(1, Math.round(image.width / scale));
  const height = Math.max(1, Math.round(image.height / scale));
  const { data } = resample(image, width, height, 'bilinear');
  const plane = size * size;
  const input = new Float32Array(3 * plane);
  for (let c = 0; c < 3; c++) {
    input.fill((0 - mean[c]) / std[c], c * plane, (c + 1) * plane);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        input[c * plane + y * size + x] = (data[(y * width + x) * 3 + c] / 255 - mean[c]) / std[c];
      }
    }
  }
  return { input: float32([1, 3, size, size], input), scale };
}

/** The faces in SCRFD's outputs: for each of three grids a score, four distances to a box's sides and five points. */
export function decodeScrfd(outputs: readonly FloatTensor[], size: number, scale: number): FoundFace[] {
  const columnsOf = ({ shape }: FloatTensor) => shape[shape.length - 1];
  const found: FoundFace[] = [];
  for (const scores of outputs.filter((output) => columnsOf(output) === 1)) {
    const count = scores.data.length;
    const ofGrid = (columns: number) =>
      outputs.find((output) => columnsOf(output) === columns && output.data.length === count * columns);
    const boxes = ofGrid(4)?.data;
    const points = ofGrid(10)?.data;
    const grid = Math.round(Math.sqrt(count / ANCHORS));
    if (!boxes || !points || grid === 0) continue;
    const stride = size / grid;
    for (let i = 0; i < count; i++) {
      const score = scores.data[i];
      if (score < LEAST_SCORE) continue;
      const cell = Math.floor(i / ANCHORS);
      const [x, y] = [(cell % grid) * stride, Math.floor(cell / grid) * stride];
      const [left, top, right, bottom] = boxes.subarray(i * 4, i * 4 + 4).map((v) => v * stride);
      const point = (k: number): Point => [
        (x + points[i * 10 + 2 * k] * stride) * scale,
        (y + points[i * 10 + 2 * k + 1] * stride) * scale,
      ];
      found.push({
        box: {
          left: (x - left) * scale,
          top: (y - top) * scale,
          width: (left + right) * scale,
          height: (top + bottom) * scale,
        },
        score,
        points: [point(0), point(1), point(2), point(3), point(4)] as FivePoints,
      });
    }
  }
  return suppressed(found.sort((a, b) => b.score - a.score));
}

function suppressed(faces: readonly FoundFace[]): FoundFace[] {
  const kept: FoundFace[] = [];
  for (const face of faces) if (kept.every((better) => overlap(better.box, face.box) <= MOST_OVERLAP)) kept.push(face);
  return kept;
}

function overlap(a: FoundFace['box'], b: FoundFace['box']): number {
  const across = Math.min(a.left + a.width, b.left + b.width) - Math.max(a.left, b.left);
  const down = Math.min(a.top + a.height, b.top + b.height) - Math.max(a.top, b.top);
  const both = Math.max(0, across) * Math.max(0, down);
  return both / (a.width * a.height + b.width * b.height - both);
}

/** SCRFD (Guo et al., arXiv:2105.04714) as InsightFace publishes it. */
export async function scrfdDetector({ name, path, input, ...options }: OnnxPlugin): Promise<Detector> {
  const net = await openOnnx(name, path, options);
  const { size = 640, mean, std } = input;
  return {
    name: `${name} (${net.runtime})`,
    async detect(image) {
      const { input: picture, scale } = letterboxed(image, size, mean, std);
      const outputs = await net.run({ [net.inputs[0]]: picture });
      return decodeScrfd(
        net.outputs.map((output) => outputs[output]),
        size,
        scale,
      );
    },
    close: () => net.close(),
  };
}
