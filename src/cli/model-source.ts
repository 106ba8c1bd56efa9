import { preprocessingIn } from '../data/preprocessing.js';
import { IMAGENET, type Preprocessing } from '../data/transform.js';
import type { Checkpoint } from '../formats/checkpoint.js';
import { readCheckpoint } from '../formats/checkpoint-file.js';
import { identify, type LoadedModel } from '../models/identify.js';
import { findModel, type ModelEntry } from '../models/registry.js';
import { GhostkitError } from '../tensor/error.js';
import { TRAINING_KEY } from '../train/checkpoint.js';

/** An entry for a name given by a person; the error of an unknown one says where the known ones are listed. */
export function entryFor(name: string): ModelEntry {
  try {
    return findModel(name);
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(error.message.replace('see listModels()', 'ghostkit models lists them'));
  }
}

export function isModelName(name: string): boolean {
  try {
    findModel(name);
    return true;
  } catch {
    return false;
  }
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
  if (name !== undefined) entryFor(name);
  const checkpoint = await readCheckpoint(path, { prefer });
  try {
    return { checkpoint, loaded: identify(checkpoint, name) };
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(`${path}: ${error.message}`, { cause: error });
  }
}

/**
 * How pictures are prepared for a model: as its file says, else as each paper's own code evaluates; what is asked for goes before both.
 *
 * @throws GhostkitError when the file says it badly.
 */
export function preprocessingFor(
  { entry, checkpoint }: Pick<LoadedModel, 'entry' | 'checkpoint'>,
  asked: Partial<Pick<Preprocessing, 'size' | 'interpolation'>>,
): Preprocessing {
  const usual: Preprocessing = { ...IMAGENET, interpolation: entry.family === 'ghostnet' ? 'bilinear' : 'bicubic' };
  const { size, interpolation, ...rest } = preprocessingIn(checkpoint.metadata) ?? usual;
  return { ...rest, size: asked.size ?? size, interpolation: asked.interpolation ?? interpolation };
}

/** Like {@link openCheckpoint}, for whoever needs the network. */
export async function loadModel(path: string, options: SourceOptions = {}): Promise<LoadedModel> {
  const { loaded, checkpoint } = await openCheckpoint(path, options);
  if (TRAINING_KEY in checkpoint.metadata) {
    throw new GhostkitError(`${path}: this is a training to go on from; the network is in best.safetensors beside it`);
  }
  if (!loaded) throw new GhostkitError(`${path}: these are not the weights of a network that ghostkit knows`);
  return loaded;
}
