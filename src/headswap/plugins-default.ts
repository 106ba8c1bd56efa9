import { findWeights, type WeightsEntry } from '../hub/manifest.js';
import type { RunOptions } from './backends.js';
import { FaceDetector } from './detect/detect.js';
import { scrfdDetector } from './detect-scrfd.js';
import { diffusionInpainter } from './inpaint-fill.js';
import type { Detector, Plugins } from './plugins.js';
import { type OnnxPlugin, onnxInpainter, onnxMatting, onnxSegmenter } from './plugins-onnx.js';
import { landmarkMatting, landmarkSegmenter } from './segment-landmarks.js';

/** The detector that comes with ghostkit. */
export async function builtInDetector(threads = 1): Promise<Detector> {
  const detector = await FaceDetector.create({ threads });
  return {
    name: 'face-api (built in)',
    detect: async (image) => detector.detect(image),
    close: () => detector.close(),
  };
}

/** What needs no download. */
export function builtInPlugins({ threads }: RunOptions = {}): Plugins {
  return {
    detector: () => builtInDetector(threads),
    matting: async () => landmarkMatting,
    segmenter: async () => landmarkSegmenter,
    inpainter: async () => diffusionInpainter,
  };
}

/**
 * The networks whose files are there, and the built-in stand-ins for the others.
 *
 * @param find The path of a manifest's file, if it is there.
 */
export function availablePlugins(find: (entry: WeightsEntry) => string | undefined, options: RunOptions = {}): Plugins {
  const onnx = (name: string): OnnxPlugin | undefined => {
    const entry = findWeights(name);
    const path = find(entry);
    return path && entry.input ? { name, path, input: entry.input, ...options } : undefined;
  };
  const builtIn = builtInPlugins(options);
  const [detector, segmenter, inpainter] = ['scrfd-10g', 'segformer-b5', 'lama'].map(onnx);
  const matting = onnx('stylematte') ?? onnx('modnet');
  return {
    detector: detector ? () => scrfdDetector(detector) : builtIn.detector,
    matting: matting ? () => onnxMatting(matting) : builtIn.matting,
    segmenter: segmenter ? () => onnxSegmenter(segmenter) : builtIn.segmenter,
    inpainter: inpainter ? () => onnxInpainter(inpainter) : builtIn.inpainter,
  };
}
