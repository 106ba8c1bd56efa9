import { extname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { RgbImage } from '../data/resample.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { readBytes } from '../formats/files.js';
import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { type Provenance, readProvenance, xmpPacket } from './provenance.js';

export type PictureFormat = 'png' | 'jpeg' | 'webp';

const FORMATS: Readonly<Record<string, PictureFormat>> = {
  '.png': 'png',
  '.jpg': 'jpeg',
  '.jpeg': 'jpeg',
  '.webp': 'webp',
};

/** The format that a file's name asks for. Throws a {@link GhostkitError} for what has no place for provenance. */
export function pictureFormat(path: string): PictureFormat {
  const format = FORMATS[extname(path).toLowerCase()];
  if (!format)
    throw new GhostkitError(`${path}: the name of the output must end in ${Object.keys(FORMATS).join(', ')}`);
  return format;
}

/** A PNG with an `iTXt` chunk that holds XMP, right behind the header. libvips would write `zTXt`, which few readers look into. */
function withXmpChunk(png: Uint8Array, xmp: string): Uint8Array {
  const text = new TextEncoder();
  // Keyword, then: not compressed, no compression method, no language, no translated keyword.
  const body = new Uint8Array([...text.encode('iTXtXML:com.adobe.xmp'), 0, 0, 0, 0, 0, ...text.encode(xmp)]);
  const header = 8 + 12 + 13;
  const out = new Uint8Array(png.length + body.length + 8);
  out.set(png.subarray(0, header));
  const view = new DataView(out.buffer);
  view.setUint32(header, body.length - 4);
  out.set(body, header + 4);
  view.setUint32(header + 4 + body.length, crc32(body));
  out.set(png.subarray(header), header + body.length + 8);
  return out;
}

/** What a format can hold of a side, in pixels. */
const MOST_PIXELS: Readonly<Record<PictureFormat, number>> = { png: 2 ** 31 - 1, jpeg: 65535, webp: 16383 };

/** Throws a {@link GhostkitError} for a picture that a format cannot hold. */
export function checkFits(
  { width, height }: { readonly width: number; readonly height: number },
  format: PictureFormat,
): void {
  const most = MOST_PIXELS[format];
  if (width <= most && height <= most) return;
  throw new GhostkitError(`${width} x ${height} pixels: ${format} holds at most ${most} a side; png holds more`);
}

/**
 * A picture as the bytes of a file, with its provenance in XMP.
 *
 * @throws GhostkitError when the format cannot hold it, or its pixels are not as many as it says.
 */
export async function encodePicture(
  { width, height, data }: RgbImage,
  format: PictureFormat,
  provenance?: Provenance,
): Promise<Uint8Array> {
  checkFits({ width, height }, format);
  if (data.length !== 3 * width * height)
    throw new GhostkitError(`${width} x ${height} pixels of three bytes are not ${data.length} bytes`);
  const { default: sharp } = await import('sharp');
  const xmp = provenance && xmpPacket(provenance);
  const picture = sharp(data, { raw: { width, height, channels: 3 } });
  if (format === 'png') {
    const png = await picture.png().toBuffer();
    return xmp ? withXmpChunk(png, xmp) : png;
  }
  const described = xmp ? picture.withXmp(xmp) : picture;
  // Chroma at full resolution: a half of it would bleed over the edge of what was pasted.
  return format === 'jpeg'
    ? described.jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer()
    : described.webp({ quality: 95, smartSubsample: true }).toBuffer();
}

/** Writes a picture whole or not at all, in the format that its name asks for. */
export async function writePicture(path: string, image: RgbImage, provenance?: Provenance): Promise<void> {
  await writeFileAtomic(path, await encodePicture(image, pictureFormat(path), provenance));
}

/** What is read of a picture's XMP, in bytes; what says how it was made is short and near the beginning. */
const MAX_XMP = 1 << 20;

export interface PictureInfo {
  readonly format: string;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly space: string;
  readonly bytes: number;
  readonly provenance?: Provenance;
}

/**
 * What a picture file is, and what it says of how it was made; nothing is decoded.
 *
 * @throws GhostkitError when it cannot be read or is no picture.
 */
export async function pictureInfo(path: string): Promise<PictureInfo> {
  const bytes = await readBytes(path, 'pictures');
  const { default: sharp } = await import('sharp');
  try {
    const { format, autoOrient, channels, space, xmp } = await sharp(bytes, { limitInputPixels: false }).metadata();
    const provenance = xmp && readProvenance(new TextDecoder().decode(xmp.subarray(0, MAX_XMP)));
    const { width, height } = autoOrient;
    return { format, width, height, channels, space, bytes: bytes.length, ...(provenance && { provenance }) };
  } catch (error) {
    throw new GhostkitError(`${printable(path, 500)}: not a picture that can be read (${messageOf(error)})`, {
      cause: error,
    });
  }
}
