import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Value } from '../../src/graph/value.js';
import { Conv2d } from '../../src/nn/layers.js';
import { Module } from '../../src/nn/module.js';
import * as ops from '../../src/ops/index.js';
import type { FloatTensor, Shape } from '../../src/tensor/tensor.js';
import { type OptimizerOptions, TrainingStep, type TrainingStepOptions } from '../../src/train/step.js';
import { batchOf, CLASSES, INPUT, numbers, TinyNetwork } from './tiny.js';

interface Recorded {
  config: {
    optimizer: 'sgd' | 'adamw';
    rate: number;
    momentum?: number;
    nesterov?: boolean;
    betas?: [number, number];
    eps?: number;
    decay?: number;
    vectors?: boolean;
    clip?: number;
    average?: number;
    rates?: Record<string, number>;
    frozen?: string[];
  };
  losses: number[];
  state: Record<string, number[]>;
  average?: Record<string, number[]>;
  gradients?: Record<string, number[]>;
}

const recorded: Record<string, Recorded> = JSON.parse(
  readFileSync(new URL('./pytorch-steps.json', import.meta.url), 'utf8'),
);

const layerOf = (name: string) => name.split('.')[0];

function optionsOf({ config: c }: Recorded): TrainingStepOptions {
  const weightDecay = c.decay ?? 0;
  const optimizer: OptimizerOptions =
    c.optimizer === 'sgd'
      ? { name: 'sgd', momentum: c.momentum, nesterov: c.nesterov, weightDecay }
      : { name: 'adamw', betas: c.betas, epsilon: c.eps, weightDecay };
  return {
    input: INPUT,
    optimizer,
    decays: c.vectors === false ? (_, shape) => shape.length > 1 : undefined,
    trains: (name) => !c.frozen?.includes(layerOf(name)),
    rateOf: c.rates && ((name) => c.rates?.[layerOf(name)] ?? 1),
    clipNorm: c.clip,
    averageDecay: c.average,
  };
}

const plain: TrainingStepOptions = { input: INPUT, optimizer: { name: 'sgd', momentum: 0.9, weightDecay: 0.01 } };

/** Runs some steps and calls `then` with what is left. */
async function withStep<T>(
  options: Partial<TrainingStepOptions>,
  then: (step: TrainingStep) => T | Promise<T>,
  model: Module = new TinyNetwork(),
): Promise<T> {
  const step = await TrainingStep.create(model, { ...plain, ...options });
  try {
    return await then(step);
  } finally {
    step.close();
  }
}

/** The numbers of every tensor, as bits. */
const bits = (tensors: ReadonlyMap<string, FloatTensor>) =>
  Object.fromEntries(
    [...tensors].map(([name, { data }]) => [name, Buffer.from(new Float32Array(data).buffer).toString('hex')]),
  );

function expectClose(actual: ArrayLike<number>, expected: readonly number[], bound: number, what: string) {
  const scale = Math.max(0.1, ...expected.map(Math.abs));
  expect(actual.length).toBe(expected.length);
  for (const [i, v] of expected.entries()) expect(Math.abs(actual[i] - v) / scale, `${what}[${i}]`).toBeLessThan(bound);
}

describe('training steps', () => {
  it.each(Object.entries(recorded))('are those of PyTorch: %s', async (_, expected) => {
    const options = optionsOf(expected);
    await withStep({ ...options, withGradients: expected.gradients !== undefined }, (step) => {
      const results = expected.losses.map((_, s) => step.run(batchOf(s, expected.config.rate / (1 + s))));
      expectClose(
        results.map(({ loss }) => loss),
        expected.losses,
        1e-6,
        'loss',
      );
      for (const [name, values] of Object.entries(expected.gradients ?? {})) {
        expectClose(results[0].outputs[`gradient.${name}`].data, values, 2e-6, `gradient of ${name}`);
      }
      const { tensors, steps } = step.state();
      expect(steps).toBe(expected.losses.length);
      const bound = expected.config.optimizer === 'sgd' ? 5e-6 : 2e-5;
      for (const [name, values] of Object.entries(expected.state)) {
        expectClose(tensors.get(name)?.data ?? [], values, bound, name);
      }
      for (const [name, values] of Object.entries(expected.average ?? {})) {
        expectClose(tensors.get(`average.${name}`)?.data ?? [], values, bound, `average of ${name}`);
      }
    });
  });

  it('leave frozen parameters as they are, to the bit, and update running statistics all the same', async () => {
    const model = new TinyNetwork();
    const before = bits(model.state());
    await withStep(
      { trains: (name) => name.startsWith('fc'), optimizer: { name: 'adamw', weightDecay: 0.5 } },
      (step) => {
        step.run(batchOf(0, 0.1));
        const after = bits(step.state().tensors);
        for (const [name, value] of Object.entries(before)) {
          if (/^fc|running/.test(name)) expect(after[name], name).not.toBe(value);
          else expect(after[name], name).toBe(value);
        }
        // The model itself has the trained values when it is told.
        expect(bits(model.state())).toEqual(before);
        step.writeTo();
        const { tensors } = step.state();
        for (const [name, { data }] of model.state()) expect(data).toEqual(tensors.get(name)?.data);
      },
      model,
    );
  });

  it.each([
    { clipNorm: undefined, weightDecay: 0 },
    { clipNorm: 1e-3, weightDecay: 0 },
    { clipNorm: undefined, weightDecay: 0.5 },
  ])(
    'change a layer that stands in a network twice once: $clipNorm, $weightDecay',
    async ({ clipNorm, weightDecay }) => {
      class Twice extends Module {
        readonly first = new Conv2d(2, 3, 3);
        readonly a = new Conv2d(3, 3, 1, { bias: true });
        readonly b = this.a;
        forward(x: Value): Value {
          return ops.flatten(ops.globalAveragePool(this.b.forward(ops.relu(this.a.forward(this.first.forward(x))))));
        }
      }
      const model = new Twice().initialize(1);
      const before = new Map([...model.state()].map(([key, { data }]) => [key, data.slice()]));
      const options = {
        ...{ optimizer: { name: 'sgd', weightDecay } as const, clipNorm },
        ...{ withGradients: true, averageDecay: 0.5 },
      };
      await withStep(
        options,
        (step) => {
          const { outputs } = step.run(batchOf(0, 0.1));
          const names = ['first.weight', 'a.weight', 'a.bias'];
          const gradients = names.map((name) => outputs[`gradient.${name}`].data);
          const norm = Math.hypot(...gradients.flatMap((gradient) => [...gradient]));
          const factor = clipNorm === undefined ? 1 : clipNorm / norm;
          step.writeTo();
          const after = model.state();
          for (const [i, name] of names.entries()) {
            const old = before.get(name) as Float32Array;
            const expected = [...old].map((w, j) => w - 0.1 * (factor * gradients[i][j] + weightDecay * w));
            expectClose(after.get(name)?.data ?? [], expected, 1e-6, name);
          }
          expect(after.get('b.weight')?.data).toBe(after.get('a.weight')?.data);
          const averaged = new Twice();
          step.writeTo(averaged, 'average');
          const mean = [...(before.get('a.weight') as Float32Array)].map(
            (w, i) => (w + (after.get('a.weight') as FloatTensor).data[i]) / 2,
          );
          expectClose(averaged.b.weight.data, mean, 1e-6, 'average');
        },
        model,
      );
    },
  );

  it('write the averages into a model', () =>
    withStep({ averageDecay: 0.5 }, (step) => {
      for (let s = 0; s < 3; s++) step.run(batchOf(s, 0.1));
      const model = new TinyNetwork();
      step.writeTo(model, 'average');
      const { tensors } = step.state();
      for (const [name, { data }] of model.state()) {
        expect(data, name).toEqual(tensors.get(`average.${name}`)?.data);
        expect(data, name).not.toEqual(tensors.get(name)?.data);
      }
    }));

  it('refuse to write averages that they do not keep', () =>
    withStep({}, (step) => expect(() => step.writeTo(new TinyNetwork(), 'average')).toThrow('averageDecay')));

  it('have the same bits for any number of threads, with and without relaxed SIMD', async () => {
    for (const optimizer of [{ name: 'sgd', momentum: 0.9 }, { name: 'adamw' }] as const) {
      for (const relaxed of [true, false]) {
        const all = await Promise.all(
          [1, 2, 3].map((threads) =>
            withStep(
              { optimizer, threads, relaxed, clipNorm: 0.5, averageDecay: 0.9 },
              (step) => {
                expect(step.threads).toBe(threads);
                for (let s = 0; s < 3; s++) step.run(batchOf(s, 0.1));
                return bits(step.state().tensors);
              },
              new TinyNetwork(0.5),
            ),
          ),
        );
        expect(all[1]).toEqual(all[0]);
        expect(all[2]).toEqual(all[0]);
      }
    }
  });

  it('go on from a state bit for bit', async () => {
    for (const optimizer of [
      { name: 'sgd', momentum: 0.9, nesterov: true },
      { name: 'adamw', weightDecay: 0.1 },
    ] as const) {
      const options = { optimizer, averageDecay: 0.9 };
      const run = (step: TrainingStep, from: number, to: number) => {
        for (let s = from; s < to; s++) step.run(batchOf(s, 0.1 / (1 + s)));
      };
      const whole = await withStep(
        options,
        (step) => {
          run(step, 0, 5);
          return step.state();
        },
        new TinyNetwork(0.3),
      );
      const half = await withStep(
        options,
        (step) => {
          run(step, 0, 2);
          const state = step.state();
          // The state is a copy: what follows does not change it.
          run(step, 2, 4);
          return state;
        },
        new TinyNetwork(0.3),
      );
      expect(half.steps).toBe(2);
      const resumed = await withStep(
        options,
        (step) => {
          run(step, 7, 10);
          step.restore(half.tensors, half.steps);
          run(step, 2, 5);
          return step.state();
        },
        new TinyNetwork(0.3),
      );
      expect(resumed.steps).toBe(5);
      expect(bits(resumed.tensors)).toEqual(bits(whole.tensors));
    }
  });

  it('refuse a state that does not fit, and stay as they are', () =>
    withStep({}, (step) => {
      step.run(batchOf(0, 0.1));
      const { tensors } = step.state();
      const without = new Map(tensors);
      without.delete('momentum.fc.weight');
      const tensor = (shape: Shape): FloatTensor => ({ dtype: 'float32', shape, data: numbers(1, shape) });
      const one = /^[^\n]+$/;
      expect(() => step.restore(without, 1)).toThrow(/^momentum\.fc\.weight: .*/);
      expect(() => step.restore(new Map([...tensors, ['conv.weight', tensor([5, 2, 3, 2])]]), 1)).toThrow(
        /^conv\.weight: .*\[5,2,3,2\].*\[5,2,3,3\]/,
      );
      expect(() => step.restore(new Map([...tensors, ['fc.weight', tensor([5, 3])]]), 1)).toThrow(/^fc\.weight: /);
      expect(() => step.restore(new Map(), 1)).toThrow(one);
      expect(bits(step.state().tensors)).toEqual(bits(tensors));
      expect(step.state().steps).toBe(1);
    }));

  it('drop according to the seed alone, which is the number of the step unless it is given', async () => {
    const losses = (seeds: (number | undefined)[]) =>
      withStep({}, (step) => seeds.map((seed) => step.run({ ...batchOf(0, 0), seed }).loss), new TinyNetwork(0.5));
    const [a, b, c] = await losses([5, 6, 5]);
    expect(c).toBe(a);
    expect(b).not.toBe(a);
    expect(await losses([undefined, undefined, undefined])).toEqual(await losses([1, 2, 3]));
  });

  it('need nothing more than a falling loss to learn a toy problem', () =>
    withStep({ optimizer: { name: 'adamw' } }, (step) => {
      const [n] = INPUT;
      // The class is where the picture is bright.
      const images = numbers(7, INPUT).map(
        (v, i) => 0.2 * v + (Math.floor(i / 144) % CLASSES === Math.floor((i % 72) / 24) ? 1 : 0),
      );
      const targets = new Float32Array(n * CLASSES);
      for (let i = 0; i < n; i++) targets[i * CLASSES + (i % CLASSES)] = 1;
      const losses = Array.from({ length: 80 }, () => step.run({ images, targets, learningRate: 0.03 }).loss);
      expect(losses[0]).toBeGreaterThan(0.8);
      expect(losses[79]).toBeLessThan(0.05);
    }));

  it('say what is wrong with a batch', () =>
    withStep({}, (step) => {
      const batch = batchOf(0, 0.1);
      expect(() => step.run({ ...batch, images: new Float32Array(3) })).toThrow(
        'input image: needs [4,2,9,8], got 3 elements',
      );
      expect(() => step.run({ ...batch, targets: new Float32Array(3) })).toThrow('input targets: needs [4,3]');
    }));

  /** What is left behind six steps, each of which `learn` does. */
  const learnt = (learn: (step: TrainingStep, s: number) => void) =>
    withStep(
      { optimizer: { name: 'adamw' }, accumulate: 2 },
      (step) => {
        for (let s = 0; s < 6; s++) learn(step, s);
        const { tensors, steps } = step.state();
        return { bits: bits(tensors), steps };
      },
      new TinyNetwork(0.5),
    );

  it('go on from a batch that they refuse as if it had not been', async () => {
    const expected = await learnt((step, s) => step.run(batchOf(s, 0.1)));
    const refused = await learnt((step, s) => {
      const batch = { ...batchOf(s, 0.1), images: new Float32Array(3) };
      if (s !== 3) expect(() => step.run(batch)).toThrow('input image');
      if (s === 4) expect(() => step.profile(batch)).toThrow('input image');
      step.run(batchOf(s, 0.1));
    });
    expect(refused).toEqual(expected);
    expect(refused.steps).toBe(6);
  });

  it('are the same when they are profiled, those without an update too', async () => {
    const expected = await learnt((step, s) => step.run(batchOf(s, 0.1)));
    const updates: boolean[] = [];
    const profiled = await learnt((step, s) => {
      if (s === 2 || s === 3) step.run(batchOf(s, 0.1));
      else updates.push(step.profile(batchOf(s, 0.1)).some(({ label }) => label.startsWith('adamw ')));
    });
    expect(profiled).toEqual(expected);
    expect(updates).toEqual([false, true, false, true]);
  });
});
