import type { Unreadable } from '../data/loader/batch.js';
import type { EpochMetrics } from './metrics-log.js';
import type { TrainingData } from './training-data.js';
import type { TrainedModel } from './training-model.js';

/** Where a training is, after a step. */
export interface StepReport {
  readonly epoch: number;
  readonly epochs: number;
  /** Steps of the epoch that are done, and how many it has. */
  readonly step: number;
  readonly steps: number;
  /** The mean of the epoch so far. */
  readonly loss: number;
  readonly learningRate: number;
  /** Since this process began to train. */
  readonly imagesPerSecond: number;
  /** To the end of the training. */
  readonly secondsLeft: number;
}

/** Is told how a training goes. */
export interface TrainObserver {
  start?(about: { data: TrainingData; trained: TrainedModel; epoch: number; step: number; steps: number }): void;
  step?(report: StepReport): void;
  /** Pictures evaluated, of how many. */
  evaluation?(done: number, total: number): void;
  epoch?(metrics: EpochMetrics, isBest: boolean): void;
  /** Pictures that turned out to be unreadable, each once. */
  unreadable?(pictures: readonly Unreadable[]): void;
}
