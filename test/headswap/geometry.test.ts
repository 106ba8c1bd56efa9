import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RgbImage } from '../../src/data/resample.js';
import {
  applyTransform,
  composeTransforms,
  estimateSimilarity,
  type FivePoints,
  IDENTITY,
  invertTransform,
  mapFive,
  type Point,
  rotationAround,
  scaleOf,
  type Transform,
} from '../../src/headswap/geometry.js';
import {
  arcfaceBorders512,
  arcfaceTransform,
  cropArcface,
  cropWide,
  wideTransform,
} from '../../src/headswap/geometry-crops.js';
import { warpAffine, warpMask } from '../../src/headswap/geometry-warp.js';
import { pattern, plain } from '../support/pictures.js';

const near = (t: readonly number[], digits: number) => t.map((v) => expect.closeTo(v, digits));

const points: fc.Arbitrary<FivePoints> = fc.array(
  fc.tuple(fc.double({ min: -500, max: 500, noNaN: true }), fc.double({ min: -500, max: 500, noNaN: true })),
  { minLength: 5, maxLength: 5 },
) as never;
const similarity = fc
  .record({
    angle: fc.double({ min: -3.1, max: 3.1, noNaN: true }),
    scale: fc.double({ min: 0.05, max: 20, noNaN: true }),
    x: fc.double({ min: -1e4, max: 1e4, noNaN: true }),
    y: fc.double({ min: -1e4, max: 1e4, noNaN: true }),
  })
  .map(({ angle, scale, x, y }) => rotationAround([0, 0], angle, scale, [x, y]));

/** A frontal face, `eyes` pixels from eye to eye. */
const frontal = (eyes: number, [x, y]: Point): FivePoints =>
  mapFive(
    [
      [0, 0],
      [1, 0],
      [0.5, 0.55],
      [0.1, 1.1],
      [0.9, 1.1],
    ],
    ([u, v]) => [x + u * eyes, y + v * eyes],
  );

describe('estimateSimilarity', () => {
  // scikit-image 0.26, SimilarityTransform.estimate.
  it.each<[string, Point[], Point[], number[]]>([
    [
      'five points',
      [
        [10, 20],
        [60, 18],
        [33, 45],
        [15, 70],
        [58, 66],
      ],
      [
        [3, 1],
        [5, 30],
        [-9, 20],
        [-31, 5],
        [-27, 33],
      ],
      [
        0.03668726608059876, -0.6417007572460618, 15.015101401340424, 0.6417007572460617, 0.03668726608059872,
        -6.394768909391594,
      ],
    ],
    [
      'mirrored points, which it must not mirror',
      [
        [0, 0],
        [10, 0],
        [0, 5],
        [7, 7],
      ],
      [
        [0, 0],
        [-10, 0],
        [0, 5],
        [-7, 8],
      ],
      [
        -0.3028322440087147, 0.010893246187363828, -2.9956427015250537, -0.01089324618736383, -0.3028322440087148,
        4.204793028322441,
      ],
    ],
    [
      'points on a line',
      [
        [0, 0],
        [1, 2],
        [2, 4],
      ],
      [
        [5, 5],
        [7, 4],
        [9, 3],
      ],
      [0, 1, 5, -1, 0, 5],
    ],
  ])('is that of scikit-image for %s', (_, from, to, expected) => {
    expect([...estimateSimilarity(from, to)]).toEqual(near(expected, 12));
  });

  it('finds the similarity that moved the points', () => {
    fc.assert(
      fc.property(points, similarity, (from, transform) => {
        const spread = Math.max(...from.map(([x, y]) => Math.hypot(x - from[0][0], y - from[0][1])));
        fc.pre(spread > 1);
        const found = estimateSimilarity(
          from,
          mapFive(from, (p) => applyTransform(transform, p)),
        );
        for (const p of from) {
          const [x, y] = applyTransform(transform, p);
          const [u, v] = applyTransform(found, p);
          expect(Math.hypot(u - x, v - y)).toBeLessThan(1e-6);
        }
      }),
    );
  });

  it('says in one line what cannot be', () => {
    const same: Point[] = [
      [3, 4],
      [3, 4],
      [3, 4],
    ];
    expect(() =>
      estimateSimilarity(same, [
        [0, 0],
        [1, 0],
        [0, 1],
      ]),
    ).toThrow('must differ and be finite');
    expect(() =>
      estimateSimilarity(
        [
          [0, Number.NaN],
          [1, 1],
        ],
        [
          [0, 0],
          [1, 0],
        ],
      ),
    ).toThrow('must differ and be finite');
    expect(() => estimateSimilarity([[0, 0]], [[1, 1]])).toThrow('at least two');
  });
});

describe('transforms', () => {
  it('undo and follow each other', () => {
    fc.assert(
      fc.property(
        similarity,
        similarity,
        fc.tuple(fc.double({ min: -1e3, max: 1e3, noNaN: true }), fc.double({ min: -1e3, max: 1e3, noNaN: true })),
        (a, b, p) => {
          const back = applyTransform(invertTransform(a), applyTransform(a, p));
          expect([...back]).toEqual(near(p, 6));
          expect([...applyTransform(composeTransforms(b, a), p)]).toEqual(
            near(applyTransform(b, applyTransform(a, p)), 5),
          );
          expect(scaleOf(composeTransforms(b, a)) / (scaleOf(b) * scaleOf(a))).toBeCloseTo(1, 9);
        },
      ),
    );
  });

  it('says when there is no way back', () => {
    expect(() => invertTransform([1, 2, 0, 2, 4, 0])).toThrow('cannot be inverted');
  });
});

describe('warpAffine', () => {
  const green = ({ data }: RgbImage) => [...data].filter((_, i) => i % 3 === 1);
  const sums = ({ data }: RgbImage) =>
    [0, 1, 2].map((c) => data.reduce((sum, v, i) => (i % 3 === c ? sum + v : sum), 0));

  // OpenCV 4.11, warpAffine with its defaults and borderValue 0.
  it('is OpenCV to the bit, border included', () => {
    const moved = warpAffine(pattern(23, 17), [0.83, -0.41, 4.3, 0.37, 0.9, -3.1], 12, 9);
    expect(green(moved)).toEqual([
      0, 0, 2, 19, 21, 24, 27, 28, 30, 32, 35, 37, 0, 0, 17, 20, 28, 30, 35, 40, 29, 38, 39, 47, 0, 1, 30, 32, 34, 37,
      39, 41, 43, 45, 48, 50, 0, 8, 30, 28, 25, 32, 30, 40, 38, 36, 43, 40, 0, 36, 43, 45, 38, 48, 47, 53, 57, 47, 59,
      57, 11, 32, 34, 36, 38, 41, 43, 45, 47, 49, 51, 54, 21, 43, 36, 52, 46, 35, 52, 45, 61, 55, 44, 63, 43, 45, 47,
      49, 52, 54, 56, 58, 60, 62, 64, 67, 34, 35, 42, 40, 51, 44, 46, 51, 51, 61, 55, 57,
    ]);
    expect(sums(warpAffine(pattern(23, 17), [2.5, 0.2, -7.25, -0.3, 2.4, 1.5], 40, 40))).toEqual([
      76040, 101409, 127610,
    ]);
  });

  it('leaves a picture as it is under the identity, and shifts it by whole pixels', () => {
    const image = pattern(31, 19);
    expect(warpAffine(image, IDENTITY, 31, 19).data).toEqual(image.data);
    const shifted = warpAffine(image, [1, 0, 2, 0, 1, -3], 31, 19, 9);
    expect([...shifted.data.subarray(0, 6)]).toEqual(Array(6).fill(9));
    expect(shifted.data.subarray(6, 31 * 3)).toEqual(image.data.subarray(3 * 31 * 3, 3 * 31 * 3 + 29 * 3));
  });

  it('stays in one colour inside, and in the border colour outside, whatever the transform', () => {
    fc.assert(
      fc.property(similarity, (transform) => {
        const { data } = warpAffine(plain(9, 7, [80, 80, 80]), transform, 16, 16, 80);
        expect(data.every((v) => v === 80)).toBe(true);
        const mask = warpMask({ width: 9, height: 7, data: new Uint8Array(63).fill(1) }, transform, 16, 16);
        expect(mask.every((v) => v <= 1)).toBe(true);
      }),
    );
  });

  it('refuses a picture whose size is not that of its data', () => {
    expect(() => warpAffine({ width: 4, height: 4, data: new Uint8Array(5) }, IDENTITY, 4, 4)).toThrow(
      'needs 48 bytes, got 5',
    );
    expect(() => warpAffine({ width: 0, height: 4, data: new Uint8Array(0) }, IDENTITY, 4, 4)).toThrow('has none');
  });
});

describe('crops', () => {
  it('have the eyes level and where the networks expect them', () => {
    const image = pattern(300, 300);
    for (const angle of [-0.6, 0, 0.4]) {
      const face = mapFive(frontal(40, [120, 130]), (p) => applyTransform(rotationAround([140, 150], angle), p));
      const { transform, image: wide, template } = cropWide(image, face);
      const [left, right] = mapFive(face, (p) => applyTransform(transform, p));
      expect([wide.width, wide.height, template]).toEqual([512, 512, 2]);
      expect(left[1]).toBeCloseTo(right[1], 0);
      expect((left[0] + right[0]) / 2).toBeCloseTo(256, 0);
      const [a, b] = mapFive(face, (p) => applyTransform(arcfaceTransform(face), p));
      expect([a[0], a[1], b[0], b[1]].map((v, i) => Math.abs(v - [38.3, 51.7, 73.5, 51.5][i]) < 3)).toEqual(
        Array(4).fill(true),
      );
      expect(cropArcface(image, face).image).toMatchObject({ width: 112, height: 112 });
    }
  });

  it('choose the template by pose', () => {
    const turned = (nose: number): FivePoints => [
      [100, 100],
      [140, 100],
      [120 + nose, 122],
      [104, 145],
      [136, 145],
    ];
    expect([-22, 0, 22].map((nose) => wideTransform(turned(nose)).template)).toEqual([1, 2, 3]);
  });

  it('do not depend on where, how large and how turned a face is in its picture', () => {
    fc.assert(
      fc.property(similarity, (transform: Transform) => {
        const face = frontal(50, [10, 20]);
        const moved = mapFive(face, (p) => applyTransform(transform, p));
        const plainCrop = wideTransform(face);
        const movedCrop = wideTransform(moved);
        expect(movedCrop.template).toBe(plainCrop.template);
        for (const [i, p] of face.entries()) {
          expect([...applyTransform(movedCrop.transform, moved[i])]).toEqual(
            near(applyTransform(plainCrop.transform, p), 4),
          );
        }
      }),
    );
  });

  it('know where the ArcFace crop lies in the wide one', () => {
    expect(arcfaceBorders512).toEqual([
      [140, 166],
      [371, 396],
    ]);
  });
});
