import type { Best } from './checkpoint.js';
import { isBetter } from './evaluated.js';

/** What is known after an epoch. Losses are means over pictures, accuracies shares from 0 to 1. */
export interface EpochMetrics {
  /** Counted from 0. */
  readonly epoch: number;
  /** The learning rate of the epoch's last step. */
  readonly lr: number;
  readonly trainLoss: number;
  /** On augmented pictures, with the weights as they were at each step. */
  readonly trainTop1?: number;
  readonly valLoss?: number;
  readonly valTop1?: number;
  readonly valTop5?: number;
  /** The same of the averaged weights. */
  readonly emaLoss?: number;
  readonly emaTop1?: number;
  readonly emaTop5?: number;
  /** Of training and evaluation. */
  readonly seconds: number;
  /** In training. */
  readonly imagesPerSecond: number;
}

/** One line of the metrics file. */
export function formatMetrics(metrics: EpochMetrics): string {
  return `${JSON.stringify(metrics)}\n`;
}

function isMetrics(value: unknown): value is EpochMetrics {
  if (typeof value !== 'object' || value === null) return false;
  const row = value as Record<string, unknown>;
  return ['epoch', 'lr', 'trainLoss', 'seconds', 'imagesPerSecond'].every((key) => typeof row[key] === 'number');
}

/**
 * The epochs of a metrics file, one JSON object a line, in their order. A line that is cut off (the process was killed while it wrote) is
 * left out, and of an epoch that was done again after a resumption the last line counts.
 */
export function parseMetrics(text: string): EpochMetrics[] {
  const byEpoch = new Map<number, EpochMetrics>();
  for (const line of text.split('\n')) {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      continue;
    }
    if (isMetrics(value)) byEpoch.set(value.epoch, value);
  }
  return [...byEpoch.values()].sort((a, b) => a.epoch - b.epoch);
}

/** The best of a training's evaluations, of the weights or of their average; undefined when there was none. It is the one whose weights are kept. */
export function bestEvaluation(metrics: readonly EpochMetrics[]): Best | undefined {
  let best: Best | undefined;
  for (const { epoch, valTop1, valTop5 = 0, valLoss = 0, emaTop1, emaTop5 = 0, emaLoss = 0 } of metrics) {
    const weights: Best = { epoch, which: 'weights', top1: valTop1 ?? -1, top5: valTop5, loss: valLoss };
    const average: Best = { epoch, which: 'average', top1: emaTop1 ?? -1, top5: emaTop5, loss: emaLoss };
    const better = isBetter(average, weights) ? average : weights;
    if (better.top1 >= 0 && isBetter(better, best ?? null)) best = better;
  }
  return best;
}

/** The epoch with the highest validation accuracy, of the averaged weights where there are any; of several the one with the lowest loss. */
export function bestEpoch(metrics: readonly EpochMetrics[]): EpochMetrics | undefined {
  const best = bestEvaluation(metrics);
  return metrics.find(({ epoch }) => epoch === best?.epoch);
}
