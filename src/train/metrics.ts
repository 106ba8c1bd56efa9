import { GhostkitError } from '../tensor/error.js';

/**
 * For each row of `logits` `[count, classes]`, how many classes are ahead of its label: 0 when the label is first. Of equal logits the
 * lower class is ahead, as in a stable sort. A logit that is not a number puts its row last.
 */
export function ranks(logits: Float32Array, labels: ArrayLike<number>, classes: number, count: number): Int32Array {
  const out = new Int32Array(count);
  for (let row = 0; row < count; row++) {
    const start = row * classes;
    const label = labels[row];
    const own = logits[start + label];
    let ahead = 0;
    for (let c = 0; c < classes; c++) {
      const other = logits[start + c];
      if (other > own || (other === own && c < label)) ahead++;
    }
    out[row] = Number.isNaN(own) ? classes - 1 : ahead;
  }
  return out;
}

/** The class with the highest logit in each row; of equal ones the lowest. */
export function predictions(logits: Float32Array, classes: number, count: number): Int32Array {
  const out = new Int32Array(count);
  for (let row = 0; row < count; row++) {
    const start = row * classes;
    let best = 0;
    for (let c = 1; c < classes; c++) if (logits[start + c] > logits[start + best]) best = c;
    out[row] = best;
  }
  return out;
}

/** A mean of numbers that come one after the other, each with a weight. */
export class RunningMean {
  private sum = 0;
  private total = 0;

  /** Adds `value`, which stands for `weight` others such as the pictures of a batch. */
  add(value: number, weight = 1): void {
    this.sum += value * weight;
    this.total += weight;
  }

  /** The sum of the weights. */
  get weight(): number {
    return this.total;
  }

  /** Not a number before anything was added. */
  get value(): number {
    return this.sum / this.total;
  }
}

/** How often pictures of each class were taken for each class. */
export class ConfusionMatrix {
  /** `[classes, classes]`: the row is the true class, the column what it was taken for. */
  readonly counts: Float64Array;

  constructor(readonly classes: number) {
    this.counts = new Float64Array(classes * classes);
  }

  add(truth: number, guess: number): void {
    if (!(truth >= 0 && truth < this.classes && guess >= 0 && guess < this.classes)) {
      throw new GhostkitError(`there are classes 0 to ${this.classes - 1}, got ${truth} and ${guess}`);
    }
    this.counts[truth * this.classes + guess]++;
  }

  /** How often class `truth` was taken for `guess`. */
  at(truth: number, guess: number): number {
    return this.counts[truth * this.classes + guess];
  }

  /** For each class how many pictures there were, how many of them were recognised, and how many were taken for it. */
  perClass(): { readonly count: number; readonly correct: number; readonly guessed: number }[] {
    return Array.from({ length: this.classes }, (_, c) => {
      let count = 0;
      let guessed = 0;
      for (let other = 0; other < this.classes; other++) {
        count += this.at(c, other);
        guessed += this.at(other, c);
      }
      return { count, correct: this.at(c, c), guessed };
    });
  }

  /** The most frequent confusions, at most `limit`, by their number. */
  topConfusions(limit: number): { readonly truth: number; readonly guess: number; readonly count: number }[] {
    const found: { truth: number; guess: number; count: number }[] = [];
    for (let truth = 0; truth < this.classes; truth++) {
      for (let guess = 0; guess < this.classes; guess++) {
        const count = this.at(truth, guess);
        if (count > 0 && truth !== guess) found.push({ truth, guess, count });
      }
    }
    return found.sort((a, b) => b.count - a.count).slice(0, limit);
  }
}

/** A picture that was taken for something else. */
export interface Mistake {
  /** Its number in the data set. */
  readonly index: number;
  readonly truth: number;
  readonly guess: number;
  /** Of the guess, from 0 to 1. */
  readonly probability: number;
  /** Of the true class. */
  readonly truthProbability: number;
}

/** Top-1 and top-5 accuracy, mean loss, confusion and the worst mistakes of an evaluation, batch by batch. */
export class Evaluation {
  readonly confusion: ConfusionMatrix;
  private readonly loss = new RunningMean();
  private first = 0;
  private amongFive = 0;
  private seen = 0;
  private notNumbers = 0;
  private worst: Mistake[] = [];

  /** `keep` is the number of mistakes that are remembered. */
  constructor(
    readonly classes: number,
    private readonly keep = 24,
  ) {
    this.confusion = new ConfusionMatrix(classes);
  }

  /** Adds the first `count` rows of a batch: logits `[batch, classes]`, labels and numbers in the data set `[batch]`. */
  add(logits: Float32Array, labels: ArrayLike<number>, indices: ArrayLike<number>, count: number): void {
    const { classes } = this;
    const rank = ranks(logits, labels, classes, count);
    const guesses = predictions(logits, classes, count);
    for (let row = 0; row < count; row++) {
      const truth = labels[row];
      const guess = guesses[row];
      const start = row * classes;
      const highest = logits[start + guess];
      let sum = 0;
      for (let c = 0; c < classes; c++) sum += Math.exp(logits[start + c] - highest);
      const logTruth = logits[start + truth] - highest - Math.log(sum);
      this.loss.add(-logTruth);
      this.seen++;
      if (Number.isNaN(sum)) this.notNumbers++;
      if (rank[row] === 0) this.first++;
      if (rank[row] < 5) this.amongFive++;
      this.confusion.add(truth, guess);
      if (guess !== truth) {
        this.remember({
          ...{ index: indices[row], truth, guess, probability: 1 / sum, truthProbability: Math.exp(logTruth) },
        });
      }
    }
  }

  private remember(mistake: Mistake): void {
    this.worst.push(mistake);
    if (this.worst.length >= 4 * this.keep + 64) this.worst = this.sorted();
  }

  private sorted(): Mistake[] {
    return this.worst.sort((a, b) => a.truthProbability - b.truthProbability || a.index - b.index).slice(0, this.keep);
  }

  /** Pictures counted so far. */
  get count(): number {
    return this.seen;
  }

  /** Of these the pictures for which the network gave NaN or infinity, so that nothing here means much. */
  get withoutNumbers(): number {
    return this.notNumbers;
  }

  /** Share of the pictures whose class was the first guess, 0 to 1. */
  get top1(): number {
    return this.first / this.seen;
  }

  /** Share of the pictures whose class was among the first five guesses, 0 to 1. */
  get top5(): number {
    return this.amongFive / this.seen;
  }

  /** Mean cross-entropy, without label smoothing. */
  get meanLoss(): number {
    return this.loss.value;
  }

  /** The mistakes with the least probability of the truth, the worst first. */
  get mistakes(): readonly Mistake[] {
    return this.sorted();
  }
}
