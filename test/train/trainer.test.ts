import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { MemoryDataset } from '../../src/data/dataset.js';
import { createLoader } from '../../src/data/loader/loader.js';
import { preprocessingIn } from '../../src/data/preprocessing.js';
import { readCheckpoint } from '../../src/formats/checkpoint-file.js';
import { identify } from '../../src/models/identify.js';
import { createModel } from '../../src/models/registry.js';
import { compile } from '../../src/nn/compile.js';
import type { Classifier } from '../../src/nn/trace.js';
import { GhostkitError } from '../../src/tensor/error.js';
import {
  readTrainingCheckpoint,
  type TrainingCheckpoint,
  writeTrainingCheckpoint,
} from '../../src/train/checkpoint.js';
import type { TrainConfig } from '../../src/train/config.js';
import { evaluate } from '../../src/train/evaluate.js';
import { Loaders } from '../../src/train/loaders.js';
import { evalLoading } from '../../src/train/loading.js';
import { resolveConfig } from '../../src/train/resolve-config.js';
import { layerRates, stagesOf } from '../../src/train/stages.js';
import { TrainingStep } from '../../src/train/step.js';
import { labelTargets } from '../../src/train/targets.js';
import { train } from '../../src/train/trainer.js';
import { plain } from '../support/pictures.js';

/** Bytes that the disk still takes. */
const disk = vi.hoisted(() => ({ free: Number.POSITIVE_INFINITY }));

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>();
  return {
    ...fs,
    open: async (...args: Parameters<typeof fs.open>) => {
      const file = await fs.open(...args);
      const write = file.writeFile.bind(file);
      file.writeFile = async (data) => {
        const { length } = data as Uint8Array;
        if (length <= disk.free) return write(data);
        // As much as fits, as a real one would.
        await write((data as Uint8Array).slice(0, disk.free));
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      };
      return file;
    },
  };
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-trainer-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const classes = ['red', 'blue'];
const pictures = (count: number) =>
  new MemoryDataset(
    classes,
    Array.from({ length: count }, (_, i) => ({
      image: plain(32, 32, i % 2 ? [20, 30, 200 + (i % 50)] : [200 + (i % 50), 30, 20]),
      label: i % 2,
    })),
  );
const data = { train: pictures(12), val: pictures(6) };

function configFor(name: string, settings: Record<string, unknown> = {}): TrainConfig {
  const small = { width: 0.15, inputSize: 32, batchSize: 4, epochs: 2, workers: 0, output: join(folder, name) };
  return resolveConfig([{ ...small, schedule: { kind: 'constant' }, ...settings }]);
}

const readState = async (path: string) => (await readTrainingCheckpoint(path))?.tensors ?? new Map();

describe('train', () => {
  it('trains on pictures in memory, and its network says what it is', async () => {
    const epochs: number[] = [];
    const {
      finished,
      best,
      folder: run,
    } = await train(configFor('memory', { stemStride: 1 }), {
      data,
      observer: { epoch: ({ epoch }) => epochs.push(epoch) },
    });
    expect({ finished, epochs }).toEqual({ finished: true, epochs: [0, 1] });
    expect(best?.top1).toBeGreaterThanOrEqual(0.5);
    const loaded = identify(await readCheckpoint(run.model));
    expect(loaded?.options).toEqual({ width: 0.15, stemStride: 1 });
    expect(loaded?.labels).toEqual(classes);
    expect(preprocessingIn(loaded?.checkpoint.metadata ?? {})).toMatchObject({ size: 32, interpolation: 'bicubic' });
  });

  it('takes pictures in memory with the settings that are the default, and evaluates fewer at a time', async () => {
    const config = configFor('defaults', { workers: 1, epochs: 1 });
    const { best } = await train(config, { data });
    const loaders = await Loaders.open(config, data);
    const sizes = [loaders.held.options.batchSize];
    while (await loaders.halve()) sizes.push(loaders.held.options.batchSize);
    expect(sizes).toEqual([6, 3, 1]);
    const loaded = identify(await readCheckpoint(join(config.output, 'model.safetensors')));
    const net = await compile(loaded?.model as Classifier, { input: [1, 3, 32, 32] });
    expect((await evaluate(net, loaders.held))?.top1).toBe(best?.top1);
    net.close();
    await loaders.close();
  });

  it('stops when it is told to, and goes on to the same end', async () => {
    // Of three batches of an epoch one is left over for the update in the next.
    const settings = { accumulate: 2, threads: 1 };
    const whole = await train(configFor('whole', settings), { data });
    const config = configFor('parts', { ...settings, threads: 2, resume: true });
    for (;;) {
      const stop = new AbortController();
      // Two steps at a time, of epochs of three.
      let steps = 0;
      const step = () => ++steps === 2 && stop.abort();
      const { finished } = await train(config, { data, signal: stop.signal, observer: { step } });
      if (finished) break;
    }
    const [a, b] = await Promise.all(
      [whole.folder.model, join(config.output, 'model.safetensors')].map((f) => readFile(f)),
    );
    expect(a.equals(b)).toBe(true);
  });

  it('keeps the last checkpoint when the disk is full, in one line', async () => {
    const config = configFor('full', { resume: true });
    const last = join(config.output, 'last.safetensors');
    const observer = {
      epoch: () => {
        disk.free = 1000;
      },
    };
    await expect(train(config, { data, observer })).rejects.toThrow(
      /^cannot write .*: no space is left on the disk; the last checkpoint is still there, to resume from$/,
    );
    expect((await readTrainingCheckpoint(last))?.progress.epoch).toBe(1);
    expect((await readdir(config.output)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    disk.free = Number.POSITIVE_INFINITY;
    const { finished, metrics } = await train(config, { data });
    expect({ finished, epochs: metrics.map(({ epoch }) => epoch) }).toEqual({ finished: true, epochs: [0, 1] });
  });

  it('evaluates as often as it is told to, and at the end', async () => {
    const { metrics, best } = await train(configFor('seldom', { epochs: 3, evaluateEvery: 2 }), { data });
    expect(metrics.map(({ valTop1 }) => valTop1 !== undefined)).toEqual([false, true, true]);
    expect(best?.epoch).toBeGreaterThan(0);
  });

  it('evaluates with the size that the network is to be used with, and says so in its file', async () => {
    const config = configFor('larger', { epochs: 1, stemStride: 1, evalSize: 48 });
    const { folder: run, metrics } = await train(config, { data });
    const checkpoint = await readCheckpoint(run.model);
    expect(preprocessingIn(checkpoint.metadata)?.size).toBe(48);
    const net = await compile(identify(checkpoint)?.model as Classifier, { input: [6, 3, 48, 48] });
    const held = await createLoader(data.val, evalLoading(config, 6));
    const evaluation = await evaluate(net, held);
    net.close();
    await held.close();
    const { valLoss = Number.NaN, emaLoss = Number.NaN } = metrics[0];
    expect(Math.min(...[valLoss, emaLoss].map((loss) => Math.abs(loss - (evaluation?.meanLoss ?? 0))))).toBeLessThan(
      1e-6,
    );
  });

  it('begins with smaller pictures, and its optimizer and averages outlive the change of size', async () => {
    const settings = {
      ...{ epochs: 3, inputSize: 48, stemStride: 1, optimizer: { lr: 0.01 } },
      progressive: [{ until: 1, inputSize: 24 }],
      augmentation: { crop: { kind: 'padded', padding: 8 } },
    };
    const whole = await train(configFor('growing', settings), { data });
    const config = configFor('growing-parts', { ...settings, resume: true });
    let runs = 0;
    for (let finished = false; !finished; runs++) {
      const stop = new AbortController();
      let steps = 0;
      const step = () => ++steps === 2 && stop.abort();
      ({ finished } = await train(config, { data, signal: stop.signal, observer: { step } }));
    }
    // Nine steps: within each size, and on both sides of where it changes.
    expect(runs).toBe(5);
    const [a, b] = await Promise.all([whole.folder.last, join(config.output, 'last.safetensors')].map(readState));
    expect([...a.keys()].filter((name) => /^(momentum|average)\./.test(name)).length).toBeGreaterThan(100);
    for (const [name, { data: values }] of a) expect(b.get(name)?.data, name).toEqual(values);
    // It is another network than one that has seen large pictures only.
    const large = await train(configFor('large', { ...settings, progressive: null }), { data });
    const c = await readState(large.folder.last);
    expect([...a].some(([name, { data: values }]) => c.get(name)?.data.some((v, i) => v !== values[i]))).toBe(true);
  });

  it('wants pictures for validation', async () => {
    const none = new MemoryDataset(data.train.classes, []);
    await expect(train(configFor('none', {}), { data: { ...data, val: none } })).rejects.toThrow(
      /^there are no pictures for validation$/,
    );
  });

  it('refuses a checkpoint of other classes or settings', async () => {
    const config = configFor('memory', { stemStride: 1, resume: true });
    const renamed = new MemoryDataset(['red', 'green'], [{ image: plain(32, 32, [0, 0, 0]), label: 0 }]);
    await expect(train(config, { data: { ...data, train: renamed } })).rejects.toThrow(
      'last.safetensors: it tells apart 2 classes, which are not the 2 of the data',
    );
    await expect(train({ ...config, emaDecay: null }, { data })).rejects.toThrow(
      'it was begun with emaDecay 0.998, not null',
    );
  });

  it('is made longer, behind its end too, but not shorter', async () => {
    const schedule = {
      kind: 'cosine',
      per: 'step',
      minLr: 0,
      warmupEpochs: 0,
      warmupLr: 0,
      warmupFirst: false,
    } as const;
    const config = configFor('longer', { epochs: 2, resume: true, schedule });
    const { metrics: short } = await train(config, { data });
    const { finished, epochs, metrics } = await train({ ...config, epochs: 4 }, { data });
    expect([finished, epochs]).toEqual([true, 4]);
    expect(metrics.slice(0, 2)).toEqual(short);
    // The rate has gone up again, to where it would be.
    expect(metrics[2].lr).toBeGreaterThan(metrics[1].lr);
    expect(metrics[3].lr).toBeLessThan(metrics[2].lr);
    await expect(train({ ...config, epochs: 3 }, { data })).rejects.toThrow(
      'it was begun with 4 epochs; a training can be made longer, not shorter',
    );
  });

  it('says when a batch does not fit into memory', async () => {
    const big = configFor('big', { inputSize: 2048, batchSize: 12 });
    await expect(train(big, { data })).rejects.toThrow(
      /MiB for this input.*; try a smaller batchSize .* or inputSize$/,
    );
  });

  it('takes nothing else for a lack of memory, whatever is said of it', async () => {
    const create = vi.spyOn(TrainingStep, 'create').mockRejectedValue(new GhostkitError('a file of 3 MiB is damaged'));
    await expect(train(configFor('other'), { data })).rejects.toThrow(/^a file of 3 MiB is damaged$/);
    create.mockRestore();
  });
});

describe('fine-tuning', () => {
  const model = createModel('repghostnet_050', { width: 0.15, classes: 2, dropout: 0 });

  it('has a rate for each stage of a network, falling towards the picture', () => {
    const rate = layerRates(model, 0.5);
    expect(rate('classifier.weight')).toBe(1);
    expect(rate('classifier.bias')).toBe(1);
    expect(rate('conv_head.weight')).toBe(0.5);
    expect(rate('blocks.9.0.conv.weight')).toBe(0.25);
    expect(rate('blocks.8.0.ghost1.primary_conv.0.weight')).toBe(0.125);
    expect(rate('conv_stem.weight')).toBeLessThan(rate('blocks.0.0.ghost1.primary_conv.0.weight'));
    const mobilenet = layerRates(createModel('mobilenetv3_small_100', { classes: 2 }), 0.5);
    expect(mobilenet('classifier.3.weight')).toBe(1);
    expect(mobilenet('classifier.0.weight')).toBe(0.5);
    expect(mobilenet('features.12.0.weight')).toBe(0.25);
  });

  it('goes on behind its first stage as if nothing had been', async () => {
    // After so few steps the statistics are no good to learn with, so it had better be little.
    const slow = { optimizer: { lr: 1e-3 } };
    const { folder: base } = await train(configFor('base', { ...slow, epochs: 1 }), { data });
    const settings = { ...slow, epochs: 3, finetune: { weights: base.model, headEpochs: 1, headLr: 1e-9 } };
    const whole = await train(configFor('tuned', settings), { data });
    const config = configFor('tuned-parts', { ...settings, resume: true });
    const observer = {
      epoch: () => {
        throw new Error('a crash');
      },
    };
    await expect(train(config, { data, observer })).rejects.toThrow('a crash');
    // The weights to start from are not needed any more.
    await rm(base.path, { recursive: true });
    const parts = await train(config, { data });
    expect(parts.finished).toBe(true);
    const [a, b] = await Promise.all([whole, parts].map(({ folder: { model: path } }) => readFile(path)));
    expect(a.equals(b)).toBe(true);
  });

  it('leaves no epoch to a head that takes them all', () => {
    const config = configFor('x', { finetune: { weights: 'x', headEpochs: 2 } });
    expect(() => stagesOf(config, model, 3)).toThrow('finetune.headEpochs: 2 of 2 epochs leave none');
  });

  it('has a warm-up that ends, whatever the epochs', () => {
    const rates = (per: string, epochs: number, warmupEpochs: number) => {
      const schedule = { kind: 'cosine', per, warmupEpochs, warmupLr: 0, minLr: 0 };
      const [{ rate }] = stagesOf(configFor('x', { epochs, schedule, optimizer: { lr: 1 } }), model, 4);
      return Array.from({ length: 4 * epochs }, (_, step) => rate(step));
    };
    expect(rates('step', 1, 1).slice(0, 2)).toEqual([0, 0.5]);
    expect(rates('epoch', 1, 5)).toEqual([1, 1, 1, 1]);
    // One that ends by itself is as it was asked for.
    expect(rates('epoch', 4, 3)[8]).toBeCloseTo(2 / 3);
  });

  it('goes on from a checkpoint of before recipes were kept', async () => {
    const config = configFor('older', { shrinkTo: 64 });
    const observer = {
      epoch: () => {
        throw new Error('a crash');
      },
    };
    await expect(train(config, { data, observer })).rejects.toThrow('a crash');
    const last = join(config.output, 'last.safetensors');
    const { progress, tensors } = (await readTrainingCheckpoint(last)) as TrainingCheckpoint;
    const { names: _, ...older } = progress;
    const again = { ...config, shrinkTo: 'auto', recipe: 'cifar10', resume: true } as const;
    await expect(train(again, { data })).rejects.toThrow(
      'it was begun with shrinkTo 64, not "auto"; give it as it was',
    );
    await writeTrainingCheckpoint(last, { progress: older, tensors });
    expect((await train(again, { data })).finished).toBe(true);
  });

  it('changes nothing but the head at first, not even statistics', async () => {
    const [{ step: options }] = stagesOf(configFor('x', { finetune: { weights: 'x', headEpochs: 1 } }), model, 3);
    const step = await TrainingStep.create(model, { ...options, input: [2, 3, 32, 32] });
    const before = step.state().tensors;
    const images = Float32Array.from({ length: 2 * 3 * 32 * 32 }, (_, i) => ((i * 37) % 101) / 50 - 1);
    const targets = labelTargets([0, 1], 2, 2, 0, new Float32Array(4));
    const losses = Array.from({ length: 5 }, () => step.run({ images, targets, learningRate: 0.1 }).loss);
    expect(losses[4]).toBeLessThan(losses[0]);
    const after = step.state().tensors;
    step.close();
    const changed = [...model.stateShapes().keys()].filter(
      (name) => !before.get(name)?.data.every((v, i) => v === after.get(name)?.data[i]),
    );
    expect(changed).toEqual(['classifier.weight', 'classifier.bias']);
  });
});

it('labels as probabilities', () => {
  const smoothed = labelTargets([1, 0], 2, 2, 0.2, new Float32Array(4));
  expect([...smoothed].map((v) => Number(v.toFixed(6)))).toEqual([0.1, 0.9, 0.9, 0.1]);
});
