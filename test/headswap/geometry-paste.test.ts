import { describe, expect, it } from 'vitest';
import type { RgbImage } from '../../src/data/resample.js';
import { IDENTITY, invertTransform, rotationAround, type Transform } from '../../src/headswap/geometry.js';
import { pasteBack } from '../../src/headswap/geometry-paste.js';
import { warpAffine } from '../../src/headswap/geometry-warp.js';
import { pattern, plain } from '../support/pictures.js';

function mirrored({ width, height, data }: RgbImage): RgbImage {
  const at = (i: number) => i - (i % width) + (width - 1 - (i % width));
  return { width, height, data: data.map((_, i) => data[at(Math.floor(i / 3)) * 3 + (i % 3)]) };
}

/** The pixels whose weight is not 0: white on black shows it. */
function covered(transform: Transform, edge: 'hard' | 'soft', size = 40): Uint8Array {
  const { data } = pasteBack(plain(size, size, [255, 255, 255]), plain(70, 50, [0, 0, 0]), transform, { edge });
  return data.filter((_, i) => i % 3 === 0);
}

describe('pasteBack', () => {
  // The original's paste-back with OpenCV 4.11: warpAffine, erode, GaussianBlur of a mask of bytes 0 and 1.
  it.each<[string, Transform, number, number[], number[]]>([
    [
      'inside of the picture',
      [1.1, 0.35, -22, -0.35, 1.1, -2.5],
      544,
      [480792, 585032, 588036],
      [
        48, 46, 45, 43, 41, 40, 38, 68, 67, 65, 63, 62, 60, 90, 89, 87, 65, 64, 62, 142, 101, 101, 101, 104, 111, 118,
        121, 106, 89, 89, 89, 89, 89, 89, 73, 69, 60, 39, 37, 37, 37, 37, 37, 37, 207, 205, 203, 202, 212, 210, 209,
        207, 205, 204, 202, 232, 231, 229, 227, 226, 224, 254, 253, 251, 202, 203, 205, 207, 176, 178,
      ],
    ],
    [
      "across the picture's edge",
      [0.6, 0.2, -15, -0.2, 0.6, 20],
      1943,
      [328941, 503565, 610904],
      [
        48, 46, 45, 43, 41, 40, 38, 68, 67, 65, 63, 62, 60, 90, 89, 87, 65, 64, 62, 60, 91, 89, 87, 189, 189, 189, 186,
        189, 173, 156, 111, 96, 96, 96, 96, 97, 96, 96, 96, 96, 96, 96, 96, 96, 92, 85, 79, 64, 66, 63, 64, 63, 63, 63,
        63, 64, 71, 83, 83, 83, 83, 80, 83, 68, 64, 70, 66, 51, 53, 50,
      ],
    ],
  ])('with a hard edge is the original to the bit %s', (_, transform, count, sums, row) => {
    const { data } = pasteBack(mirrored(pattern(40, 40)), pattern(70, 50), transform, { edge: 'hard' });
    expect([0, 1, 2].map((c) => data.reduce((sum, v, i) => (i % 3 === c ? sum + v : sum), 0))).toEqual(sums);
    expect(Array.from({ length: 70 }, (_, x) => data[(24 * 70 + x) * 3])).toEqual(row);
    expect(covered(transform, 'hard').filter((v) => v > 0)).toHaveLength(count);
  });

  it('fades over a few pixels with a soft edge, around the hard one', () => {
    const transform: Transform = [1.1, 0.35, -22, -0.35, 1.1, -2.5];
    const hard = covered(transform, 'hard');
    const soft = covered(transform, 'soft');
    expect(soft.some((v) => v > 0 && v < 255)).toBe(true);
    expect(soft.every((v, i) => v >= 128 === hard[i] > 0)).toBe(true);
  });

  it('gives the target back where a crop is pasted unchanged', () => {
    const transform = rotationAround([60, 45], 0.3, 1, [32, 32]);
    const flat = plain(120, 90, [90, 120, 150]);
    expect(pasteBack(warpAffine(flat, transform, 64, 64), flat, transform).data).toEqual(flat.data);
  });

  it('changes nothing outside of the crop and where the mask is 0, and leaves the target alone', () => {
    const target = pattern(400, 700);
    const before = target.data.slice();
    const transform = invertTransform([2, 0, 60, 0, 2, 90]);
    const mask = new Uint8Array(150 * 200);
    for (let y = 60; y < 140; y++) mask.fill(255, y * 150 + 40, y * 150 + 110);
    const { data } = pasteBack(plain(150, 200, [255, 0, 255]), target, transform, { mask });
    expect(Buffer.compare(target.data, before)).toBe(0);
    // Two pixels of the target for each of the mask's; a bilinear warp reaches one pixel of the mask further.
    const inside = (x: number, y: number) => x > 60 + 2 * 39 && x < 60 + 2 * 110 && y > 90 + 2 * 59 && y < 90 + 2 * 140;
    const changed = [...data.keys()].filter((i) => data[i] !== before[i]);
    expect(changed.filter((i) => !inside(Math.floor(i / 3) % 400, Math.floor(i / 1200)))).toEqual([]);
    expect(changed.length).toBeGreaterThan(2 * 70 * 2 * 80 * 2);
    const at = (x: number, y: number) => [...data.subarray((y * 400 + x) * 3, (y * 400 + x) * 3 + 3)];
    expect(at(60 + 150, 90 + 200)).toEqual([255, 0, 255]);
  });

  it('leaves the target as it is when the crop lies beside it', () => {
    const target = pattern(30, 20);
    const far: Transform = [1, 0, 500, 0, 1, 0];
    expect(pasteBack(pattern(10, 10), target, far).data).toEqual(target.data);
  });

  it('refuses a mask of another size than the crop', () => {
    const mask = new Uint8Array(99);
    expect(() => pasteBack(pattern(10, 10), pattern(30, 20), IDENTITY, { mask })).toThrow('needs 100 pixels');
  });
});
