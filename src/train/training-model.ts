import { isDeepStrictEqual } from 'node:util';
import { preprocessingMetadata } from '../data/preprocessing.js';
import type { Preprocessing } from '../data/transform.js';
import { loadState } from '../formats/checkpoint.js';
import { readCheckpoint } from '../formats/checkpoint-file.js';
import { writeSafetensors } from '../formats/safetensors.js';
import { withPath } from '../formats/with-path.js';
import { type Guess, identify, type LoadedModel, metadataOf } from '../models/identify.js';
import { findModel, type ModelOptions } from '../models/registry.js';
import type { Classifier } from '../nn/trace.js';
import { PROGRAM_KEY } from '../runtime/compiled-format.js';
import { GhostkitError } from '../tensor/error.js';
import { NOT_A_NETWORK, TRAINING_KEY } from './checkpoint.js';
import type { TrainConfig } from './config.js';
import { preprocessingOf } from './loading.js';
import { headOf } from './stages.js';

/** A network that is trained, and what its file says of it. */
export interface TrainedModel extends Guess {
  readonly model: Classifier;
  readonly labels: readonly string[];
  readonly preprocessing: Preprocessing;
}

/** The freshly initialised network of a configuration, for classes by their names. */
export function createTrainedModel(config: TrainConfig, labels: readonly string[]): TrainedModel {
  const entry = findModel(config.model);
  const { width, stemStride, variant, dropout, seed } = config;
  const options: ModelOptions = {
    ...variant,
    ...(width !== null && { width }),
    ...(stemStride !== 2 && { stemStride }),
  };
  const model = entry.create({ ...options, dropout, classes: labels.length });
  return {
    entry,
    options,
    form: 'training',
    model: model.initialize(seed),
    labels,
    preprocessing: preprocessingOf(config),
  };
}

/** The file of a trained network as it stands, with everything that prediction needs to know. */
export function encodeTrainedModel(trained: TrainedModel, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const all = { ...metadataOf(trained), ...preprocessingMetadata(trained.preprocessing), ...metadata };
  return writeSafetensors(trained.model.state(), { metadata: all });
}

/**
 * The weights of a file that training can start from.
 *
 * @throws GhostkitError that begins with the path when they are of no known network, or in deploy form.
 */
export async function readTrainable(path: string, name?: string): Promise<LoadedModel> {
  const checkpoint = await readCheckpoint(path);
  return withPath(path, () => {
    if (PROGRAM_KEY in checkpoint.metadata)
      throw new GhostkitError('this is a compiled model; training needs its weights');
    if (TRAINING_KEY in checkpoint.metadata) throw new GhostkitError(NOT_A_NETWORK);
    const loaded = identify(checkpoint, name);
    if (!loaded) throw new GhostkitError('these are not the weights of a network that ghostkit knows');
    if (loaded.form === 'deploy' || loaded.options.reparam === 'merged') {
      throw new GhostkitError('these weights are merged for inference; training needs those in training form');
    }
    return loaded;
  });
}

/** What a network has beside its width and stem, which are settings of their own. */
const variantOf = ({ width: _, stemStride: __, ...variant }: ModelOptions) => variant;

/** The settings that a file of weights asks for: its network, and how its pictures are prepared. */
export function settingsOf(
  { entry, options }: Pick<LoadedModel, 'entry' | 'options'>,
  { size, ...preparation }: Preprocessing,
): Record<string, unknown> {
  const { width = null, stemStride = 2 } = options;
  const variant = variantOf(options);
  return {
    ...{ model: entry.name, width, stemStride },
    variant: Object.keys(variant).length > 0 ? variant : null,
    ...{ inputSize: size, ...preparation },
  };
}

/**
 * Puts the weights of a file into a network for other classes: all but the last layer, which is only taken over when the classes are the same.
 *
 * @throws GhostkitError when the network is another than the weights are of: its features would be others.
 */
export function transferWeights({ model, labels, options }: TrainedModel, from: LoadedModel): void {
  const [variant, theirs] = [options, from.options].map(variantOf);
  if (!isDeepStrictEqual(variant, theirs)) {
    throw new GhostkitError(`variant: these weights need ${JSON.stringify(theirs)}, got ${JSON.stringify(variant)}`);
  }
  const isHead = headOf(model);
  const same = from.labels?.length === labels.length && labels.every((label, i) => label === from.labels?.[i]);
  const state = from.model.state();
  const shapes = new Map([...model.stateShapes()].filter(([name]) => same || !isHead(name)));
  model.assign(loadState(shapes, new Map([...state].filter(([name]) => shapes.has(name)))));
}
