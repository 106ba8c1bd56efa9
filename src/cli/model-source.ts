import type { Checkpoint } from '../formats/checkpoint.js';
import { loadState } from '../formats/checkpoint.js';
import { readCheckpoint } from '../formats/checkpoint-file.js';
import { emptyDeployed } from '../models/deployed.js';
import {
  createModel,
  findModel,
  listModels,
  type ModelEntry,
  type ModelOptions,
  remapKeys,
} from '../models/registry.js';
import type { Classifier } from '../nn/trace.js';
import { GhostkitError } from '../tensor/error.js';
import { type Shape, sameShape, type Tensor } from '../tensor/tensor.js';

export type Form = 'training' | 'deploy';

/** What ghostkit writes into the metadata of its own files. */
export const METADATA = {
  model: 'ghostkit.model',
  width: 'ghostkit.width',
  form: 'ghostkit.form',
  labels: 'ghostkit.labels',
} as const;

type State = ReadonlyMap<string, Tensor>;

/** Which network a state dict is of. */
export interface Guess {
  readonly entry: ModelEntry;
  /** As {@link createModel} takes them, the width too where it is not the entry's. */
  readonly options: ModelOptions;
  readonly form: Form;
}

export interface LoadedModel extends Guess {
  readonly model: Classifier;
  readonly checkpoint: Checkpoint;
  /** The names of the classes, when the file has them. */
  readonly labels?: readonly string[];
}

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

/** How a model is called whose width need not be its entry's. */
export function titleOf({ entry, options }: Pick<Guess, 'entry' | 'options'>): string {
  const { width = entry.width } = options;
  return width === entry.width ? entry.name : `${entry.family} at width ${width}`;
}

/** The classes and input channels that a state dict was made for, by its last and first weights. */
function ends(model: Classifier, state: State): { classes?: number; inChannels?: number } {
  const keys = [...model.stateShapes().keys()];
  const first = state.get(keys[0])?.shape;
  const last = state.get(keys.findLast((key) => key.endsWith('.weight')) ?? '')?.shape;
  return {
    ...(last?.length === 2 && { classes: last[0] }),
    ...(first?.length === 4 && { inChannels: first[1] }),
  };
}

const isCounter = (key: string) => key.endsWith('num_batches_tracked');

function fits(expected: ReadonlyMap<string, Shape>, state: State): boolean {
  const keys = [...state.keys()].filter((key) => !isCounter(key));
  return (
    keys.length === [...expected.keys()].filter((key) => !isCounter(key)).length &&
    keys.every((key) => sameShape(expected.get(key) ?? [-1], state.get(key)?.shape ?? []))
  );
}

/** The network of an entry, for the classes and channels of a state dict. */
function modelFor({ entry, options, form }: Guess, state: State): { model: Classifier; state: State } {
  const create = (ends: ModelOptions) => createModel(entry.name, { ...options, ...ends });
  const remapped = form === 'deploy' ? state : remapKeys(entry.name, state);
  const model = create(ends(create({}), remapped));
  return { model: form === 'deploy' ? emptyDeployed(model) : model, state: remapped };
}

/** What an entry may look like in a file, beside its own form. */
function variantsOf(entry: ModelEntry, state: State): ModelOptions[] {
  // Official checkpoints that were converted for inference have one convolution in place of a RepGhost module's branches.
  if (entry.family === 'repghostnet') return [{}, { reparam: 'merged' }];
  // timm trained its MobileNetV3s with another epsilon than their paper's authors; its first key tells them apart.
  if (entry.family === 'mobilenetv3' && state.has('conv_stem.weight')) return [{ epsilon: 1e-5 }];
  return [{}];
}

function isOf(guess: Guess, state: State): boolean {
  const { model, state: remapped } = modelFor(guess, state);
  return fits(model.stateShapes(), remapped);
}

const formIn = (metadata: Readonly<Record<string, string>>): Form =>
  metadata[METADATA.form] === 'deploy' ? 'deploy' : 'training';

const WIDTHS = Array.from({ length: 60 }, (_, i) => (i + 1) / 20);

/** Which registered network a state dict is of, of another width if need be; undefined if of none. */
export function guessModel(state: State, metadata: Readonly<Record<string, string>> = {}): Guess | undefined {
  const form = formIn(metadata);
  const named = metadata[METADATA.model];
  if (named && isModelName(named)) {
    const entry = findModel(named);
    const width = Number(metadata[METADATA.width] ?? entry.width);
    return { entry, options: width > 0 && width !== entry.width ? { width } : {}, form };
  }
  if (form === 'deploy') return undefined;
  const candidates = listModels().flatMap((entry) => guessesOf(entry, form, state));
  const exact = candidates.find((guess) => isOf(guess, state));
  if (exact) return exact;
  const families = candidates.filter(({ entry }) => entry.width === 1);
  return families
    .flatMap((guess) => WIDTHS.map((width) => ({ ...guess, options: { ...guess.options, width } })))
    .find((guess) => isOf(guess, state));
}

const guessesOf = (entry: ModelEntry, form: Form, state: State): Guess[] =>
  variantsOf(entry, state).map((options) => ({ entry, options, form }));

function labelsIn(path: string, metadata: Readonly<Record<string, string>>): string[] | undefined {
  const text = metadata[METADATA.labels];
  if (text === undefined) return undefined;
  try {
    const labels: unknown = JSON.parse(text);
    if (Array.isArray(labels) && labels.every((label) => typeof label === 'string')) return labels;
  } catch {
    // Falls through to the message.
  }
  throw new GhostkitError(`${path}: the labels in its metadata are not a JSON list of names`);
}

export interface LoadModelOptions {
  /** The model's name; guessed from the weights when absent. */
  readonly name?: string;
  readonly prefer?: 'ema' | 'model';
}

/**
 * The network whose weights a checkpoint file holds, with them.
 *
 * @throws GhostkitError when the file cannot be read, when the weights are not those of the named model (it says of which
 * they are, if of a known one), or when no name is given and they are of no known model.
 */
export async function loadModel(path: string, { name, prefer }: LoadModelOptions = {}): Promise<LoadedModel> {
  const entry = name === undefined ? undefined : entryFor(name);
  const checkpoint = await readCheckpoint(path, { prefer });
  const { state, metadata } = checkpoint;
  const guess = guessModel(state, metadata);
  const chosen = entry ? guessFor(entry, state, metadata) : guess;
  if (!chosen) throw new GhostkitError(`${path}: these are not the weights of a known model; name it with --model`);
  const { model, state: remapped } = modelFor(chosen, state);
  const hint = guess && guess.entry !== chosen.entry ? `these are the weights of ${titleOf(guess)}` : undefined;
  try {
    model.assign(loadState(model.stateShapes(), remapped, { hint }));
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(`${path}: ${error.message}`, { cause: error });
  }
  return { ...chosen, model, checkpoint, labels: labelsIn(path, metadata) };
}

/** The named model, in the variant that fits if there is one. */
function guessFor(entry: ModelEntry, state: State, metadata: Readonly<Record<string, string>>): Guess {
  const guesses = guessesOf(entry, formIn(metadata), state);
  return guesses.find((guess) => isOf(guess, state)) ?? guesses[0];
}
