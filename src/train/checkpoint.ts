import { z } from 'zod';
import { writeFileAtomic } from '../formats/atomic.js';
import { readRegular } from '../formats/files.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import type { FloatTensor } from '../tensor/tensor.js';
import { trainConfigSchema } from './config.js';

/** Where a checkpoint says how far the training is: a file that has it is one to go on from, not one to predict with. */
export const TRAINING_KEY = 'ghostkit.training';

/** The complaint about a checkpoint of a training where a network is wanted. */
export const NOT_A_NETWORK = 'this is a training to go on from; the network is in best.safetensors beside it';

const best = z.strictObject({
  epoch: z.int().min(0),
  which: z.enum(['weights', 'average']),
  top1: z.number(),
  top5: z.number(),
  loss: z.number(),
});

/** How far a training is. Nothing random is in it: order, augmentation and dropout follow from the seed and these numbers. */
const progress = z.strictObject({
  version: z.literal(1),
  config: trainConfigSchema,
  classes: z.array(z.string()),
  /** Pictures to train on: with others the order would be another. */
  pictures: z.int().min(1),
  /** A digest of their names and labels, and of those for validation. */
  names: z.string().optional(),
  /** The epoch to go on with, and how many of its batches are done. */
  epoch: z.int().min(0),
  batch: z.int().min(0),
  /** The number of the stage that the arrays belong to, and the steps it has made. */
  stage: z.int().min(0),
  steps: z.int().min(0),
  /** Of the epoch that is under way: summed over its pictures. */
  sums: z.strictObject({ loss: z.number(), correct: z.number(), seconds: z.number() }),
  /** The best evaluation so far. */
  best: best.nullable(),
});

/** The best evaluation of a training: of which epoch, and whether of the weights or of their average. */
export type Best = z.infer<typeof best>;

/** How far a training is, as a checkpoint says it. */
export type TrainingProgress = Omit<z.infer<typeof progress>, 'version'>;

/** A training to go on from. */
export interface TrainingCheckpoint {
  readonly progress: TrainingProgress;
  /** See `TrainingStep.state`. */
  readonly tensors: ReadonlyMap<string, FloatTensor>;
}

/** Writes a checkpoint whole or not at all. */
export async function writeTrainingCheckpoint(path: string, { progress, tensors }: TrainingCheckpoint): Promise<void> {
  const metadata = { [TRAINING_KEY]: JSON.stringify({ version: 1, ...progress }) };
  await writeFileAtomic(path, writeSafetensors(tensors, { metadata }));
}

/**
 * Reads a checkpoint; undefined when there is none.
 *
 * @throws GhostkitError that begins with the path when it is something else.
 */
export async function readTrainingCheckpoint(path: string): Promise<TrainingCheckpoint | undefined> {
  const fail = (what: string, cause?: unknown): never => {
    throw new GhostkitError(`${printable(path, 500)}: ${what}`, { cause });
  };
  let bytes: Uint8Array;
  try {
    bytes = await readRegular(path, 'models');
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    return fail(messageOf(error), error);
  }
  let file: ReturnType<typeof readSafetensors>;
  try {
    file = readSafetensors(bytes);
  } catch (error) {
    return fail(messageOf(error), error);
  }
  const text = file.metadata[TRAINING_KEY];
  if (text === undefined) return fail('this is no checkpoint of a training, which is called last.safetensors');
  try {
    const { version: _, ...parsed } = progress.parse(JSON.parse(text));
    return { progress: parsed, tensors: file.tensors as Map<string, FloatTensor> };
  } catch (error) {
    return fail('this checkpoint is of another version of ghostkit, or damaged', error);
  }
}
