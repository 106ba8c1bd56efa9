import type { Augmentation } from '../data/augment/augmentation.js';
import { parseRandAugment } from '../data/augment/rand-augment.js';
import type { LoadingOptions } from '../data/loader/loader.js';
import type { Preprocessing } from '../data/transform.js';
import type { TrainConfig } from './config.js';

/** How pictures are prepared for evaluation, and for all later use. */
export function preprocessingOf({
  inputSize,
  evalSize,
  cropRatio,
  interpolation,
  mean,
  std,
}: TrainConfig): Preprocessing {
  return { size: evalSize ?? inputSize, cropRatio, interpolation, mean, std };
}

/** Side in pixels of what the network sees in an epoch of its training. */
export function inputSizeAt({ progressive, inputSize }: TrainConfig, epoch: number): number {
  return progressive?.find(({ until }) => epoch < until)?.inputSize ?? inputSize;
}

function augmentationOf({ augmentation, inputSize }: TrainConfig, size: number): Augmentation {
  const { crop, flip, randAugment, colorJitter, erasing } = augmentation;
  return {
    // Pixels are those of `inputSize`.
    crop: crop.kind === 'padded' ? { ...crop, padding: Math.round((crop.padding * size) / inputSize) } : crop,
    flip,
    ...(randAugment !== null && { randAugment: parseRandAugment(randAugment) }),
    ...(colorJitter && { colorJitter }),
    ...(erasing && { erasing }),
  };
}

/** The short side that pictures are shrunk to: with `auto` the smallest cut of a square one has as many pixels as the network sees. */
export function shortSideOf({ shrinkTo, augmentation, inputSize, cropRatio }: TrainConfig): number | undefined {
  if (shrinkTo !== 'auto') return shrinkTo ?? undefined;
  const { crop } = augmentation;
  return Math.ceil(crop.kind === 'resized' ? inputSize / Math.sqrt(crop.scale[0]) : inputSize / cropRatio);
}

/** A loader's options for training from an epoch on, as long as the size stays. */
export function trainLoading(config: TrainConfig, epoch = 0): LoadingOptions {
  const size = inputSizeAt(config, epoch);
  const { mixing, epochs, batchSize, seed, workers, cacheMB, labelSmoothing } = config;
  const shortSide = shortSideOf(config);
  return {
    batchSize,
    preprocessing: { ...preprocessingOf(config), size },
    mode: 'train',
    augmentation: augmentationOf(config, size),
    ...(mixing && { mixing, mixUntil: epochs - mixing.offEpochs, smoothing: labelSmoothing }),
    seed,
    ...(shortSide !== undefined && { shortSide }),
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
