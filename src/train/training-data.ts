import { type Dataset, perClass, split } from '../data/dataset.js';
import { openDataset } from '../data/open-dataset.js';
import { GhostkitError } from '../tensor/error.js';
import type { TrainConfig } from './config.js';

/** What a training learns from, and what it is measured on. */
export interface TrainingData {
  readonly train: Dataset;
  readonly val: Dataset;
  /** See `DataSplits`. */
  readonly skippedLinks?: readonly string[];
}

/**
 * The data of a configuration. A set without validation pictures is split; `perClass` thins out what is left for training.
 *
 * @throws GhostkitError in one line when there is no such data, or too little of it.
 */
export async function openTrainingData(config: TrainConfig): Promise<TrainingData> {
  const { data, validationShare, perClass: most, seed } = config;
  if (data === null) throw new GhostkitError('data: name the folder or tar file with the pictures');
  const { train: all, val: given, skippedLinks } = await openDataset(data);
  const [rest, val] = given ? [all, given] : split(all, validationShare, seed);
  if (val.length === 0) throw new GhostkitError(`${data}: too few pictures to hold some out for validation`);
  return { train: most === null ? rest : perClass(rest, most, seed), val, skippedLinks };
}
