import type { Best } from './checkpoint.js';
import type { Evaluation } from './metrics.js';

/** What an epoch came to, and how long it took to find out. */
export interface Evaluated {
  readonly weights: Evaluation;
  readonly average?: Evaluation;
  readonly seconds: number;
}

/** Of an epoch's evaluations the better one. */
export function betterOf({ weights, average }: Evaluated): [Best['which'], Evaluation] {
  if (
    average &&
    isBetter({ top1: average.top1, loss: average.meanLoss }, { top1: weights.top1, loss: weights.meanLoss })
  ) {
    return ['average', average];
  }
  return ['weights', weights];
}

/** Of equally many right answers the surer ones are better. */
export function isBetter(a: Pick<Best, 'top1' | 'loss'>, b: Pick<Best, 'top1' | 'loss'> | null): boolean {
  return b === null || a.top1 > b.top1 || (a.top1 === b.top1 && a.loss < b.loss);
}
