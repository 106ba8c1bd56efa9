import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadImage } from '../../src/data/image.js';
import { swapHead } from '../../src/headswap/pipeline.js';
import type { Detector, FoundFace } from '../../src/headswap/plugins.js';
import { builtInDetector } from '../../src/headswap/plugins-default.js';
import { cropHead, findFace, notesOn, pasteMask } from '../../src/headswap/stages.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { pattern } from '../support/pictures.js';

const FACES = dirname(createRequire(import.meta.url).resolve('@vladmandic/face-api/package.json'));
const photo = (n: number) => join(FACES, 'demo', `sample${n}.jpg`);
/** A square of the third photograph with one face in its middle. */
const one = async () =>
  sharp(await sharp(photo(3)).extract({ left: 870, top: 100, width: 600, height: 600 }).resize(320).png().toBuffer());

let detector: Detector;
beforeAll(async () => {
  detector = await builtInDetector(2);
});
afterAll(async () => detector.close?.());

const find = async (bytes: Buffer | string, choice?: number) => {
  const image = await loadImage(bytes);
  return findFace({ name: 'a.jpg', image, option: '--face' }, detector, choice);
};
const failure = (bytes: Buffer | string, choice?: number): Promise<string> =>
  find(bytes, choice).then(
    () => 'it was found',
    (error: Error) => {
      expect(error).toBeInstanceOf(GhostkitError);
      return error.message;
    },
  );

describe('finding the face', () => {
  it('takes the only one', async () => {
    const { box, score, landmarks } = await find(await (await one()).png().toBuffer());
    expect(box.left + box.width / 2).toBeGreaterThan(130);
    expect(box.left + box.width / 2).toBeLessThan(190);
    expect(score).toBeGreaterThan(0.4);
    expect(landmarks).toHaveLength(68);
  });

  it('says how to choose among several', async () => {
    expect(await failure(photo(3))).toMatch(
      /^a\.jpg: 3 faces; choose with --face N: 1 at \d+,\d+ \(\d+ px\), 2 at .*, 3 at \d+,\d+ \(\d+ px\)$/,
    );
    expect((await find(photo(3), 2)).box).not.toEqual((await find(photo(3), 1)).box);
    expect(await failure(photo(3), 4)).toBe('a.jpg: there is no face 4, only 3');
  });

  it('says that there is none', async () => {
    const { width, height, data } = pattern(300, 200);
    const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    expect(await failure(bytes)).toBe(
      'a.jpg: no face is found; it should be larger than 32 pixels and not turned away',
    );
  });

  it('does not work with a face of 20 pixels', async () => {
    const tiny = await (await one()).resize(42).toBuffer();
    const placed = await sharp({ create: { width: 400, height: 300, channels: 3, background: '#808080' } })
      .composite([{ input: tiny, left: 180, top: 120 }])
      .png()
      .toBuffer();
    expect(await failure(placed)).toMatch(
      /^a\.jpg: (no face is found|the face is \d\d pixels wide, which is too little)/,
    );
    const small: FoundFace = {
      ...(await find(await (await one()).png().toBuffer())),
      box: { left: 5, top: 5, width: 20, height: 20 },
    };
    const stub: Detector = { name: 'stub', detect: async () => [small] };
    await expect(findFace({ name: 'a.jpg', image: pattern(90, 90), option: '--face' }, stub)).rejects.toThrow(
      'a.jpg: the face is 20 pixels wide, which is too little; 32 are the least',
    );
  });

  it('takes grey and CMYK pictures', async () => {
    const plain = await find(await (await one()).png().toBuffer());
    const variants = {
      grey: await (await one()).greyscale().jpeg().toBuffer(),
      cmyk: await (await one()).toColourspace('cmyk').jpeg().toBuffer(),
      deep: await (await one()).toColourspace('rgb16').png().toBuffer(),
    };
    for (const [name, bytes] of Object.entries(variants)) {
      const { box } = await find(bytes);
      expect(Math.abs(box.left - plain.box.left), name).toBeLessThan(0.1 * plain.box.width);
    }
  });

  it('takes a picture of 60 megapixels', async () => {
    const bytes = await (await one()).resize(7746, 7746, { kernel: 'nearest' }).jpeg({ quality: 60 }).toBuffer();
    const image = await loadImage(bytes);
    expect(image.width * image.height).toBeGreaterThan(59.9e6);
    const face = await findFace({ name: 'large', image, option: '--face' }, detector);
    expect(face.box.width).toBeGreaterThan(3000);
    const { wide } = cropHead(image, face);
    expect([wide.width, wide.height]).toEqual([512, 512]);
  }, 60_000);

  it('remarks on what is cut off or turned aside, and goes on', async () => {
    const cut = await sharp(photo(3)).extract({ left: 1100, top: 100, width: 400, height: 600 }).png().toBuffer();
    const notes = await find(cut).then(
      (face) => notesOn('a.jpg', face),
      (error: Error) => [error.message],
    );
    expect(notes).toEqual([expect.stringMatching(/edge cuts the face|no face is found/)]);
    const known = { ...(await find(await (await one()).png().toBuffer())), yaw: -60, touchesBorder: true };
    expect(notesOn('a.jpg', known)).toEqual([
      "a.jpg: the picture's edge cuts the face; what is outside is taken for black",
      'a.jpg: the face is in profile, where its landmarks are a guess',
    ]);
    expect(notesOn('a.jpg', { ...known, yaw: 10, touchesBorder: false })).toEqual([]);
  });
});

describe('pasteMask', () => {
  it('takes all inside, nothing outside, and has no steps', () => {
    const size = 128;
    const data = Uint8Array.from({ length: size * size }, (_, i) => (i % size > 40 && i % size < 90 ? 1 : 0));
    const mask = pasteMask({ width: size, height: size, data });
    expect([mask[64 * size + 64], mask[64 * size + 5], mask[64 * size + 120]]).toEqual([255, 0, 0]);
    for (let x = 1; x < size; x++) expect(Math.abs(mask[64 * size + x] - mask[64 * size + x - 1])).toBeLessThan(40);
  });
});

describe('no memory', () => {
  afterEach(() => vi.restoreAllMocks());
  const face = async () => {
    const image = await loadImage(await (await one()).png().toBuffer());
    const found = await findFace({ name: 'a', image, option: '--face' }, detector);
    const stub: Detector = { name: 'stub', detect: async () => [found] };
    return { source: image, target: image, weights: 'from-names' as const, plugins: { detector: async () => stub } };
  };

  it('is told in one line when a network does not fit', async () => {
    const options = await face();
    vi.spyOn(WebAssembly, 'Memory').mockImplementation(function memory() {
      throw new RangeError('WebAssembly.Memory(): could not allocate memory');
    });
    await expect(swapHead(options)).rejects.toThrow(/^there is no memory for this model and input: \d+ MiB$/);
  });

  it('is told in one line when an array does not fit', async () => {
    const options = await face();
    const weights = {
      name: 'huge',
      trained: false,
      embedder: () => Promise.reject(new RangeError('Array buffer allocation failed')),
      generator: () => Promise.reject(new Error()),
      blender: () => Promise.reject(new Error()),
    };
    await expect(swapHead({ ...options, weights })).rejects.toThrow(
      'there is not enough memory; a swap needs up to 3 GB',
    );
  });
});
