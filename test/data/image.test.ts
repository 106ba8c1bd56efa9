import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadImage } from '../../src/data/image.js';
import { decodingBytes, MAX_DECODING, MemoryBudget } from '../../src/data/picture-memory.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { blackPng, encoder, pattern, plain, pngHeader } from '../support/pictures.js';

const GREY = plain(16, 12, [100, 100, 100]);
const ORANGE = plain(16, 12, [250, 120, 20]);

/** The first pixel of a decoded picture, whose size and length are checked on the way. */
async function firstPixel(bytes: Uint8Array, width = 16, height = 12): Promise<number[]> {
  const image = await loadImage(bytes);
  expect(image).toMatchObject({ width, height });
  expect(image.data).toHaveLength(width * height * 3);
  return [...image.data.subarray(0, 3)];
}

const near = (values: readonly number[], tolerance: number) =>
  values.map((v) => expect.closeTo(v, -Math.log10(2 * tolerance)));

async function messageOf(source: string | Uint8Array): Promise<string> {
  const error = await loadImage(source).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(GhostkitError);
  const { message } = error as GhostkitError;
  expect(message).not.toContain('\n');
  return message;
}

describe('loadImage', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ghostkit-image-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('decodes PNG without loss', async () => {
    const image = pattern(33, 21);
    const { data } = await loadImage(await encoder(image).png().toBuffer());
    expect([...data]).toEqual([...image.data]);
  });

  it.each(['jpeg', 'webp', 'avif', 'tiff', 'gif'] as const)('decodes %s', async (format) => {
    expect(await firstPixel(await encoder(ORANGE).toFormat(format).toBuffer())).toEqual(near([250, 120, 20], 8));
  });

  it('reads a file', async () => {
    const path = join(folder, 'orange.png');
    await encoder(ORANGE).png().toFile(path);
    expect(await loadImage(path)).toMatchObject({ width: 16, height: 12 });
  });

  it('makes 8-bit RGB of grey, of 16 bits and of CMYK', async () => {
    const grey = encoder(GREY).greyscale();
    expect(await firstPixel(await grey.clone().png().toBuffer())).toEqual([100, 100, 100]);
    expect(await firstPixel(await grey.clone().jpeg().toBuffer())).toEqual(near([100, 100, 100], 1));
    expect(await firstPixel(await encoder(GREY).toColourspace('grey16').png().toBuffer())).toEqual([100, 100, 100]);
    expect(await firstPixel(await encoder(ORANGE).toColourspace('rgb16').png().toBuffer())).toEqual([250, 120, 20]);
    const cmyk = await encoder(ORANGE).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(cmyk).metadata()).space).toBe('cmyk');
    expect(await firstPixel(cmyk)).toEqual(near([250, 120, 20], 25));
  });

  it('lays transparent pixels on white', async () => {
    const half = await sharp({ create: { width: 16, height: 12, channels: 4, background: '#ff000080' } })
      .png()
      .toBuffer();
    expect(await firstPixel(half)).toEqual(near([255, 127, 127], 1));
    const nothing = await sharp({ create: { width: 16, height: 12, channels: 4, background: '#00000000' } })
      .png()
      .toBuffer();
    expect(await firstPixel(nothing)).toEqual([255, 255, 255]);
  });

  it('turns a picture as its EXIF orientation says', async () => {
    const turned = await encoder(ORANGE).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    expect(await firstPixel(turned, 12, 16)).toEqual(near([250, 120, 20], 8));
  });

  it('takes the first frame of an animation', async () => {
    const frames = Buffer.concat([ORANGE.data, GREY.data]);
    const gif = await sharp(frames, { raw: { width: 16, height: 24, channels: 3, pageHeight: 12 } })
      .gif({ delay: [50, 50] })
      .toBuffer();
    expect((await sharp(gif).metadata()).pages).toBe(2);
    expect(await firstPixel(gif)).toEqual(near([250, 120, 20], 8));
  });

  it('decodes a picture of one pixel', async () => {
    expect(
      await firstPixel(
        await encoder(plain(1, 1, [1, 2, 3]))
          .png()
          .toBuffer(),
        1,
        1,
      ),
    ).toEqual([1, 2, 3]);
  });

  it('shrinks a picture of over 64 million pixels while it is read', async () => {
    const { width, height, data } = await loadImage(blackPng(12_000, 8000));
    expect(width * height).toBeLessThanOrEqual(64e6);
    expect(width / height).toBeCloseTo(1.5, 3);
    expect(data[data.length >> 1]).toBe(0);
  });

  it('refuses a picture of 30,000 x 30,000 pixels, unread', async () => {
    expect(await messageOf(blackPng(30_000, 30_000))).toBe(
      'the picture: 30000 x 30000 pixels are too many, the limit is 268 million',
    );
  });

  describe('refuses what would take too much memory, undecoded', () => {
    const refused = (size: string, gigabytes: number) =>
      `the picture: decoding ${size} pixels of this kind would take about ${gigabytes} GB of memory, the limit is 1 GB`;

    it('an interlaced PNG', async () => {
      expect(await messageOf(pngHeader(16_000, 16_000, { bits: 16, interlaced: true }))).toBe(
        refused('16000 x 16000', 2.4),
      );
      // One that can be read line by line is decoded, until it turns out that there are none.
      expect(await messageOf(pngHeader(16_000, 16_000, { bits: 16, interlaced: false }))).toContain(
        'damaged or cut off',
      );
    });

    it('a PNG of very long lines', async () => {
      expect(await messageOf(pngHeader(999_999, 200, { bits: 16, interlaced: false }))).toBe(
        refused('999999 x 200', 5),
      );
    });

    it('a progressive JPEG', async () => {
      const bytes = await encoder(pattern(64, 64)).jpeg({ progressive: true }).toBuffer();
      const frame = bytes.indexOf(Buffer.of(0xff, 0xc2));
      bytes.writeUInt16BE(16_000, frame + 5);
      bytes.writeUInt16BE(16_000, frame + 7);
      expect(await messageOf(bytes)).toBe(refused('16000 x 16000', 1.8));
    });

    it('a GIF', async () => {
      const bytes = await encoder(pattern(8, 8)).gif().toBuffer();
      const frame = bytes.indexOf(Buffer.of(0x2c, 0, 0, 0, 0, 8, 0, 8, 0));
      for (const at of [6, 8, frame + 5, frame + 7]) bytes.writeUInt16LE(16_000, at);
      expect(await messageOf(bytes)).toBe(refused('16000 x 16000', 1.6));
    });
  });

  it.each(['jpeg', 'png', 'webp', 'avif'] as const)('says that a cut off %s is damaged', async (format) => {
    const bytes = await encoder(pattern(200, 150)).toFormat(format).toBuffer();
    expect(await messageOf(bytes.subarray(0, bytes.length >> 1))).toMatch(
      /^the picture: the picture is damaged or cut off/,
    );
  });

  it('says what is no picture, whatever its name is', async () => {
    const path = join(folder, 'text.jpg');
    await writeFile(path, 'no picture\n');
    expect(await messageOf(path)).toBe(`${path}: not a picture (JPEG, PNG, WebP, AVIF, GIF or TIFF)`);
    expect(await messageOf(new Uint8Array(0))).toContain('not a picture');
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    expect(await messageOf(svg)).toContain('but svg');
  });

  it('says why a file cannot be read', async () => {
    expect(await messageOf(join(folder, 'none.jpg'))).toBe(`${join(folder, 'none.jpg')}: there is no such file`);
    expect(await messageOf(folder)).toBe(`${folder}: it is a folder`);
  });
});

describe('the memory that decoding takes', () => {
  const photo = fc.record({
    megapixels: fc.double({ min: 0.1, max: 1, noNaN: true }),
    ratio: fc.double({ min: 1 / 3, max: 3, noNaN: true }),
  });
  it.each([
    ['jpeg', false, 'uchar', 100],
    ['jpeg', true, 'uchar', 50],
    ['png', false, 'ushort', 100],
    ['tiff', false, 'ushort', 50],
    ['webp', false, 'uchar', 50],
    ['heif', false, 'uchar', 48],
  ] as const)(
    'is there for photographs: %s, progressive %s, %s, up to %d megapixels',
    (format, isProgressive, depth, most) => {
      fc.assert(
        fc.property(photo, fc.integer({ min: 1, max: 8 }), ({ megapixels, ratio }, orientation) => {
          const pixels = megapixels * most * 1e6;
          const [width, height] = [Math.sqrt(pixels * ratio), Math.sqrt(pixels / ratio)].map(Math.floor);
          const turned = format === 'jpeg' ? orientation : 1;
          const picture = { format, isProgressive, depth, width, height, channels: 3 as const, orientation: turned };
          expect(decodingBytes(picture, Math.min(64e6, width * height))).toBeLessThan(MAX_DECODING);
        }),
      );
    },
  );

  it('is shared by what is decoded at the same time', async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 150 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.scheduler(), async (tasks, scheduler) => {
        const budget = new MemoryBudget(100);
        let used = 0;
        let running = 0;
        let failed = 0;
        const done = Promise.all(
          tasks.map((bytes, i) =>
            budget
              .run(bytes, async () => {
                used += bytes;
                running++;
                expect(used <= 100 || running === 1).toBe(true);
                await scheduler.schedule(Promise.resolve());
                used -= bytes;
                running--;
                if (i % 3 === 0) throw new Error('not a picture');
              })
              .catch(({ message }: Error) => (failed += Number(message === 'not a picture'))),
          ),
        );
        await scheduler.waitFor(done);
        expect(failed).toBe(Math.ceil(tasks.length / 3));
      }),
    );
  });
});
