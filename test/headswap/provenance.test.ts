import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadImage } from '../../src/data/image.js';
import { pictureInfo, writePicture } from '../../src/headswap/picture-file.js';
import { COMPOSITE_SOURCE_TYPE, readProvenance, xmpPacket } from '../../src/headswap/provenance.js';
import { run } from '../cli/run.js';
import { pattern } from '../support/pictures.js';

let folder: string;
const at = (name: string) => join(folder, name);
const provenance = {
  creatorTool: 'ghostkit 1.2.3',
  digitalSourceType: COMPOSITE_SOURCE_TYPE,
  aiSystem: 'GHOST 2.0 <& friends>',
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-provenance-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(['png', 'jpg', 'webp'])('provenance in %s', (extension) => {
  const image = pattern(40, 30);
  const path = () => at(`picture.${extension}`);

  it('is written and read back', async () => {
    await writePicture(path(), image, provenance);
    expect(await pictureInfo(path())).toMatchObject({ width: 40, height: 30, provenance });
  });

  it('is there for any reader of XMP', async () => {
    const { xmpAsString } = await sharp(path()).metadata();
    expect(xmpAsString).toBe(xmpPacket(provenance));
    const bytes = (await readFile(path())).toString('latin1');
    expect(bytes).toContain(`<Iptc4xmpExt:DigitalSourceType>${COMPOSITE_SOURCE_TYPE}<`);
    if (extension === 'png') expect(bytes).toContain('iTXtXML:com.adobe.xmp\0\0\0\0\0<?xpacket');
  });

  it.each(['png', 'jpeg', 'webp'] as const)('is still there after sharp has saved it as %s', async (format) => {
    for (const keep of ['keepMetadata', 'keepXmp', 'withMetadata'] as const) {
      const again = at(`again.${format}`);
      await sharp(path()).resize(20)[keep]().toFormat(format).toFile(again);
      expect((await pictureInfo(again)).provenance, keep).toEqual(provenance);
    }
  });

  it('is shown by info', async () => {
    const { code, out } = await run('info', path());
    expect(code).toBe(0);
    expect(out).toMatch(/^made with +ghostkit 1\.2\.3$/m);
    expect(out).toMatch(/^source type +a photograph with a part that a trained model made \(http.*Media\)$/m);
    expect(JSON.parse((await run('info', path(), '--json')).out)).toMatchObject({ path: path(), provenance });
  });
});

describe('provenance', () => {
  it('does not touch the pixels of a PNG', async () => {
    const image = pattern(31, 17);
    await writePicture(at('plain.png'), image);
    await writePicture(at('said.png'), image, provenance);
    for (const name of ['plain.png', 'said.png'])
      expect(new Uint8Array((await loadImage(at(name))).data)).toEqual(image.data);
  });

  it('is read in every way in which XMP may be written', () => {
    const attributes = `<rdf:Description xmp:CreatorTool="a &amp; b" Iptc4xmpExt:DigitalSourceType="${COMPOSITE_SOURCE_TYPE}"/>`;
    expect(readProvenance(attributes)).toEqual({
      creatorTool: 'a & b',
      digitalSourceType: COMPOSITE_SOURCE_TYPE,
    });
    const resource = `<Iptc4xmpExt:DigitalSourceType rdf:resource="${COMPOSITE_SOURCE_TYPE}"/>`;
    expect(readProvenance(resource)).toEqual({ digitalSourceType: COMPOSITE_SOURCE_TYPE });
    expect(readProvenance('no XML at all <<<')).toBeUndefined();
  });

  it('is the resource of the very element', () => {
    const read = (xmp: string) => readProvenance(xmp)?.creatorTool;
    expect(read('<xmp:CreatorTool a="1"\n rdf:resource="x>y"/>')).toBe('x>y');
    expect(read('<xmp:CreatorTool/><xmp:CreatorTool rdf:resource="second"/>')).toBe('second');
    expect(read('<xmp:CreatorTool a="1"> rdf:resource="text"</xmp:CreatorTool>')).toBeUndefined();
    expect(read('<xmp:CreatorTool a="1"><b rdf:resource="another"/></xmp:CreatorTool>')).toBeUndefined();
  });

  it('is looked for once in XMP of a megabyte, whatever is in it', () => {
    for (const piece of [
      '<xmp:CreatorTool ',
      '<xmp:CreatorTool>',
      ' xmp:CreatorTool="',
      '<xmp:CreatorTool rdf:resource="',
    ]) {
      expect(readProvenance(piece.repeat(2 ** 20 / piece.length))?.digitalSourceType).toBeUndefined();
    }
  });

  it('is not looked for behind the first megabyte', async () => {
    const xmp = (spaces: number) =>
      `<x:xmpmeta xmlns:x="adobe:ns:meta/">${' '.repeat(spaces)}${xmpPacket(provenance)}</x:xmpmeta>`;
    const picture = async (spaces: number) => {
      const { data, width, height } = pattern(8, 8);
      await sharp(data, { raw: { width, height, channels: 3 } })
        .withXmp(xmp(spaces))
        .webp()
        .toFile(at('long.webp'));
      return (await pictureInfo(at('long.webp'))).provenance;
    };
    expect(await picture(1 << 19)).toEqual(provenance);
    expect(await picture(1 << 20)).toBeUndefined();
  });

  it('is not claimed of a picture that says nothing', async () => {
    await sharp(Buffer.from(pattern(8, 8).data), { raw: { width: 8, height: 8, channels: 3 } })
      .avif()
      .toFile(at('plain.avif'));
    expect((await run('info', at('plain.avif'))).out).toContain('the file says nothing of how it was made');
  });

  it('says what is no picture', async () => {
    await writeFile(at('half.png'), (await readFile(at('said.png'))).subarray(0, 20));
    const { code, err } = await run('info', at('half.png'));
    expect(code).toBe(1);
    expect(err).toMatch(/^error: .*half\.png: not a picture that can be read \(.*\)\n$/);
  });
});
