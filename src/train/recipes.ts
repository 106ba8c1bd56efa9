import { IMAGENET } from '../data/transform.js';
import type { TrainConfig } from './config.js';

/** What is not said otherwise: a small network on a folder of photographs. */
export const DEFAULTS: TrainConfig = {
  model: 'repghostnet_050',
  width: null,
  stemStride: 2,
  variant: null,
  dropout: 0.2,
  data: null,
  validationShare: 0.1,
  shrinkTo: 'auto',
  perClass: null,
  inputSize: 128,
  evalSize: null,
  progressive: null,
  cropRatio: IMAGENET.cropRatio,
  interpolation: 'bicubic',
  mean: [...IMAGENET.mean],
  std: [...IMAGENET.std],
  augmentation: {
    crop: { kind: 'resized', scale: [0.25, 1], ratio: [3 / 4, 4 / 3], interpolation: 'bilinear' },
    flip: 0.5,
    randAugment: null,
    colorJitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0 },
    erasing: null,
  },
  mixing: null,
  labelSmoothing: 0.1,
  epochs: 30,
  batchSize: 32,
  accumulate: 1,
  optimizer: { kind: 'sgd', lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 5e-5, decayNormAndBias: false },
  schedule: { kind: 'cosine', per: 'step', minLr: 0, warmupEpochs: 1, warmupLr: 1e-4, warmupFirst: false },
  clipNorm: null,
  emaDecay: 0.998,
  evaluateEvery: 1,
  finetune: null,
  seed: 0,
  threads: 1,
  workers: 1,
  cacheMB: 2048,
  saveEverySteps: null,
  saveEverySeconds: 300,
  recipe: null,
  output: 'runs/train',
  resume: false,
};

/** ImageNet's usual augmentation, which both papers have: Inception's crop, a flip, colours by 40 %. */
const IMAGENET_AUGMENTATION: TrainConfig['augmentation'] & { readonly crop: { readonly kind: 'resized' } } = {
  crop: { kind: 'resized', scale: [0.08, 1], ratio: [3 / 4, 4 / 3], interpolation: 'random' },
  flip: 0.5,
  randAugment: null,
  colorJitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0 },
  erasing: { probability: 0.2, mode: 'pixel', area: [0.02, 1 / 3] },
};

/**
 * The RepGhost repository's train.sh and args.yaml for its small models (up to 1.11x): eight processes of 128 pictures, timm 0.6.7, whose
 * `sgd` is Nesterov's and whose cosine goes by epochs, under the warm-up.
 */
const REPGHOSTNET: Partial<TrainConfig> = {
  model: 'repghostnet_100',
  dropout: 0.2,
  shrinkTo: null,
  inputSize: 224,
  cropRatio: 0.875,
  interpolation: 'bicubic',
  augmentation: IMAGENET_AUGMENTATION,
  mixing: null,
  labelSmoothing: 0.1,
  epochs: 300,
  batchSize: 1024,
  optimizer: { kind: 'sgd', lr: 0.6, momentum: 0.9, nesterov: true, weightDecay: 1e-5, decayNormAndBias: false },
  schedule: { kind: 'cosine', per: 'epoch', minLr: 1e-5, warmupEpochs: 5, warmupLr: 1e-4, warmupFirst: false },
  emaDecay: 0.9999,
  seed: 42,
};

/** A recipe and where its numbers are from. */
export interface Recipe {
  readonly summary: string;
  readonly config: Partial<TrainConfig>;
}

/** Trainings by name. */
export const RECIPES: Readonly<Record<string, Recipe>> = {
  'repghostnet-imagenet': {
    summary: "RepGhostNet up to 1.11x on ImageNet, as the authors' train.sh",
    config: REPGHOSTNET,
  },
  'repghostnet-imagenet-large': {
    summary:
      "RepGhostNet from 1.3x on ImageNet, as the authors' train.sh: with RandAugment, which takes the place of the colour jitter",
    config: {
      ...REPGHOSTNET,
      model: 'repghostnet_130',
      augmentation: { ...IMAGENET_AUGMENTATION, randAugment: 'rand-m9-mstd0.5', colorJitter: null },
    },
  },
  // The GhostNet paper (section 4.2.2) gives the rate, the batch, and "most of the settings of ShuffleNet", from which the weight decay
  // is; its code has the dropout. No training code was published: epochs, warm-up and cosine are what the authors answered to questions.
  'ghostnet-imagenet': {
    summary: 'GhostNet on ImageNet, after the paper and what its authors added in answers',
    config: {
      model: 'ghostnet_100',
      dropout: 0.2,
      shrinkTo: null,
      inputSize: 224,
      cropRatio: 0.875,
      interpolation: 'bilinear',
      augmentation: {
        ...IMAGENET_AUGMENTATION,
        crop: { ...IMAGENET_AUGMENTATION.crop, interpolation: 'bicubic' },
        erasing: null,
      },
      mixing: null,
      labelSmoothing: 0.1,
      epochs: 400,
      batchSize: 1024,
      optimizer: { kind: 'sgd', lr: 0.4, momentum: 0.9, nesterov: false, weightDecay: 4e-5, decayNormAndBias: false },
      schedule: { kind: 'cosine', per: 'step', minLr: 0, warmupEpochs: 5, warmupLr: 0, warmupFirst: true },
      emaDecay: null,
    },
  },
  'tiny-imagenet': {
    summary: 'a small network on Tiny-ImageNet-200: at 48 pixels, to be fine-tuned at its 64',
    config: {
      model: 'repghostnet_050',
      stemStride: 1,
      dropout: 0.1,
      shrinkTo: null,
      inputSize: 48,
      evalSize: 64,
      cropRatio: 1,
      interpolation: 'bilinear',
      augmentation: {
        crop: { kind: 'resized', scale: [0.35, 1], ratio: [3 / 4, 4 / 3], interpolation: 'bilinear' },
        flip: 0.5,
        randAugment: null,
        colorJitter: null,
        erasing: null,
      },
      mixing: null,
      labelSmoothing: 0.1,
      epochs: 20,
      batchSize: 128,
      optimizer: { kind: 'sgd', lr: 0.2, momentum: 0.9, nesterov: true, weightDecay: 5e-5, decayNormAndBias: false },
      schedule: { kind: 'cosine', per: 'step', minLr: 0, warmupEpochs: 1, warmupLr: 1e-3, warmupFirst: false },
      emaDecay: 0.999,
    },
  },
  cifar10: {
    summary: 'a small network on CIFAR-10 at its 32 pixels',
    config: {
      model: 'repghostnet_050',
      stemStride: 1,
      dropout: 0.1,
      shrinkTo: null,
      inputSize: 32,
      cropRatio: 1,
      interpolation: 'bilinear',
      mean: [0.4914, 0.4822, 0.4465],
      std: [0.247, 0.2435, 0.2616],
      augmentation: {
        crop: { kind: 'padded', padding: 4 },
        flip: 0.5,
        randAugment: null,
        colorJitter: null,
        erasing: null,
      },
      mixing: null,
      labelSmoothing: 0.1,
      epochs: 30,
      batchSize: 128,
      optimizer: { kind: 'sgd', lr: 0.2, momentum: 0.9, nesterov: true, weightDecay: 5e-4, decayNormAndBias: false },
      schedule: { kind: 'cosine', per: 'step', minLr: 0, warmupEpochs: 2, warmupLr: 1e-3, warmupFirst: false },
      emaDecay: 0.999,
    },
  },
  finetune: {
    summary: 'weights that are there, on a folder of other classes',
    config: {
      dropout: 0.1,
      shrinkTo: 'auto',
      augmentation: {
        crop: { kind: 'resized', scale: [0.4, 1], ratio: [3 / 4, 4 / 3], interpolation: 'bilinear' },
        flip: 0.5,
        randAugment: null,
        colorJitter: { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0 },
        erasing: null,
      },
      epochs: 20,
      optimizer: { kind: 'sgd', lr: 0.02, momentum: 0.9, nesterov: true, weightDecay: 5e-5, decayNormAndBias: false },
      schedule: { kind: 'cosine', per: 'step', minLr: 0, warmupEpochs: 1, warmupLr: 1e-4, warmupFirst: false },
    },
  },
};
