import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { affine, rotation } from '../../../src/data/augment/affine.js';
import * as color from '../../../src/data/augment/color.js';
import { crop, flipHorizontal, randomPaddedCrop, resizedCropRegion } from '../../../src/data/augment/crop.js';
import { randomErase } from '../../../src/data/augment/erasing.js';
import { drawMix, mixImages, mixTargets } from '../../../src/data/augment/mix.js';
import {
  applyOperation,
  parseRandAugment,
  RAND_AUGMENT_OPERATIONS,
  randAugment,
} from '../../../src/data/augment/rand-augment.js';
import * as tones from '../../../src/data/augment/tones.js';
import { Random } from '../../../src/data/random.js';
import { type Interpolation, type RgbImage, resample } from '../../../src/data/resample.js';
import { pattern, plain } from '../../support/pictures.js';
import pillow from './pillow.json' with { type: 'json' };

const sha256 = (data: ArrayBufferView) => createHash('sha256').update(data).digest('hex');
const FILL = [124, 116, 104] as const;

/** The numbers that the expectations were drawn with. */
class Congruential extends Random {
  constructor(private state: number) {
    super(0);
  }
  override uniform(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return this.state / 2 ** 32;
  }
}

const operations: Record<string, (image: RgbImage, ...args: never[]) => RgbImage> = {
  ...color,
  ...tones,
  autoContrast: (image) =>
    tones.autoContrast(
      color.lookUp(
        image,
        Uint8Array.from({ length: 256 }, (_, v) => (v >> 1) + 30),
      ),
    ),
  rotate: (image, degrees: number, by: Interpolation) => affine(image, rotation(image, degrees), by, FILL),
  shearX: (image, s: number, by: Interpolation) => affine(image, [1, s, 0, 0, 1, 0], by, FILL),
  shearY: (image, s: number, by: Interpolation) => affine(image, [1, 0, 0, s, 1, 0], by, FILL),
  translateX: (image, s: number, by: Interpolation) => affine(image, [1, 0, s * image.width, 0, 1, 0], by, FILL),
  translateY: (image, s: number, by: Interpolation) => affine(image, [1, 0, 0, 0, 1, s * image.height], by, FILL),
} as Record<string, (image: RgbImage, ...args: never[]) => RgbImage>;

describe('operations on pixels', () => {
  it.each(pillow.operations)(
    '$op($args) is to the bit what Pillow computes',
    ({ op, args, start, sha256: expected }) => {
      const result = operations[op](pattern(61, 47), ...(args as never[]));
      expect([...result.data.subarray(0, 6)]).toEqual(start);
      expect(sha256(result.data)).toBe(expected);
    },
  );

  it.each(pillow.hueCube)('turns the hue of all colours by $turn as Pillow does', ({ turn, sha256: expected }) => {
    const values = Array.from({ length: 52 }, (_, i) => i * 5);
    const data = Uint8Array.from(values.flatMap((r) => values.flatMap((g) => values.flatMap((b) => [r, g, b]))));
    expect(sha256(color.hue({ width: 52, height: 52 * 52, data }, turn).data)).toBe(expected);
  });

  it.each(pillow.resizedCrop)('cuts and resizes as torchvision does: $size, $interpolation', (expected) => {
    const { region, size, interpolation } = expected;
    const part = crop(pattern(61, 47), region);
    expect(sha256(resample(part, size, size, interpolation as Interpolation).data)).toBe(expected.sha256);
  });

  it('change nothing at strength 0', () => {
    const image = pattern(20, 30);
    for (const change of [color.brightness, color.contrast, color.saturation, color.sharpness]) {
      expect(change(image, 1)).toEqual(image);
    }
    expect(tones.solarize(image, 256)).toEqual(image);
    expect(tones.solarizeAdd(image, 0)).toEqual(image);
    expect(tones.posterize(image, 8)).toEqual(image);
    for (const by of ['bilinear', 'bicubic'] as const) {
      expect(affine(image, rotation(image, 0), by, FILL)).toEqual(image);
    }
    const none = { brightness: 0, contrast: 0, saturation: 0, hue: 0 };
    expect(color.colorJitter(image, none, new Random(1))).toBe(image);
  });

  it('keep pictures of one colour and of one pixel', () => {
    const grey = plain(9, 7, [80, 80, 80]);
    for (const change of [tones.autoContrast, tones.equalize, (i: RgbImage) => color.saturation(i, 0)]) {
      expect(change(grey)).toEqual(grey);
    }
    const pixel = plain(1, 1, [1, 2, 3]);
    for (const name of RAND_AUGMENT_OPERATIONS) {
      const context = { random: new Random(3), increasing: false, fill: FILL };
      expect(applyOperation(pixel, name, 9, context).data).toHaveLength(3);
    }
  });

  it('flip: twice is the picture again', () => {
    const image = pattern(5, 4);
    const flipped = flipHorizontal(image);
    expect([...flipped.data.subarray(0, 3)]).toEqual([...image.data.subarray(12, 15)]);
    expect(flipHorizontal(flipped)).toEqual(image);
  });
});

describe('random crops', () => {
  it.each(pillow.crops)('samples what torchvision does from $size (stream $seed)', (expected) => {
    const [width, height] = expected.size;
    const options = { scale: expected.scale as [number, number], ratio: expected.ratio as [number, number] };
    const region = resizedCropRegion({ width, height }, options, new Congruential(expected.seed));
    expect(region).toEqual(expected.region);
  });

  it('stay inside the picture', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 90 }), fc.nat(), (width, height, seed) => {
        const options = { scale: [0.01, 1], ratio: [0.2, 5] } as const;
        const r = resizedCropRegion({ width, height }, options, new Random(seed));
        expect(Math.min(r.left, r.top)).toBeGreaterThanOrEqual(0);
        expect(Math.min(r.width, r.height)).toBeGreaterThan(0);
        expect(r.left + r.width).toBeLessThanOrEqual(width);
        expect(r.top + r.height).toBeLessThanOrEqual(height);
      }),
    );
  });

  it('with padding: every place is the picture in a black frame, and all places come', () => {
    const image = pattern(6, 6);
    const seen = new Set<string>();
    for (let seed = 0; seed < 400; seed++) {
      const { data } = randomPaddedCrop(image, 6, 2, new Random(seed));
      seen.add(sha256(data));
    }
    expect(seen.size).toBe(25);
    // In one of them nothing is cut off.
    expect(seen).toContain(sha256(image.data));
    expect(randomPaddedCrop(image, 6, 0, new Random(1))).toEqual(image);
  });
});

describe('RandAugment', () => {
  it("reads timm's notation", () => {
    const original = { magnitude: 9, deviation: 0.5, layers: 2, probability: 0.5, increasing: false };
    expect(parseRandAugment('rand-m9-mstd0.5')).toEqual(original);
    expect(parseRandAugment('rand-m5-n3-mstd101-p0.7-inc1')).toEqual({
      ...{ magnitude: 5, deviation: Number.POSITIVE_INFINITY, layers: 3, probability: 0.7, increasing: true },
    });
    expect(() => parseRandAugment('v0')).toThrow("v0: RandAugment's notation begins with rand; an example is");
    expect(() => parseRandAugment('rand-q9')).toThrow('rand-q9: q9 is not understood');
    expect(() => parseRandAugment('rand-m11')).toThrow('a number is out of its range');
  });

  it('has the operations of the original, each of which does something at some strength', () => {
    expect(RAND_AUGMENT_OPERATIONS).toHaveLength(15);
    const image = pattern(24, 24);
    for (const name of RAND_AUGMENT_OPERATIONS) {
      const context = { random: new Random(5), increasing: true, fill: FILL };
      const result = applyOperation(image, name, 8, context);
      expect(result).toMatchObject({ width: 24, height: 24 });
      expect(sha256(result.data), name).not.toBe(sha256(image.data));
    }
  });

  it('is a function of the seed, and does nothing with probability 0', () => {
    const image = pattern(24, 24);
    const policy = parseRandAugment('rand-m9-mstd0.5');
    const once = (seed: number) => sha256(randAugment(image, policy, FILL, new Random(seed)).data);
    const results = Array.from({ length: 30 }, (_, seed) => once(seed));
    expect(results).toEqual(results.map((_, seed) => once(seed)));
    expect(new Set(results).size).toBeGreaterThan(15);
    expect(randAugment(image, { ...policy, probability: 0 }, FILL, new Random(1))).toBe(image);
  });
});

describe('random erasing', () => {
  it.each(pillow.erasing)("erases timm's rectangle (stream $seed)", ({ seed, rectangle }) => {
    const planes = new Float32Array(3 * 40 * 40).fill(1);
    randomErase(planes, 40, { probability: 0.8, mode: 'zero', area: [0.02, 1 / 3] }, new Congruential(seed));
    const [top, left, height, width] = rectangle ?? [0, 0, 0, 0];
    const expected = planes.map((_, i) => {
      const [y, x] = [Math.floor(i / 40) % 40, i % 40];
      return y >= top && y < top + height && x >= left && x < left + width ? 0 : 1;
    });
    expect(planes).toEqual(expected);
  });

  it('fills with normal noise, or one colour', () => {
    const erased = (mode: 'pixel' | 'color') => {
      const planes = new Float32Array(3 * 64 * 64).fill(99);
      randomErase(planes, 64, { probability: 1, mode, area: [0.3, 1 / 3] }, new Random(4));
      return [...planes].filter((v) => v !== 99);
    };
    const noise = erased('pixel');
    const mean = noise.reduce((a, b) => a + b, 0) / noise.length;
    const variance = noise.reduce((a, b) => a + (b - mean) ** 2, 0) / noise.length;
    expect(noise.length / (3 * 64 * 64)).toBeGreaterThan(0.27);
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(Math.abs(variance - 1)).toBeLessThan(0.08);
    expect(new Set(erased('color')).size).toBe(3);
  });
});

describe('mixing', () => {
  const options = { mixup: 0.2, cutmix: 1, probability: 1, switchProbability: 0.5 };

  it.each(pillow.cutmix)("cuts timm's box for a share of $lam", ({ seed, lam, box, share }) => {
    const random = Object.assign(new Congruential(seed), { beta: () => lam, chance: () => true });
    const mix = drawMix({ ...options, mixup: 0 }, 64, random);
    // timm draws the row before the column, as this does.
    expect(mix.box).toEqual(box);
    expect(mix.share).toBeCloseTo(share, 12);
  });

  it("makes timm's targets", () => {
    const { labels, classes, smoothing, lam, rows } = pillow.targets;
    const out = new Float32Array(5 * classes);
    mixTargets(Int32Array.from(labels), 5, classes, smoothing, lam, out);
    for (const [i, expected] of rows.flat().entries()) expect(out[i]).toBeCloseTo(expected, 6);
  });

  it('mixes each picture with its mirror image in the batch', () => {
    const images = () => Float32Array.from({ length: 3 * 3 * 4 * 4 }, (_, i) => Math.floor(i / 48));
    const mixed = images();
    mixImages(mixed, 3, 4, { kind: 'mixup', share: 0.75 });
    expect([mixed[0], mixed[50], mixed[100]]).toEqual([0.5, 1, 1.5]);
    const cut = images();
    mixImages(cut, 3, 4, { kind: 'cutmix', share: 0.75, box: { top: 1, bottom: 3, left: 0, right: 2 } });
    expect([...cut.subarray(0, 16)]).toEqual([0, 0, 0, 0, 2, 2, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0]);
    expect([...cut.subarray(96 + 32, 96 + 48)]).toEqual([2, 2, 2, 2, 0, 0, 2, 2, 0, 0, 2, 2, 2, 2, 2, 2]);
    const untouched = images();
    mixImages(untouched, 3, 4, { kind: 'none', share: 1 });
    expect(untouched).toEqual(images());
  });

  it('draws both kinds, and neither when it may not', () => {
    const kinds = Array.from({ length: 60 }, (_, seed) => drawMix(options, 32, new Random(seed)).kind);
    expect(new Set(kinds)).toEqual(new Set(['mixup', 'cutmix']));
    expect(drawMix({ ...options, probability: 0 }, 32, new Random(1))).toEqual({ kind: 'none', share: 1 });
    expect(drawMix({ ...options, mixup: 0, cutmix: 0 }, 32, new Random(1)).kind).toBe('none');
  });
});
