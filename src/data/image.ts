import type { Metadata, Sharp } from 'sharp';
import { readBytes } from '../formats/files.js';
import { printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { decodingBytes, MAX_DECODING, MemoryBudget } from './picture-memory.js';
import type { RgbImage } from './resample.js';

/** More than any camera takes. A small file can claim any size, so a picture beyond this is refused unread. */
const MAX_PIXELS = 0x3fff * 0x3fff;

/** Larger pictures are shrunk while they are read, so that the pixels of one take at most about 200 MB. */
const KEPT_PIXELS = 64e6;

/** What is decoded. Drawings and documents (SVG, PDF) are left out: rendering those runs far more code on a stranger's file. */
const FORMATS = new Set(['jpeg', 'png', 'webp', 'gif', 'heif', 'tiff']);

/** The endings of the files that {@link loadImage} reads, for finding pictures in a folder. */
export const IMAGE_EXTENSIONS = ['jpg', 'jpeg', 'png', 'webp', 'gif', 'avif', 'tif', 'tiff'] as const;

const READABLE = 'JPEG, PNG, WebP, AVIF, GIF or TIFF';

/** The decoder's complaint in one line, without the names of the functions that it came through. */
function explain(name: string, error: unknown): GhostkitError {
  const [first] = (error instanceof Error ? error.message : String(error)).trim().split('\n');
  const reason = first
    .replace(/^Input (buffer|file) has corrupt header: /, '')
    .replace(/^\w+: /, '')
    .replace(/[.:\s]+$/, '');
  const what = /unsupported image format|is empty$/i.test(reason)
    ? `not a picture (${READABLE})`
    : `the picture is damaged or cut off (${printable(reason)})`;
  return new GhostkitError(`${name}: ${what}`, { cause: error });
}

const budget = new MemoryBudget(MAX_DECODING);

export interface LoadOptions {
  /** A picture whose short side is longer comes shrunk to it: training needs no more, and a JPEG is then read faster. */
  readonly shortSide?: number;
  /** What messages call a picture that comes as bytes. */
  readonly name?: string;
}

/** The factor by which a picture is shrunk while it is read; 1 for not at all. */
function shrinking(width: number, height: number, shortSide: number | undefined): number {
  const forMemory = Math.min(1, Math.sqrt(KEPT_PIXELS / (width * height)));
  return shortSide === undefined ? forMemory : Math.min(forMemory, shortSide / Math.min(width, height));
}

/**
 * Decodes a picture: the file at a path, or its bytes. The result is 8-bit sRGB whatever the file has: grey, CMYK and
 * 16-bit pixels and colour profiles are converted, transparent pixels are laid on white, the camera's orientation is
 * applied, and of an animation it is the first frame. Files are not trusted: what is refused is refused in one line.
 *
 * @throws GhostkitError when it cannot be read, is no picture, is damaged or cut off, has over 268 million pixels or would take over 1 GB of
 * memory to decode; of a file, when it is larger than 512 MiB.
 */
export async function loadImage(source: string | Uint8Array, options: LoadOptions = {}): Promise<RgbImage> {
  const name = printable(typeof source === 'string' ? source : (options.name ?? 'the picture'), 500);
  const bytes = typeof source === 'string' ? await readBytes(source, 'pictures') : source;
  // Loaded at the first picture: whoever only uses the networks needs no decoder.
  const { default: sharp } = await import('sharp');
  let metadata: Metadata;
  const open = (): Sharp => sharp(bytes, { failOn: 'error', limitInputPixels: false, autoOrient: true });
  try {
    metadata = await open().metadata();
  } catch (error) {
    throw explain(name, error);
  }
  const { format, autoOrient } = metadata;
  const { width, height } = autoOrient;
  if (!FORMATS.has(format)) throw new GhostkitError(`${name}: not a picture (${READABLE}) but ${format}`);
  if (width * height > MAX_PIXELS) {
    throw new GhostkitError(
      `${name}: ${width} x ${height} pixels are too many, the limit is ${Math.floor(MAX_PIXELS / 1e6)} million`,
    );
  }
  const factor = shrinking(width, height, options.shortSide);
  const shrunk = (size: number) => Math.max(1, Math.floor(size * factor + 1e-6));
  const [outWidth, outHeight] = factor < 1 ? [shrunk(width), shrunk(height)] : [width, height];
  const bytesNeeded = decodingBytes(metadata, outWidth * outHeight);
  if (bytesNeeded > MAX_DECODING) {
    const gigabytes = (bytes: number) => Number((bytes / 1e9).toPrecision(2));
    throw new GhostkitError(
      `${name}: decoding ${width} x ${height} pixels of this kind would take about ${gigabytes(bytesNeeded)} GB of memory, the limit is ${gigabytes(MAX_DECODING)} GB`,
    );
  }
  let picture = open();
  if (factor < 1) picture = picture.resize(outWidth, outHeight, { fit: 'fill', kernel: 'cubic' });
  try {
    const { data, info } = await budget.run(bytesNeeded, () =>
      picture
        .flatten({ background: 'white' })
        .toColourspace('srgb')
        .raw({ depth: 'uchar' })
        .toBuffer({ resolveWithObject: true }),
    );
    // Not the decoder's Buffer, whose `slice` is no copy.
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { width: info.width, height: info.height, data: pixels };
  } catch (error) {
    throw explain(name, error);
  }
}
