import { describe, expect, it } from 'vitest';
import { findModel } from '../../src/models/registry.js';
import { trainConfigSchema } from '../../src/train/config.js';
import { evalLoading, trainLoading } from '../../src/train/loading.js';
import { DEFAULTS, RECIPES } from '../../src/train/recipes.js';
import {
  findRecipe,
  mergeSettings,
  parseConfig,
  parseSettings,
  resolveConfig,
} from '../../src/train/resolve-config.js';

describe('settings of the command line', () => {
  it('that belong together may come in any order', () => {
    const pairs = ['optimizer.kind=adamw', 'optimizer.lr=0.1', 'optimizer.betas=[0.9,0.99]'];
    const wanted = { optimizer: { kind: 'adamw', lr: 0.1, betas: [0.9, 0.99] } };
    expect(parseSettings(pairs)).toEqual(wanted);
    expect(parseSettings(pairs.toReversed())).toEqual(wanted);
    expect(parseSettings(['optimizer={"kind":"sgd","momentum":0}', 'optimizer.kind=adamw'])).toEqual({
      optimizer: { kind: 'adamw' },
    });
  });
});

describe('recipes', () => {
  it.each(Object.keys(RECIPES))('%s is complete, and its model exists', (name) => {
    const config = resolveConfig([{ data: 'pictures' }], name);
    expect(findModel(config.model).name).toBe(config.model);
    expect(trainLoading(config)).toMatchObject({ batchSize: config.batchSize, mode: 'train' });
  });

  it('the defaults are a configuration as they stand', () => {
    expect(trainConfigSchema.parse(DEFAULTS)).toEqual(DEFAULTS);
    expect(resolveConfig([])).toEqual(DEFAULTS);
  });

  it("repghostnet-imagenet has the numbers of the authors' args.yaml", () => {
    expect(resolveConfig([], 'repghostnet-imagenet')).toMatchObject({
      ...{
        batchSize: 8 * 128,
        epochs: 300,
        labelSmoothing: 0.1,
        dropout: 0.2,
        emaDecay: 0.9999,
        seed: 42,
        inputSize: 224,
      },
      optimizer: { kind: 'sgd', lr: 0.6, momentum: 0.9, nesterov: true, weightDecay: 1e-5, decayNormAndBias: false },
      schedule: { kind: 'cosine', per: 'epoch', minLr: 1e-5, warmupEpochs: 5, warmupLr: 1e-4, warmupFirst: false },
      augmentation: {
        crop: { kind: 'resized', scale: [0.08, 1], ratio: [0.75, 1.3333333333333333], interpolation: 'random' },
        ...{ flip: 0.5, randAugment: null },
        colorJitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0 },
        erasing: { probability: 0.2, mode: 'pixel' },
      },
      mixing: null,
    });
    expect(resolveConfig([], 'repghostnet-imagenet-large').augmentation).toMatchObject({
      ...{ randAugment: 'rand-m9-mstd0.5', colorJitter: null },
    });
  });

  it('suggests the nearest', () => {
    expect(() => findRecipe('cifar-10')).toThrow('there is no recipe cifar-10; did you mean cifar10?');
    expect(() => findRecipe('toString')).toThrow('there is no recipe toString; there are repghostnet-imagenet, ');
  });
});

describe('a configuration', () => {
  it('is the defaults, the recipe, a file and flags, the later over the earlier', () => {
    const file = parseConfig('{"recipe": "cifar10", "epochs": 50, "optimizer": {"lr": 0.3}, "mixing": {"cutmix": 1}}');
    const flags = parseSettings(['epochs=60', 'augmentation.erasing.probability=0.3', 'data=my pictures', 'seed=7']);
    const config = resolveConfig([file, flags]);
    expect(config).toMatchObject({
      ...{ epochs: 60, seed: 7, data: 'my pictures', model: 'repghostnet_050', inputSize: 32 },
      optimizer: { kind: 'sgd', lr: 0.3, momentum: 0.9, weightDecay: 5e-4 },
      mixing: { mixup: 0, cutmix: 1, probability: 1, switchProbability: 0.5, offEpochs: 0 },
      augmentation: { erasing: { probability: 0.3, mode: 'pixel' }, crop: { kind: 'padded' } },
    });
    expect(resolveConfig([{ recipe: 'cifar10' }], 'tiny-imagenet').inputSize).toBe(48);
  });

  it('drops the settings of another kind', () => {
    const { schedule, optimizer } = resolveConfig(
      [parseSettings(['schedule.kind=one-cycle', 'optimizer={"kind":"adamw","lr":0.001}'])],
      'cifar10',
    );
    expect(schedule).toEqual({
      ...{ kind: 'one-cycle', per: 'step', rise: 0.3, startDivisor: 25, endDivisor: 1e4, anneal: 'cosine' },
    });
    expect(optimizer).toEqual({
      ...{ kind: 'adamw', lr: 0.001, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, decayNormAndBias: false },
    });
  });

  it.each([
    [{ epoch: 3 }, 'epoch: there is no such setting; did you mean epochs?'],
    [{ batch_size: 3 }, 'batch_size: there is no such setting; did you mean batchSize?'],
    [{ zzz: 3 }, 'zzz: there is no such setting'],
    [{ optimizer: { learningRate: 1 } }, 'optimizer.learningRate: there is no such setting'],
    [{ optimizer: { nesterow: true } }, 'optimizer.nesterow: there is no such setting; did you mean nesterov?'],
    [
      { augmentation: { crop: { scael: [1, 1] } } },
      'augmentation.crop.scael: there is no such setting; did you mean scale?',
    ],
    [{ mixing: { mixpu: 1 } }, 'mixing.mixpu: there is no such setting; did you mean mixup?'],
    [{ epochs: 0 }, 'epochs: expected at least 1, got 0'],
    [{ epochs: 1.5 }, 'epochs: expected a whole number, got 1.5'],
    [{ epochs: 'ten' }, 'epochs: expected a number, got "ten"'],
    [{ optimizer: { lr: 0 } }, 'optimizer.lr: expected more than 0, got 0'],
    [{ dropout: 1 }, 'dropout: expected less than 1, got 1'],
    [{ stemStride: 3 }, 'stemStride: expected 1 or 2, got 3'],
    [{ interpolation: 'nearest' }, 'interpolation: expected bilinear or bicubic, got "nearest"'],
    [{ optimizer: { kind: 'adam' } }, 'optimizer.kind: expected sgd or adamw, got "adam"'],
    [{ augmentation: { crop: { scale: [0.5, 0.2] } } }, 'the first number must not be above the second'],
    [{ augmentation: { crop: { scale: [1] } } }, 'augmentation.crop.scale: expected 2 numbers, got [1]'],
    [{ augmentation: { randAugment: 'rand-x' } }, 'augmentation.randAugment: rand-x: x is not understood'],
    [{ optimizer: { momentum: 0 } }, "optimizer: Nesterov's method needs a momentum above 0"],
    [{ progressive: [] }, 'progressive: '],
    [
      {
        progressive: [
          { until: 3, inputSize: 32 },
          { until: 3, inputSize: 48 },
        ],
      },
      'progressive: each size must be used until a later epoch than the one before it',
    ],
    [{ schedule: { kind: 'step' } }, 'schedule: give either every or at'],
    [{ a: 1, b: 2, epochs: -1, seed: -1, threads: 0, workers: -1 }, '; and '],
  ])('%o is refused', (settings, message) => {
    expect(() => resolveConfig([settings])).toThrow(message);
  });

  it('is JSON, and settings have a value', () => {
    expect(() => parseConfig('{')).toThrow('the configuration is no JSON');
    expect(() => parseConfig('[]')).toThrow('the configuration is no JSON object');
    expect(() => parseSettings(['epochs'])).toThrow('epochs: a setting is NAME=VALUE, as optimizer.lr=0.1');
    expect(parseSettings(['a.b=x=y', 'a.c=null', 'd=[1,2]'])).toEqual({ a: { b: 'x=y', c: null }, d: [1, 2] });
  });

  it('cannot reach what every object has', () => {
    expect(() => resolveConfig([parseConfig('{"__proto__": {"epochs": 1}}')])).toThrow(
      '__proto__: there is no such setting',
    );
    expect(Object.getPrototypeOf(mergeSettings({}, JSON.parse('{"__proto__": 1}')))).toBe(Object.prototype);
  });
});

describe('loading', () => {
  it('has the size of the epoch, and a frame that is as wide beside it', () => {
    const sizes = [
      { until: 2, inputSize: 32 },
      { until: 5, inputSize: 48 },
    ];
    const config = resolveConfig(
      [{ inputSize: 64, progressive: sizes, augmentation: { crop: { padding: 8 } } }],
      'cifar10',
    );
    const at = (epoch: number) => {
      const { preprocessing, augmentation } = trainLoading(config, epoch);
      return [preprocessing.size, (augmentation?.crop as { padding: number } | undefined)?.padding];
    };
    expect([0, 1, 2, 4, 5, 99].map(at)).toEqual([32, 32, 48, 48, 64, 64].map((size) => [size, size / 8]));
    expect(evalLoading(config).preprocessing.size).toBe(64);
  });

  it('mixes only when it should, and evaluates exact pixels', () => {
    const config = resolveConfig([{ mixing: { mixup: 0.2, offEpochs: 5 } }]);
    expect(trainLoading(config)).toMatchObject({
      mixing: { mixup: 0.2 },
      mixUntil: 25,
      smoothing: 0.1,
      shortSide: 256,
    });
    expect(trainLoading(resolveConfig([], 'cifar10')).shortSide).toBeUndefined();
    // A fourth of a square picture, the smallest cut, is then as large as what the network sees.
    expect(trainLoading(resolveConfig([{ inputSize: 512 }])).shortSide).toBe(1024);
    const crop = { kind: 'padded', padding: 8 };
    expect(trainLoading(resolveConfig([{ inputSize: 224, augmentation: { crop } }])).shortSide).toBe(256);
    expect(trainLoading(resolveConfig([{ shrinkTo: 300 }])).shortSide).toBe(300);
    expect(() => resolveConfig([{ shrinkTo: 'none' }])).toThrow(
      'shrinkTo: expected a whole number, auto or null, got "none"',
    );
    expect(trainLoading(resolveConfig([])).mixing).toBeUndefined();
    expect(evalLoading(config, 50)).toEqual({
      ...{ batchSize: 50, mode: 'eval', workers: 1, cacheBytes: 512e6 },
      preprocessing: {
        ...{ size: 128, cropRatio: 0.875, interpolation: 'bicubic' },
        mean: config.mean,
        std: config.std,
      },
    });
  });
});
