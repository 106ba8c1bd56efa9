import { z } from 'zod';
import { parseRandAugment } from '../data/augment/rand-augment.js';
import { messageOf } from '../formats/text.js';
import { STORED_OPTIONS } from '../models/identify.js';

// The settings of a training. Every one is there in a resolved configuration; the defaults and the recipes are in recipes.ts.

/** Side in pixels: no more than what the file of a network may say of its pictures, see `checkPreprocessing`. */
const side = z.int().min(8).max(4096);
const positive = z.number().positive();
const share = z.number().min(0).max(1);
const count = z.int().min(1);
const range = z
  .tuple([positive, positive])
  .refine(([low, high]) => low <= high, { error: 'the first number must not be above the second' });
const rgb = z.tuple([z.number(), z.number(), z.number()]);

const decay = {
  /** The highest learning rate, for the whole batch (with `accumulate`, for all that is accumulated). */
  lr: positive,
  weightDecay: z.number().min(0).default(0),
  /** Whether biases and normalisation parameters (everything of one dimension) decay too. */
  decayNormAndBias: z.boolean().default(false),
};

const optimizer = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('sgd'),
      momentum: z.number().min(0).lt(1).default(0.9),
      nesterov: z.boolean().default(true),
      ...decay,
    })
    .refine(({ momentum, nesterov }) => momentum > 0 || !nesterov, {
      error: "Nesterov's method needs a momentum above 0",
    }),
  z.strictObject({
    kind: z.literal('adamw'),
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.999]),
    eps: positive.default(1e-8),
    ...decay,
  }),
]);

const per = z.enum(['epoch', 'step']).default('step');
const warmup = {
  per,
  warmupEpochs: z.number().min(0).default(0),
  warmupLr: z.number().min(0).default(0),
  warmupFirst: z.boolean().default(false),
};
const minLr = z.number().min(0).default(0);

/** See `Schedule` in schedule.ts. */
const schedule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('constant'), ...warmup }),
  z.strictObject({ kind: z.literal('cosine'), minLr, ...warmup }),
  z.strictObject({ kind: z.literal('linear'), minLr, ...warmup }),
  z
    .strictObject({
      kind: z.literal('step'),
      gamma: positive.default(0.1),
      every: positive.optional(),
      at: z.array(positive).optional(),
      ...warmup,
    })
    .refine(({ every, at }) => (every === undefined) !== (at === undefined), { error: 'give either every or at' }),
  z.strictObject({
    kind: z.literal('one-cycle'),
    per,
    rise: z.number().gt(0).lt(1).default(0.3),
    startDivisor: z.number().min(1).default(25),
    endDivisor: z.number().min(1).default(1e4),
    anneal: z.enum(['cosine', 'linear']).default('cosine'),
  }),
]);

const interpolation = z.enum(['bilinear', 'bicubic']);

const augmentation = z.strictObject({
  crop: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('resized'),
      /** Area of the cut as a share of the picture's, from and to. */
      scale: range.refine(([, high]) => high <= 1, { error: 'a share of the picture is at most 1' }),
      /** Width over height, from and to. */
      ratio: range,
      interpolation: z.enum(['bilinear', 'bicubic', 'random']),
    }),
    z.strictObject({ kind: z.literal('padded'), padding: z.int().min(0) }),
    z.strictObject({ kind: z.literal('center') }),
  ]),
  /** Probability of a mirrored picture. */
  flip: share,
  /** RandAugment in timm's notation, as `rand-m9-mstd0.5`; null for none. */
  randAugment: z
    .string()
    .superRefine((text, context) => {
      try {
        parseRandAugment(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
      }
    })
    .nullable(),
  /** How far each may go: factors in 1 ± the number, the hue in ± turns; null for none. */
  colorJitter: z
    .strictObject({
      brightness: z.number().min(0).default(0),
      contrast: z.number().min(0).default(0),
      saturation: z.number().min(0).default(0),
      hue: z.number().min(0).max(0.5).default(0),
    })
    .nullable(),
  /** A rectangle of noise (`pixel`), of one colour or of the mean (`zero`); null for none. */
  erasing: z
    .strictObject({
      probability: share.default(0.2),
      mode: z.enum(['pixel', 'color', 'zero']).default('pixel'),
      area: range
        .refine(([, high]) => high <= 1, { error: 'a share of the picture is at most 1' })
        .default([0.02, 1 / 3]),
    })
    .nullable(),
});

/** The settings of a training, each with its check. */
export const trainConfigSchema = z.strictObject({
  /** A registered model, as `repghostnet_050`. */
  model: z.string().min(1),
  /** Another width multiplier than the one in the model's name; null for that. */
  width: positive.max(10).nullable(),
  /** Stride of the first convolution: 1 keeps more of small pictures. */
  stemStride: z.literal([1, 2]),
  /**
   * What else the network has that its name does not say; null for nothing. Fine-tuning takes it from the weights' file: timm's MobileNetV3
   * has another epsilon in its batch norms than the paper's.
   */
  variant: STORED_OPTIONS.omit({ width: true, stemStride: true }).nullable().default(null),
  /** Share of the features dropped before the classifier. */
  dropout: z.number().min(0).lt(1),

  /** A folder or a tar file; null until it is given. */
  data: z.string().min(1).nullable(),
  /** Share of each class that is held out for validation where the data has none. */
  validationShare: z.number().gt(0).lt(1),
  /**
   * Larger training pictures are shrunk to this short side, in pixels, when they are decoded; `auto` for what the network needs, so that
   * the smallest cut of a square picture has as many pixels as it sees; null for never.
   */
  shrinkTo: z.union([count, z.literal('auto')], { error: 'expected a whole number, auto or null' }).nullable(),
  /** At most so many training pictures of each class; null for all. */
  perClass: count.nullable(),

  /** Side in pixels of what the network sees. */
  inputSize: side,
  /**
   * Side in pixels of what the trained network is evaluated and used with; null for `inputSize`. A cut of a part of a picture shows things
   * larger than the whole picture does, so a network can be trained with fewer pixels than it is used with, and is trained sooner; some
   * steps with all of them at the end make up for the difference (Touvron et al. 2019, sections 3 and 4).
   */
  evalSize: side.nullable(),
  /**
   * Smaller sizes to begin with, each up to an epoch (not included), in their order; null for `inputSize` from the start. Early epochs teach
   * a network much the same with fewer pixels, in a fraction of the time (progressive learning: Tan and Le 2021, EfficientNetV2, section 4).
   */
  progressive: z
    .array(z.strictObject({ until: count, inputSize: side }))
    .min(1)
    .refine((sizes) => sizes.every(({ until }, i) => i === 0 || until > sizes[i - 1].until), {
      error: 'each size must be used until a later epoch than the one before it',
    })
    .nullable()
    .default(null),
  /** How pictures are cut for evaluation: that size over the short side of the resized picture. */
  cropRatio: z.number().gt(0).max(1),
  interpolation,
  /** Per channel, of pixels in 0 to 1. */
  mean: rgb,
  std: z.tuple([positive, positive, positive]),
  augmentation,
  /** Mixup and CutMix; null for neither. */
  mixing: z
    .strictObject({
      mixup: z.number().min(0).default(0),
      cutmix: z.number().min(0).default(0),
      probability: share.default(1),
      switchProbability: share.default(0.5),
      /** Epochs at the end without mixing. */
      offEpochs: z.int().min(0).default(0),
    })
    .nullable(),
  labelSmoothing: z.number().min(0).lt(1),

  epochs: count,
  /** Pictures in a step of the program; with `accumulate` the gradients of so many steps make one update. */
  batchSize: count,
  accumulate: count,
  optimizer,
  schedule,
  /** Gradients whose common norm is above are scaled down to it; null for never. */
  clipNorm: positive.nullable(),
  /**
   * Decay of the weights' moving average, per update; null for none. In a short training less, so that the average looks back over a tenth of
   * it at most.
   */
  emaDecay: z.number().gt(0).lt(1).nullable(),

  /** Evaluates behind every so many epochs, and behind the last. */
  evaluateEvery: count,
  /** Starts from weights that are there instead of from nothing; null for the latter. */
  finetune: z
    .strictObject({
      /** A file of weights in training form. */
      weights: z.string().min(1),
      /** The first of the epochs, in which only the new classifier learns. */
      headEpochs: z.int().min(0).default(3),
      headLr: positive.default(0.05),
      /** The learning rate of each stage of the network over that of the stage behind it. */
      layerDecay: z.number().gt(0).max(1).default(0.8),
    })
    .nullable(),

  seed: z.int().min(0).max(0xffffffff),
  /** Threads of the network, the first included. */
  threads: z.int().min(1).max(64),
  /** Threads that decode and augment. */
  workers: z.int().min(0).max(64),
  /** Megabytes of decoded pictures that are kept. */
  cacheMB: z.number().min(0),
  /** Steps and seconds between checkpoints within an epoch; null for none. There is one behind every epoch in any case. */
  saveEverySteps: count.nullable(),
  saveEverySeconds: positive.nullable(),
  /** The recipe that this began with; null for none. What it says stands in the other settings. */
  recipe: z.string().nullable().default(null),
  /** Where checkpoints, metrics and the report go. */
  output: z.string().min(1),
  /** Whether to go on from the last checkpoint in `output`. */
  resume: z.boolean(),
});

/** The settings of a training, complete and checked. */
export type TrainConfig = z.infer<typeof trainConfigSchema>;
