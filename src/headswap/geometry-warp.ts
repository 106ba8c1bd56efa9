import type { Region, RgbImage } from '../data/resample.js';
import { GhostkitError } from '../tensor/error.js';
import { invertTransform, type Transform } from './geometry.js';

/** Positions between pixels are rounded to 1/32, as OpenCV's tables of weights have it. */
const SUBPIXEL_BITS = 5;
const SUBPIXELS = 1 << SUBPIXEL_BITS;
/** Positions are summed up in 1/1024 px and then rounded to 1/32. */
const POSITION_BITS = 10;
const POSITION_SCALE = 1 << POSITION_BITS;
const ROUND_SUBPIXEL = POSITION_SCALE / SUBPIXELS / 2;
const TO_SUBPIXEL = POSITION_BITS - SUBPIXEL_BITS;
/** Beyond this, no picture has pixels; keeps the sum of two terms within 32 bits. */
const FAR = 2 ** 29;

const fixed = (v: number): number => Math.round(Math.min(FAR, Math.max(-FAR, v * POSITION_SCALE)));

/** For every pixel of a region of the output, where in the input it comes from, in 1/32 px: OpenCV's roundings. */
interface SourcePositions {
  /** What each column adds to x and to y, in 1/1024 px. */
  readonly columnX: Int32Array;
  readonly columnY: Int32Array;
  /** What each row adds, rounding included. */
  readonly rowX: Int32Array;
  readonly rowY: Int32Array;
}

/** The positions in the input for the pixels of `region`, `inverse` mapping the output to the input. */
function sourcePositions([a, b, c, d, e, f]: Transform, { left, top, width, height }: Region): SourcePositions {
  const along = (n: number, first: number, value: (i: number) => number) =>
    Int32Array.from({ length: n }, (_, i) => fixed(value(first + i)));
  return {
    columnX: along(width, left, (x) => a * x),
    columnY: along(width, left, (x) => d * x),
    rowX: along(height, top, (y) => b * y + c).map((v) => v + ROUND_SUBPIXEL),
    rowY: along(height, top, (y) => e * y + f).map((v) => v + ROUND_SUBPIXEL),
  };
}

/** Interleaved 8-bit pixels, rows from the top. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** Throws unless a picture has as many bytes as its size says. */
function check({ width, height, channels, data }: Pixels): void {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new GhostkitError(`a picture of ${width} x ${height} pixels has none`);
  }
  const bytes = width * height * channels;
  if (data.length !== bytes) {
    throw new GhostkitError(`a picture of ${width} x ${height} pixels needs ${bytes} bytes, got ${data.length}`);
  }
}

/**
 * A picture moved by `transform` (from its pixels to the output's) into `width` x `height` pixels: OpenCV's `warpAffine`
 * with bilinear interpolation and a constant border, with its fixed-point roundings.
 *
 * @param border What lies outside of the picture, in every channel, 0 to 255.
 * @throws GhostkitError when the transform has no inverse or the picture's size is not that of its data.
 */
export function warpAffine(image: RgbImage, transform: Transform, width: number, height: number, border = 0): RgbImage {
  const region = { left: 0, top: 0, width, height };
  return { width, height, data: warpRegion({ ...image, channels: 3 }, invertTransform(transform), region, border) };
}

/** {@link warpAffine} of one channel, such as a mask: rows from the top, `data.length` is width times height. */
export function warpMask(
  mask: Omit<Pixels, 'channels'>,
  transform: Transform,
  width: number,
  height: number,
  border = 0,
): Uint8Array {
  const region = { left: 0, top: 0, width, height };
  return warpRegion({ ...mask, channels: 1 }, invertTransform(transform), region, border);
}

/** The pixels of one region of a warp's output; `inverse` maps the output to the input. */
export function warpRegion(image: Pixels, inverse: Transform, region: Region, border = 0): Uint8Array {
  check(image);
  const { columnX, columnY, rowX, rowY } = sourcePositions(inverse, region);
  const { data, width: w, height: h, channels } = image;
  const { width, height } = region;
  const stride = w * channels;
  const out = new Uint8Array(width * height * channels);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const px = (rowX[y] + columnX[x]) >> TO_SUBPIXEL;
      const py = (rowY[y] + columnY[x]) >> TO_SUBPIXEL;
      const ix = px >> SUBPIXEL_BITS;
      const iy = py >> SUBPIXEL_BITS;
      if (ix < -1 || iy < -1 || ix >= w || iy >= h) {
        for (let c = 0; c < channels; c++) out[at++] = border;
        continue;
      }
      const fx = px & (SUBPIXELS - 1);
      const fy = py & (SUBPIXELS - 1);
      // Weights in 1/1024, as the products of 1/32 are.
      const w11 = fx * fy;
      const w10 = (fy << SUBPIXEL_BITS) - w11;
      const w01 = (fx << SUBPIXEL_BITS) - w11;
      const w00 = POSITION_SCALE - w01 - w10 - w11;
      const p = iy * stride + ix * channels;
      if (ix >= 0 && iy >= 0 && ix < w - 1 && iy < h - 1) {
        for (let i = p; i < p + channels; i++) {
          const j = i + stride;
          out[at++] = (w00 * data[i] + w01 * data[i + channels] + w10 * data[j] + w11 * data[j + channels] + 512) >> 10;
        }
      } else {
        // Some of the four neighbours lie outside.
        const left = ix >= 0;
        const right = ix < w - 1;
        const above = iy >= 0;
        const below = iy < h - 1;
        for (let i = p; i < p + channels; i++) {
          const j = i + stride;
          const v00 = above && left ? data[i] : border;
          const v01 = above && right ? data[i + channels] : border;
          const v10 = below && left ? data[j] : border;
          const v11 = below && right ? data[j + channels] : border;
          out[at++] = (w00 * v00 + w01 * v01 + w10 * v10 + w11 * v11 + 512) >> 10;
        }
      }
    }
  }
  return out;
}
