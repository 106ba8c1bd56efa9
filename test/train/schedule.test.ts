import { describe, expect, it } from 'vitest';
import { learningRate, type Schedule } from '../../src/train/schedule.js';
import expected from './schedules.json' with { type: 'json' };

const warmup = { warmupEpochs: 0, warmupLr: 0, warmupFirst: false };
const cycle = { kind: 'one-cycle', per: 'step', rise: 0.3, startDivisor: 25, endDivisor: 1e4 } as const;

/** Relative, for rates that range over several powers of ten. */
function expectRate(actual: number, wanted: number): void {
  expect(Math.abs(actual - wanted)).toBeLessThanOrEqual(1e-12 * Math.abs(wanted) + 1e-18);
}

describe('learning rates', () => {
  const cosine: Schedule = {
    kind: 'cosine',
    per: 'epoch',
    minLr: 1e-5,
    warmupEpochs: 5,
    warmupLr: 1e-4,
    warmupFirst: false,
  };

  it.each(expected.timmCosine)("cosine with warm-up is timm's: epoch $epoch", ({ epoch, lr }) => {
    const rate = learningRate(0.6, cosine, { epochs: 300, stepsPerEpoch: 1251 });
    expectRate(rate(epoch * 1251), lr);
    expect(rate(epoch * 1251 + 1250)).toBe(rate(epoch * 1251));
  });

  it("is what RepGhost's log has at the precision it has", () => {
    const rate = learningRate(0.6, cosine, { epochs: 300, stepsPerEpoch: 1 });
    const logged = ['1.000e-4', '1.201e-1', '2.401e-1', '3.600e-1', '4.800e-1', '5.996e-1', '5.994e-1'];
    expect(logged.map((_, epoch) => rate(epoch).toExponential(3))).toEqual(logged);
    expect([297, 298, 299].map((epoch) => rate(epoch).toExponential(3))).toEqual(['1.580e-4', '7.579e-5', '2.645e-5']);
  });

  it.each(expected.timmCosinePrefix)("cosine behind a warm-up, per step, is timm's: step $step", ({ step, lr }) => {
    const schedule: Schedule = {
      kind: 'cosine',
      per: 'step',
      minLr: 0,
      warmupEpochs: 1,
      warmupLr: 0,
      warmupFirst: true,
    };
    expectRate(learningRate(0.4, schedule, { epochs: 21, stepsPerEpoch: 50 })(step), lr);
  });

  it.each(expected.timmStep)("steps with warm-up are timm's: epoch $epoch", ({ epoch, lr }) => {
    const schedule: Schedule = {
      kind: 'step',
      per: 'epoch',
      gamma: 0.1,
      every: 30,
      warmupEpochs: 3,
      warmupLr: 0.01,
      warmupFirst: true,
    };
    expectRate(learningRate(0.1, schedule, { epochs: 100, stepsPerEpoch: 7 })(epoch * 7), lr);
  });

  it.each(expected.torchMultiStep)("steps at given epochs are PyTorch's: epoch $epoch", ({ epoch, lr }) => {
    const schedule: Schedule = { kind: 'step', per: 'step', gamma: 0.2, at: [3, 7], ...warmup };
    expectRate(learningRate(0.1, schedule, { epochs: 9, stepsPerEpoch: 3 })(epoch * 3), lr);
  });

  it.each(expected.torchOneCycle)("one cycle is PyTorch's: step $step", ({ step, lr }) => {
    expectRate(learningRate(0.5, { ...cycle, anneal: 'cosine' }, { epochs: 10, stepsPerEpoch: 10 })(step), lr);
  });

  it.each(expected.torchOneCycleLinear)("a linear cycle is PyTorch's: step $step", ({ step, lr }) => {
    expectRate(learningRate(0.5, { ...cycle, anneal: 'linear' }, { epochs: 10, stepsPerEpoch: 10 })(step), lr);
  });

  it('linear and constant', () => {
    const linear = learningRate(
      1,
      { kind: 'linear', per: 'step', minLr: 0, ...warmup },
      { epochs: 2, stepsPerEpoch: 5 },
    );
    expect([0, 5, 9].map(linear)).toEqual([1, 0.5, expect.closeTo(0.1, 12)]);
    const constant = learningRate(1, { kind: 'constant', per: 'step', ...warmup }, { epochs: 2, stepsPerEpoch: 5 });
    expect([0, 9, 100].map(constant)).toEqual([1, 1, 1]);
  });

  it('a cycle too short to rise has a rate all the same', () => {
    for (const epochs of [1, 2, 5, 10]) {
      const rate = learningRate(1, { ...cycle, rise: 0.1, anneal: 'linear' }, { epochs, stepsPerEpoch: 1 });
      for (let step = 0; step < epochs; step++) expect(rate(step)).toSatisfy((v: number) => v > 0 && v <= 1);
    }
  });

  it('a warm-up must end', () => {
    const schedule: Schedule = { kind: 'constant', per: 'step', ...warmup, warmupEpochs: 5 };
    expect(() => learningRate(1, schedule, { epochs: 5, stepsPerEpoch: 5 })).toThrow(
      'schedule.warmupEpochs: a warm-up of 5 epochs does not end in 5 to train',
    );
  });
});
