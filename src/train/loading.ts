import type { Augmentation } from '../data/augment/augmentation.js';
import { parseRandAugment } from '../data/augment/rand-augment.js';
import type { LoadingOptions } from '../data/loader/loader.js';
import type { Preprocessing } from '../data/transform.js';
import type { TrainConfig } from './config.js';

/** How pictures are prepared for evaluation. */
export function preprocessingOf({ inputSize, cropRatio, interpolation, mean, std }: TrainConfig): Preprocessing {
  return { size: inputSize, cropRatio, interpolation, mean, std };
}

function augmentationOf({ augmentation }: TrainConfig): Augmentation {
  const { crop, flip, randAugment, colorJitter, erasing } = augmentation;
  return {
    crop,
    flip,
    ...(randAugment !== null && { randAugment: parseRandAugment(randAugment) }),
    ...(colorJitter && { colorJitter }),
    ...(erasing && { erasing }),
  };
}

/** The share of a picture's short side that training keeps beyond what the network sees, when larger pictures are shrunk. */
const SPARE = 2;

/** A loader's options for training; with `mixing: false` for the epochs at the end that go without. */
export function trainLoading(config: TrainConfig, { mixing = true } = {}): LoadingOptions {
  const { batchSize, seed, workers, cacheMB, inputSize, labelSmoothing } = config;
  return {
    batchSize,
    preprocessing: preprocessingOf(config),
    mode: 'train',
    augmentation: augmentationOf(config),
    ...(mixing && config.mixing && { mixing: config.mixing, smoothing: labelSmoothing }),
    seed,
    shortSide: SPARE * inputSize,
    workers,
    cacheBytes: cacheMB * 1e6,
  };
}

/** A loader's options for evaluation, which sees exact pixels. */
export function evalLoading(config: TrainConfig, batchSize = config.batchSize): LoadingOptions {
  const { workers, cacheMB } = config;
  // A fourth of the memory: evaluation sets are small beside those for training.
  return { batchSize, preprocessing: preprocessingOf(config), mode: 'eval', workers, cacheBytes: (cacheMB / 4) * 1e6 };
}
