import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Interpolation, resample } from '../../src/data/resample.js';
import { centerCrop, IMAGENET, toTensor } from '../../src/data/transform.js';
import { pattern, plain } from '../support/pictures.js';
import pillow from './pillow.json' with { type: 'json' };

const sha256 = (data: ArrayBufferView) => createHash('sha256').update(data).digest('hex');

describe('resample', () => {
  it.each(pillow.resize)('is to the bit what Pillow computes: $from to $to, $interpolation', (expected) => {
    const [width, height] = expected.to;
    const image = pattern(expected.from[0], expected.from[1]);
    const resized = resample(image, width, height, expected.interpolation as Interpolation);
    expect(resized).toMatchObject({ width, height });
    expect([...resized.data.subarray(0, 6)]).toEqual(expected.start);
    expect(sha256(resized.data)).toBe(expected.sha256);
  });

  it('computes a part of the picture as it is in the whole', () => {
    const image = pattern(90, 70);
    const whole = resample(image, 41, 53, 'bicubic');
    const region = { left: 7, top: 30, width: 20, height: 23 };
    const part = resample(image, 41, 53, 'bicubic', region);
    for (let y = 0; y < region.height; y++) {
      const start = ((region.top + y) * 41 + region.left) * 3;
      const row = part.data.subarray(y * region.width * 3, (y + 1) * region.width * 3);
      expect([...row]).toEqual([...whole.data.subarray(start, start + region.width * 3)]);
    }
  });

  it('leaves a plain colour what it is', () => {
    for (const interpolation of ['bicubic', 'bilinear'] as const) {
      const { data } = resample(plain(31, 17, [255, 1, 128]), 40, 9, interpolation);
      expect(sha256(data)).toBe(sha256(plain(40, 9, [255, 1, 128]).data));
    }
  });
});

describe('what resample is asked for', () => {
  it('may be a part of a picture that keeps its size', () => {
    const image = pattern(9, 7);
    const region = { left: 5, top: 2, width: 4, height: 5 };
    const { width, height, data } = resample(image, 9, 7, 'bilinear', region);
    expect([width, height]).toEqual([4, 5]);
    const from = (x: number, y: number) => [...image.data.subarray(3 * (9 * y + x), 3 * (9 * y + x) + 3)];
    const at = (x: number, y: number) => [...data.subarray(3 * (4 * y + x), 3 * (4 * y + x) + 3)];
    for (let y = 0; y < 5; y++) for (let x = 0; x < 4; x++) expect(at(x, y)).toEqual(from(x + 5, y + 2));
  });

  it('is refused where it cannot be', () => {
    const image = pattern(9, 7);
    for (const side of [0, -1, 2.5, Number.NaN]) {
      expect(() => resample(image, side, 7, 'bilinear')).toThrow(/^a picture cannot be resized to /);
    }
    const outside = { left: 5, top: 0, width: 9, height: 7 };
    expect(() => resample(image, 9, 7, 'bilinear', outside)).toThrow(/is not within 9 x 7$/);
    expect(() => resample(image, 3, 3, 'nearest' as Interpolation)).toThrow(/^there is no interpolation nearest; /);
  });
});

describe('toTensor', () => {
  it.each(pillow.evaluation)('is to the bit what torchvision makes of $from, $interpolation', (expected) => {
    const interpolation = expected.interpolation as Interpolation;
    const { data, shape } = toTensor(pattern(expected.from[0], expected.from[1]), { ...IMAGENET, interpolation });
    expect(shape).toEqual([1, 3, 224, 224]);
    expect([...data.subarray(0, 3)]).toEqual(expected.start);
    expect(sha256(data)).toBe(expected.sha256);
  });

  it('stacks pictures', () => {
    const preprocessing = { ...IMAGENET, size: 32 };
    const images = [pattern(40, 50), pattern(64, 37)];
    const { data, shape } = toTensor(images, preprocessing);
    expect(shape).toEqual([2, 3, 32, 32]);
    const singles = images.flatMap((image) => [...toTensor(image, preprocessing).data]);
    expect([...data]).toEqual(singles);
  });

  it('computes no more of a very long picture than the network sees', () => {
    expect(centerCrop(pattern(30_000, 1))).toMatchObject({ width: 224, height: 224 });
  });

  it.each([
    [{ size: 0 }, 'the size must be a positive integer, got 0'],
    [{ size: 1.5 }, 'the size must be a positive integer, got 1.5'],
    [{ cropRatio: 0 }, 'the crop ratio must be more than 0 and at most 1, got 0'],
    [{ cropRatio: 1.1 }, 'the crop ratio must be more than 0 and at most 1, got 1.1'],
  ])('refuses %o', (change, message) => {
    expect(() => toTensor(pattern(8, 8), { ...IMAGENET, ...change })).toThrow(message);
  });
});
