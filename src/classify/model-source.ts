import { basename } from 'node:path';
import { preprocessingIn } from '../data/preprocessing.js';
import { IMAGENET, type Preprocessing } from '../data/transform.js';
import type { Checkpoint } from '../formats/checkpoint.js';
import { readCheckpoint } from '../formats/checkpoint-file.js';
import { withPath } from '../formats/with-path.js';
import { identify, type LoadedModel, loadedFrom } from '../models/identify.js';
import { readOnnx } from '../models/read-onnx.js';
import { findModel } from '../models/registry.js';
import { PROGRAM_KEY } from '../runtime/compiled-format.js';
import { GhostkitError } from '../tensor/error.js';
import { NOT_A_NETWORK, TRAINING_KEY } from '../train/checkpoint.js';
import { type PreparationOptions, prepared } from './preparation.js';

/** Whether a file is ONNX, which nothing in it tells. */
export const isOnnxPath = (path: string): boolean => /\.onnx$/i.test(path);

/** The complaint about a network's name beside an ONNX file. */
export const ONNX_NAMED = 'an ONNX file says what its network is; leave its name out';

async function loadOnnx(path: string): Promise<LoadedModel> {
  const model = await readOnnx(path);
  return withPath(path, () => loadedFrom(basename(path).replace(/\.onnx$/i, ''), model));
}

export interface SourceOptions {
  /** The network's name; told by the weights when absent. */
  readonly name?: string;
  readonly prefer?: 'ema' | 'model';
}

/**
 * What a checkpoint file holds, and the network that its weights are of with them; no network when no name is given and they
 * are of none that is known.
 *
 * @throws GhostkitError that begins with the path.
 */
export async function openCheckpoint(
  path: string,
  { name, prefer }: SourceOptions = {},
): Promise<{ checkpoint: Checkpoint; loaded?: LoadedModel }> {
  if (name !== undefined) findModel(name);
  if (isOnnxPath(path)) {
    if (name !== undefined) throw new GhostkitError(`${path}: ${ONNX_NAMED}`);
    const loaded = await loadOnnx(path);
    return { checkpoint: loaded.checkpoint, loaded };
  }
  const checkpoint = await readCheckpoint(path, { prefer });
  if (PROGRAM_KEY in checkpoint.metadata) {
    throw new GhostkitError(
      `${path}: this is a compiled model, which predict, eval and info take; give its weights here`,
    );
  }
  return withPath(path, () => ({ checkpoint, loaded: identify(checkpoint, name) }));
}

/**
 * How pictures are prepared for a model: as its file says, else as each paper's own code evaluates; what is asked for goes before both.
 *
 * @throws GhostkitError when the file says it badly.
 */
export function preprocessingFor(
  { entry, checkpoint, model }: Pick<LoadedModel, 'entry' | 'checkpoint' | 'model'>,
  asked: PreparationOptions,
): Preprocessing {
  const [side = IMAGENET.size, width = side] = model.inputSize ?? [];
  if (side !== width)
    throw new GhostkitError(`this network takes ${width} x ${side} pixels, and only squares are cut out`);
  const interpolation = entry.family === 'ghostnet' ? 'bilinear' : 'bicubic';
  const usual: Preprocessing = { ...IMAGENET, size: side, interpolation };
  return prepared(preprocessingIn(checkpoint.metadata) ?? usual, asked);
}

/** Like {@link openCheckpoint}, for whoever needs the network. */
export async function loadModel(path: string, options: SourceOptions = {}): Promise<LoadedModel> {
  const { loaded, checkpoint } = await openCheckpoint(path, options);
  if (TRAINING_KEY in checkpoint.metadata) {
    throw new GhostkitError(`${path}: ${NOT_A_NETWORK}`);
  }
  if (!loaded) throw new GhostkitError(`${path}: these are not the weights of a network that ghostkit knows`);
  return loaded;
}
