import type { Metadata } from 'sharp';

/**
 * What decoding may take, in bytes: pictures that one thread decodes together share it, and one that needs more by itself is refused. Photographs are
 * far below: decoders go through plain JPEG and PNG line by line, at any size, and 1 GB holds 120 megapixels of progressive JPEG or 50 of AVIF.
 */
export const MAX_DECODING = 1e9;

const SAMPLE_BYTES: Readonly<Record<string, number>> = {
  ...{ uchar: 1, char: 1, ushort: 2, short: 2, uint: 4, int: 4, float: 4 },
  ...{ complex: 8, double: 8, dpcomplex: 16 },
};

/** Lines that the steps from a file to its pixels hold together. Few compared to the height of a photograph; of a very wide picture it is most. */
const LINES = 1500;

/** With fewer lines than that, how often each is held. */
const COPIES = 3;

type Kind = Pick<Metadata, 'format' | 'width' | 'height' | 'channels' | 'depth' | 'isProgressive' | 'orientation'>;

/** Bytes a pixel that a decoder holds of the whole picture before it gives out the first line, as measured. */
function heldPerPixel({ format, channels, isProgressive }: Kind, pixelBytes: number): number {
  switch (format) {
    case 'jpeg':
      // Coefficients of all scans, as 16-bit integers.
      return isProgressive ? 2 * channels : 0;
    case 'png':
      return isProgressive ? pixelBytes : 0;
    case 'gif':
      return 5;
    case 'webp':
      return 8;
    case 'heif':
      return 5 * pixelBytes;
    default:
      // A TIFF may be one strip, which the metadata do not tell.
      return pixelBytes;
  }
}

/** About how much memory decoding a picture takes that comes out with `pixels` pixels, in bytes. */
export function decodingBytes(picture: Kind, pixels: number): number {
  const { width, height, channels, depth, orientation = 1 } = picture;
  const pixelBytes = channels * (SAMPLE_BYTES[depth] ?? 8);
  const whole = heldPerPixel(picture, pixelBytes) * width * height;
  const lines = Math.min(LINES, COPIES * height) * width * pixelBytes;
  // Turning needs the whole, once it is shrunk.
  const turned = orientation > 1 ? pixels * pixelBytes : 0;
  return whole + lines + turned + 3 * pixels;
}

/** Lets tasks run at the same time as long as what they take fits together; one that does not fit runs alone. */
export class MemoryBudget {
  private used = 0;
  private waiting: (() => void)[] = [];

  constructor(private readonly limit: number) {}

  async run<T>(bytes: number, task: () => Promise<T>): Promise<T> {
    while (this.used > 0 && this.used + bytes > this.limit) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    this.used += bytes;
    try {
      return await task();
    } finally {
      this.used -= bytes;
      for (const resolve of this.waiting.splice(0)) resolve();
    }
  }
}
