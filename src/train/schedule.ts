import { GhostkitError } from '../tensor/error.js';

/** A linear rise at the beginning. */
export interface Warmup {
  /** Its length in epochs, of which part of one is possible; 0 for none. */
  readonly warmupEpochs: number;
  /** The learning rate at its first moment. */
  readonly warmupLr: number;
  /** Whether the schedule proper starts behind it (`true`), or runs from the start and is only covered by it, as timm's does (`false`). */
  readonly warmupFirst: boolean;
}

/** How the learning rate goes. `per` tells whether it changes with each epoch or with each step within it. */
export type Schedule = { readonly per: 'epoch' | 'step' } & (
  | ({ readonly kind: 'constant' } & Warmup)
  /** Half a cosine from the rate down to `minLr`. */
  | ({ readonly kind: 'cosine'; readonly minLr: number } & Warmup)
  /** A straight line from the rate down to `minLr`. */
  | ({ readonly kind: 'linear'; readonly minLr: number } & Warmup)
  /** Multiplied by `gamma` every `every` epochs, or at each of the epochs `at`. */
  | ({
      readonly kind: 'step';
      readonly gamma: number;
      readonly every?: number;
      readonly at?: readonly number[];
    } & Warmup)
  /** Smith's: up from `lr / startDivisor` in the share `rise` of the training, then down to that over `endDivisor`. PyTorch's, in two phases. */
  | {
      readonly kind: 'one-cycle';
      readonly rise: number;
      readonly startDivisor: number;
      readonly endDivisor: number;
      readonly anneal: 'cosine' | 'linear';
    }
);

export interface ScheduleLength {
  readonly epochs: number;
  /** Optimizer steps in an epoch. */
  readonly stepsPerEpoch: number;
}

/** The learning rate of a step, counted from 0 over the whole training. */
export type LearningRate = (step: number) => number;

const cosine = (from: number, to: number, share: number): number =>
  to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;
const straight = (from: number, to: number, share: number): number => from + (to - from) * share;

function oneCycle(
  lr: number,
  schedule: Extract<Schedule, { kind: 'one-cycle' }>,
  total: number,
): (time: number) => number {
  const between = schedule.anneal === 'cosine' ? cosine : straight;
  const start = lr / schedule.startDivisor;
  // The last moment has the lowest rate, so that there is one moment less than there are intervals to cover.
  const last = total - 1;
  const top = schedule.rise * total - 1;
  return (time) =>
    time <= top && top > 0
      ? between(start, lr, time / top)
      : between(lr, start / schedule.endDivisor, Math.min(1, (time - top) / (last - top)));
}

/** The rate at a time in epochs, without warm-up. */
function plain(
  lr: number,
  schedule: Exclude<Schedule, { kind: 'one-cycle' }>,
  epochs: number,
): (time: number) => number {
  switch (schedule.kind) {
    case 'constant':
      return () => lr;
    case 'cosine':
      return (time) => cosine(lr, schedule.minLr, Math.min(1, time / epochs));
    case 'linear':
      return (time) => straight(lr, schedule.minLr, Math.min(1, time / epochs));
    case 'step': {
      const { gamma, every, at = [] } = schedule;
      // A step that is due at an epoch is not missed for the last bit of a division.
      const passed = (time: number) =>
        every === undefined ? at.filter((epoch) => epoch <= time + 1e-9).length : Math.floor(time / every + 1e-9);
      return (time) => lr * gamma ** passed(time);
    }
  }
}

/**
 * The learning rate as a function of the step. Cosine and step with warm-up are timm's (`t_in_epochs` for `per: 'epoch'`), one-cycle is
 * PyTorch's.
 *
 * @throws GhostkitError when the warm-up does not end before the training.
 */
export function learningRate(lr: number, schedule: Schedule, { epochs, stepsPerEpoch }: ScheduleLength): LearningRate {
  const perStep = schedule.per === 'step';
  if (schedule.kind === 'one-cycle') {
    const rate = oneCycle(lr, schedule, perStep ? epochs * stepsPerEpoch : epochs);
    return (step) => rate(perStep ? step : Math.floor(step / stepsPerEpoch));
  }
  const { warmupEpochs, warmupLr, warmupFirst } = schedule;
  if (warmupEpochs >= epochs && warmupEpochs > 0) {
    throw new GhostkitError(
      `schedule.warmupEpochs: a warm-up of ${warmupEpochs} epochs does not end in ${epochs} to train`,
    );
  }
  const shift = warmupFirst ? warmupEpochs : 0;
  const rate = plain(lr, schedule, epochs - shift);
  return (step) => {
    const time = perStep ? step / stepsPerEpoch : Math.floor(step / stepsPerEpoch);
    if (time < warmupEpochs) return straight(warmupLr, lr, time / warmupEpochs);
    return rate(time - shift);
  };
}
