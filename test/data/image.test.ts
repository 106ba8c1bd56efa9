import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadImage } from '../../src/data/image.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { blackPng, encoder, pattern, plain } from '../support/pictures.js';

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
