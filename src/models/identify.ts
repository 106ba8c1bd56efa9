import { z } from 'zod';
import type { Checkpoint } from '../formats/checkpoint.js';
import { loadState } from '../formats/checkpoint.js';
import { parseJson } from '../formats/json.js';
import { labelsIn, labelsMetadata, METADATA } from '../formats/metadata.js';
import { printable } from '../formats/text.js';
import type { Classifier } from '../nn/trace.js';
import { GhostkitError } from '../tensor/error.js';
import { type Shape, sameShape, type Tensor } from '../tensor/tensor.js';
import { emptyDeployed } from './deployed.js';
import { ImportedModel } from './imported.js';
import { createModel, findModel, listModels, type ModelEntry, type ModelOptions, remapKeys } from './registry.js';

export type Form = 'training' | 'deploy';

/** What a file may say of its model: it is a stranger's, so it is checked, and no number in it can ask for much memory. */
export const STORED_OPTIONS = z.strictObject({
  width: z.number().positive().max(10).optional(),
  reparam: z.enum(['bn', 'identity', 'bn+identity', 'none', 'merged']).optional(),
  epsilon: z.number().positive().max(1).optional(),
  stemStride: z.int().min(1).max(8).optional(),
  shortcut: z.boolean().optional(),
  squeezeExcite: z.boolean().optional(),
});

type State = ReadonlyMap<string, Tensor>;
type Metadata = Readonly<Record<string, string>>;

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

/** How a model is called whose width need not be its entry's. */
export function titleOf({ entry, options }: Pick<Guess, 'entry' | 'options'>): string {
  const { width = entry.width } = options;
  // An imported network is called what its file says.
  return width === entry.width ? printable(entry.name) : `${entry.family} at width ${width}`;
}

/** The classes and input channels that a state dict was made for, by its last and first weights. */
function ends(model: Classifier, state: State): { classes?: number; inChannels?: number } {
  const keys = [...model.stateShapes().keys()];
  // A shape without elements costs a file nothing, so what it claims is not believed.
  const shapeOf = (key = '') => (state.get(key)?.data.length ? state.get(key)?.shape : undefined);
  const first = shapeOf(keys[0]);
  const last = shapeOf(keys.findLast((key) => key.endsWith('.weight')));
  return {
    ...(last?.length === 2 && { classes: last[0] }),
    ...(first?.length === 4 && { inChannels: first[1] }),
  };
}

const isCounter = (key: string) => key.endsWith('num_batches_tracked');

const keysOf = (state: ReadonlyMap<string, unknown>) => [...state.keys()].filter((key) => !isCounter(key));

function sameKeys(expected: ReadonlyMap<string, Shape>, state: State): boolean {
  const keys = keysOf(state);
  return keys.length === keysOf(expected).length && keys.every((key) => expected.has(key));
}

function fits(expected: ReadonlyMap<string, Shape>, state: State): boolean {
  return (
    sameKeys(expected, state) &&
    keysOf(state).every((key) => sameShape(expected.get(key) as Shape, state.get(key)?.shape as Shape))
  );
}

/** The network of a guess, for the classes and channels of a state dict, and that state dict under its keys. */
export function modelFor({ entry, options, form }: Guess, state: State): { model: Classifier; state: State } {
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

/** Whether a state dict is of a guess: `fits`, or with the keys alone, `sameKeys`. */
function isOf(guess: Guess, state: State, matches = fits): boolean {
  const { model, state: remapped } = modelFor(guess, state);
  return matches(model.stateShapes(), remapped);
}

const formIn = (metadata: Metadata): Form => (metadata[METADATA.form] === 'deploy' ? 'deploy' : 'training');

/** No network here has a tenth of it: what a file has more than that is not looked through. */
const MOST_TENSORS = 10_000;

/**
 * The widths that the widest convolution whose width differs leaves possible, roundest first. Channels are rounded to multiples, so
 * several widths make the same network, and what a layer of some hundred channels tells is off by less than a hundredth.
 */
function widthsOf(guess: Guess, state: State): number[] {
  const { model, state: remapped } = modelFor(guess, state);
  let widest = 0;
  let width = 1;
  for (const [key, [channels, ...rest]] of model.stateShapes()) {
    const got = remapped.get(key)?.shape[0] ?? channels;
    if (rest.length !== 3 || got === channels || channels <= widest) continue;
    widest = channels;
    width = got / channels;
  }
  const near = (steps: number) =>
    Array.from({ length: 17 }, (_, i) => Math.round(width * steps) + i - 8)
      .map((n) => n / steps)
      .filter((w) => w > 0 && Math.abs(w - width) <= 0.01);
  return [...new Set([20, 100, 1000].flatMap(near))];
}

/** The network that a file names, if there is one of that name. */
function entryIn(metadata: Metadata): ModelEntry | undefined {
  const named = metadata[METADATA.model];
  return named === undefined ? undefined : listModels({ all: true }).find(({ name }) => name === named);
}

/** Which registered network a state dict is of, of another width if need be; undefined if of none. */
export function guessModel(state: State, metadata: Metadata = {}): Guess | undefined {
  if (state.size > MOST_TENSORS) return undefined;
  const form = formIn(metadata);
  const entry = entryIn(metadata);
  if (entry) return { entry, options: optionsIn(metadata), form };
  // The options of a network that is not known here belong to no other, though its weights may fit one: a stride leaves no trace in shapes.
  if (form === 'deploy' || metadata[METADATA.options] !== undefined) return undefined;
  const candidates = listModels({ all: true }).flatMap((entry) => guessesOf(entry, form, state));
  const exact = candidates.find((guess) => isOf(guess, state));
  if (exact) return exact;
  const families = candidates.filter((guess) => guess.entry.width === 1 && isOf(guess, state, sameKeys));
  return families
    .flatMap((guess) => widthsOf(guess, state).map((width) => ({ ...guess, options: { ...guess.options, width } })))
    .find((guess) => isOf(guess, state));
}

const guessesOf = (entry: ModelEntry, form: Form, state: State): Guess[] =>
  variantsOf(entry, state).map((options) => ({ entry, options, form }));

function optionsIn(metadata: Metadata): ModelOptions {
  try {
    return STORED_OPTIONS.parse(parseJson(metadata[METADATA.options] ?? '{}'));
  } catch {
    throw new GhostkitError(`the metadata ${METADATA.options} is not valid`);
  }
}

/**
 * What a file of `model` says, so that {@link identify} needs no name for it. Of the options those that no shape tells as surely: classes
 * and input channels are told by the weights, and dropout is a matter of training.
 */
export function metadataOf({ entry, options, form, labels }: Guess & { labels?: readonly string[] }): Metadata {
  const stored = Object.entries(options).filter(
    ([key, value]) => Object.hasOwn(STORED_OPTIONS.shape, key) && value !== undefined,
  );
  return {
    [METADATA.model]: entry.name,
    [METADATA.form]: form,
    ...(stored.length > 0 && { [METADATA.options]: JSON.stringify(Object.fromEntries(stored)) }),
    ...(labels && labelsMetadata(labels)),
  };
}

/**
 * The network that a checkpoint's weights are of, with them: the one named, else what the file says or its shapes tell, else
 * undefined.
 *
 * @throws GhostkitError when the weights are not those of the named network; it says of which they are, if of a known one.
 */
export function identify(checkpoint: Checkpoint, name?: string): LoadedModel | undefined {
  const entry = name === undefined ? undefined : findModel(name);
  const { state, metadata } = checkpoint;
  if (!entry && metadata[METADATA.graph] !== undefined) return restoreImported(checkpoint);
  const guess = guessModel(state, metadata);
  // What the file says of the same network holds too: a stride leaves no trace in the shapes.
  const agrees = guess && guess.entry.name === entry?.name && isOf(guess, state);
  const chosen = entry && !agrees ? guessFor(entry, state, metadata) : guess;
  if (!chosen) {
    checkNamed(metadata);
    return undefined;
  }
  const { model, state: remapped } = modelFor(chosen, state);
  const hint = guess && titleOf(guess) !== titleOf(chosen) ? `these are the weights of ${titleOf(guess)}` : undefined;
  model.assign(loadState(model.stateShapes(), remapped, { hint }));
  return { ...chosen, model, checkpoint, labels: labelsIn(metadata, model.numClasses) };
}

/** Throws a {@link GhostkitError} for a file with options of a network that it does not name, or not as one that there is. */
function checkNamed(metadata: Metadata): void {
  if (metadata[METADATA.options] === undefined) return;
  const named = metadata[METADATA.model];
  throw new GhostkitError(
    named === undefined
      ? `the metadata ${METADATA.options} is of a network that is not named; name it`
      : `the metadata ${METADATA.model} is ${printable(named)}, a network that ghostkit does not know; name the one that it is`,
  );
}

/** The network whose structure a file has beside its weights, as ghostkit saves what it read from an ONNX file. */
function restoreImported(checkpoint: Checkpoint): LoadedModel {
  const { state, metadata } = checkpoint;
  const restored = ImportedModel.restoreText(metadata[METADATA.graph]);
  const form = formIn(metadata);
  const model = form === 'deploy' ? emptyDeployed(restored) : restored;
  model.assign(loadState(model.stateShapes(), state));
  const entry = importedEntry(metadata[METADATA.model] ?? restored.title, restored);
  return { entry, options: {}, form, model, checkpoint, labels: labelsIn(metadata, model.numClasses) };
}

/** A network that was read from a file that describes it, with what a registered one has beside it. */
export function loadedFrom(name: string, model: ImportedModel): LoadedModel {
  const metadata = { ...model.metadata, [METADATA.graph]: model.structureText() };
  const checkpoint: Checkpoint = {
    state: model.state(),
    metadata,
    source: 'root',
    format: 'onnx',
    storedTypes: [...model.stateShapes().keys()].map(() => 'float32'),
  };
  const labels = labelsIn(metadata, model.numClasses);
  return { entry: importedEntry(name, model), options: {}, form: 'training', model, checkpoint, labels };
}

function importedEntry(name: string, model: ImportedModel): ModelEntry {
  return { name, family: 'imported', width: 1, aliases: [], create: () => model };
}

/** The named model, in the variant that fits if there is one; first as the file says, where that says of no other network. */
function guessFor(entry: ModelEntry, state: State, metadata: Metadata): Guess {
  const form = formIn(metadata);
  const isOfAnother = metadata[METADATA.options] === undefined || entryIn(metadata) !== undefined;
  const stored = isOfAnother ? [] : [{ entry, options: optionsIn(metadata), form }];
  const guesses = [...stored, ...guessesOf(entry, form, state)];
  return guesses.find((guess) => isOf(guess, state)) ?? guesses[0];
}
