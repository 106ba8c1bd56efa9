import { loadImage } from '../data/image.js';
import type { RgbImage } from '../data/resample.js';
import { haveProbabilities, NO_PROBABILITIES } from '../data/scores.js';
import { checkTopK, type NamedClass, namedClasses } from '../data/top-classes.js';
import { type Preprocessing, toTensor } from '../data/transform.js';
import { SHIPPED_WEIGHTS } from '../hub/shipped.js';
import type { Runner } from '../runtime/runner.js';
import { GhostkitError } from '../tensor/error.js';
import { type ClassifierFile, openClassifier } from './classifier-file.js';
import type { SourceOptions } from './model-source.js';
import type { PreparationOptions } from './preparation.js';

export interface LoadClassifierOptions extends SourceOptions, PreparationOptions {
  /** Threads that share the work (default 1). */
  readonly threads?: number;
  /** The names of the classes, in place of those in the file. */
  readonly labels?: readonly string[];
  /** onnxruntime runs the network, with the first of these execution providers that is there: `['cuda', 'cpu']`. It has to be installed. */
  readonly providers?: readonly string[];
}

/** A classifier that is ready for pictures. */
export interface PictureClassifier {
  /** What the network is called. */
  readonly title: string;
  readonly numClasses: number;
  readonly labels?: readonly string[];
  /** How pictures are cut, resized and normalised for it. */
  readonly preprocessing: Preprocessing;
  /**
   * What is on a picture (the path of a file, its bytes, or decoded pixels): the `topK` (default 5) most probable classes, the best first.
   *
   * @throws GhostkitError when it cannot be read, is no picture, or is damaged, and when the network gives no numbers for it.
   */
  classify(picture: string | Uint8Array | RgbImage, options?: { readonly topK?: number }): Promise<NamedClass[]>;
  /** Ends its threads. */
  close(): Promise<void>;
}

/**
 * Makes the classifier in a file ready: the weights of a network (safetensors, or what `torch.save` wrote), a compiled model or an ONNX file; without
 * a path that which comes with ghostkit. Which network it is, how pictures are prepared for it, and the names of its classes are taken from the
 * file; weights run in deploy form.
 *
 * @throws GhostkitError that begins with the path, when it is no classifier of colour pictures.
 */
export async function loadClassifier(
  path: string = SHIPPED_WEIGHTS,
  { threads = 1, labels: named, ...options }: LoadClassifierOptions = {},
): Promise<PictureClassifier> {
  const file = await openClassifier(path, options);
  const { title, numClasses, inChannels, preprocessing, batch = 1 } = file;
  if (inChannels !== 3) throw new GhostkitError(`${path}: the model takes ${inChannels} channels, pictures have 3`);
  if (named && named.length !== numClasses)
    throw new GhostkitError(`${path}: ${named.length} names for the ${numClasses} classes of the model`);
  const labels = named ?? file.labels;
  const net = await file.compile({ batch, threads });
  return {
    ...{ title, numClasses, labels, preprocessing },
    async classify(picture, { topK = 5 } = {}) {
      checkTopK(topK);
      const image = await pixelsOf(picture);
      const logits = await logitsOf(net, file, batch, image);
      if (!haveProbabilities(logits))
        throw new GhostkitError(`${typeof picture === 'string' ? `${picture}: ` : ''}${NO_PROBABILITIES}`);
      return namedClasses(logits, topK, labels);
    },
    close: async () => net.close(),
  };
}

/** JavaScript has no types to complain. */
async function pixelsOf(picture: string | Uint8Array | RgbImage): Promise<RgbImage> {
  if ((typeof picture === 'string' && picture !== '') || picture instanceof Uint8Array) return loadImage(picture);
  if (typeof picture === 'object' && picture?.data instanceof Uint8Array) return checkPixels(picture);
  throw new GhostkitError('a picture is the path of a file, its bytes, or decoded pixels');
}

function checkPixels(image: RgbImage): RgbImage {
  const { width, height, data } = image;
  const isSide = (side: number) => Number.isInteger(side) && side > 0;
  if (isSide(width) && isSide(height) && data.length === 3 * width * height) return image;
  throw new GhostkitError(
    `pixels are red, green and blue, three bytes each; ${width} x ${height} of them are not ${data.length} bytes`,
  );
}

async function logitsOf(
  net: Runner,
  { numClasses, preprocessing }: ClassifierFile,
  batch: number,
  image: RgbImage,
): Promise<Float32Array> {
  const one = toTensor(image, preprocessing).data;
  // A model that was compiled for several pictures gets one, and empty ones.
  const input = batch === 1 ? one : new Float32Array(batch * one.length);
  if (batch > 1) input.set(one);
  return (await net.run({ image: input })).logits.data.subarray(0, numClasses);
}
