import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { haveProbabilities } from '../../src/data/scores.js';
import { ConfusionMatrix, Evaluation, predictions, RunningMean, ranks } from '../../src/train/metrics.js';

describe('ranks and predictions', () => {
  it('count the classes ahead of the label', () => {
    const logits = Float32Array.of(0.1, 3, 2, /**/ 5, 5, 5, /**/ Number.NaN, 1, 2);
    expect([...ranks(logits, [2, 1, 0], 3, 3)]).toEqual([1, 1, 2]);
    expect([...predictions(logits, 3, 2)]).toEqual([1, 0]);
  });

  it('agree with sorting', () => {
    const row = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(row, fc.nat(3), (logits, label) => {
        const sorted = [0, 1, 2, 3].sort((a, b) => logits[b] - logits[a] || a - b);
        expect(ranks(Float32Array.from(logits), [label], 4, 1)[0]).toBe(sorted.indexOf(label));
        expect(predictions(Float32Array.from(logits), 4, 1)[0]).toBe(sorted[0]);
      }),
    );
  });
});

describe('RunningMean', () => {
  it('weighs', () => {
    const mean = new RunningMean();
    expect(mean.value).toBeNaN();
    mean.add(1, 3);
    mean.add(5);
    expect([mean.value, mean.weight]).toEqual([2, 4]);
  });
});

describe('ConfusionMatrix', () => {
  it('counts per class, and the most frequent confusions', () => {
    const matrix = new ConfusionMatrix(3);
    for (const [truth, guess] of [
      [0, 0],
      [0, 1],
      [0, 1],
      [1, 1],
      [2, 0],
    ]) {
      matrix.add(truth, guess);
    }
    expect(matrix.perClass()).toEqual([
      { count: 3, correct: 1, guessed: 2 },
      { count: 1, correct: 1, guessed: 3 },
      { count: 1, correct: 0, guessed: 0 },
    ]);
    expect(matrix.topConfusions(1)).toEqual([{ truth: 0, guess: 1, count: 2 }]);
    expect(() => matrix.add(-1, 0)).toThrow('there are classes 0 to 2, got -1 and 0');
  });
});

describe('Evaluation', () => {
  it('counts the pictures that a network gives no numbers for', () => {
    const { NaN: nan, POSITIVE_INFINITY: inf, NEGATIVE_INFINITY: none } = Number;
    const broken = [
      ...[
        [nan, 1, 2],
        [1, 2, nan],
        [1, inf, 2],
        [inf, inf, 1],
        [none, none, none],
      ],
    ];
    // A class may be impossible.
    const sound = [
      [1, 2, 3],
      [none, 0, 1],
      [1e30, -1e30, 0],
    ];
    for (const [rows, count] of [
      [broken, broken.length],
      [sound, 0],
    ] as const) {
      const evaluation = new Evaluation(3);
      evaluation.add(
        Float32Array.from(rows.flat()),
        rows.map(() => 2),
        [...rows.keys()],
        rows.length,
      );
      expect(evaluation.withoutNumbers).toBe(count);
      for (const row of rows) expect(haveProbabilities(Float32Array.from(row))).toBe(count === 0);
    }
  });

  it('has accuracy, loss, and the worst mistakes', () => {
    const evaluation = new Evaluation(6, 2);
    const row = (...v: number[]) => v;
    const logits = Float32Array.from(
      [
        row(2, 0, 0, 0, 0, 0), // right
        row(9, 0, 0, 0, 0, -1), // wrong, and the truth is last
        row(1, 0, 0, 0, 0, 0), // wrong, a little
        row(5, 0, 0, 0, 0, 0), // wrong
      ].flat(),
    );
    evaluation.add(logits, [0, 5, 1, 2], [10, 11, 12, 13], 4);
    expect([evaluation.count, evaluation.top1, evaluation.top5]).toEqual([4, 0.25, 0.75]);
    const loss = (own: number, others: number[]) =>
      Math.log([own, ...others].reduce((a, v) => a + Math.exp(v), 0)) - own;
    const expected =
      loss(2, [0, 0, 0, 0, 0]) + loss(-1, [9, 0, 0, 0, 0]) + loss(0, [1, 0, 0, 0, 0]) + loss(0, [5, 0, 0, 0, 0]);
    expect(evaluation.meanLoss).toBeCloseTo(expected / 4, 6);
    expect(evaluation.mistakes.map(({ index, truth, guess }) => [index, truth, guess])).toEqual([
      [11, 5, 0],
      [13, 2, 0],
    ]);
    expect(evaluation.mistakes[1].probability).toBeCloseTo(Math.exp(5) / (Math.exp(5) + 5), 6);
  });

  it('keeps the worst of many', () => {
    const evaluation = new Evaluation(2, 3);
    for (let i = 0; i < 500; i++) evaluation.add(Float32Array.of((i * 37) % 500, 0), [1], [i], 1);
    expect(evaluation.mistakes.map(({ index }) => (index * 37) % 500)).toEqual([499, 498, 497]);
  });
});
