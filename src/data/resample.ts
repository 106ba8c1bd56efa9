import { GhostkitError } from '../tensor/error.js';

/** Interleaved 8-bit RGB, rows from the top. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** What {@link resample} reads: a picture, of which only a part may be at hand, with or without a fourth byte for each pixel. */
export interface Raster extends RgbImage {
  /** Bytes of a pixel (default 3); a fourth one, which a canvas has, is not looked at. */
  readonly channels?: 3 | 4;
  /** The part of the picture that `data` holds (default: all of it). */
  readonly part?: Region;
}

export type Interpolation = 'bilinear' | 'bicubic';

/** A part of the resized picture, in its pixels. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

interface Kernel {
  readonly support: number;
  readonly weight: (distance: number) => number;
}

/** The cubic with a = -1/2 (Catmull-Rom), as Pillow's. */
function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

const KERNELS: Record<Interpolation, Kernel> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: cubic },
};

/** Weights are integers over 2^22: with them a sum over 8-bit pixels stays within 32 bits. */
const PRECISION = 22;

/** Output positions `from` to `from + count` of one axis: which inputs each reads, and with which weights. */
interface Taps {
  /** For each output its first input and how many it reads. */
  readonly first: Int32Array;
  readonly length: Int32Array;
  /** `stride` weights for each output. */
  readonly weights: Int32Array;
  readonly stride: number;
}

function tapsOf(kernel: Kernel, inSize: number, outSize: number, from: number, count: number): Taps {
  const scale = inSize / outSize;
  // Shrinking widens the kernel to the size of an output pixel: that is the antialiasing.
  const spread = Math.max(scale, 1);
  const support = kernel.support * spread;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(count);
  const length = new Int32Array(count);
  const weights = new Int32Array(count * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < count; i++) {
    const center = (from + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const n = Math.min(inSize, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < n; k++) {
      exact[k] = kernel.weight((k + start - center + 0.5) * (1 / spread));
      sum += exact[k];
    }
    for (let k = 0; k < n; k++) {
      const scaled = (exact[k] / sum) * (1 << PRECISION);
      weights[i * stride + k] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    first[i] = start;
    length[i] = n;
  }
  return { first, length, weights, stride };
}

const rounded = (sum: number): number => {
  const value = (sum + (1 << (PRECISION - 1))) >> PRECISION;
  return Math.min(255, Math.max(0, value));
};

/** Rows `fromRow` to `fromRow + rows` of the input, resampled along x. */
function alongX(image: Raster, taps: Taps, fromRow: number, rows: number): Uint8Array {
  const { first, length, weights, stride } = taps;
  const count = first.length;
  const { data, channels = 3, part } = image;
  const { left, top, width } = part ?? { left: 0, top: 0, width: image.width };
  const out = new Uint8Array(rows * count * 3);
  for (let y = 0, at = 0; y < rows; y++) {
    const row = (fromRow + y - top) * width - left;
    for (let x = 0; x < count; x++, at += 3) {
      let pixel = (row + first[x]) * channels;
      const end = x * stride + length[x];
      let r = 0;
      let g = 0;
      let b = 0;
      for (let k = x * stride; k < end; k++, pixel += channels) {
        const w = weights[k];
        r += w * data[pixel];
        g += w * data[pixel + 1];
        b += w * data[pixel + 2];
      }
      out[at] = rounded(r);
      out[at + 1] = rounded(g);
      out[at + 2] = rounded(b);
    }
  }
  return out;
}

/** Rows of `rowLength` bytes, resampled along y; `data` begins at row `fromRow` of the input. */
function alongY(data: Uint8Array, rowLength: number, taps: Taps, fromRow: number): Uint8Array {
  const { first, length, weights, stride } = taps;
  const out = new Uint8Array(first.length * rowLength);
  const sums = new Float64Array(rowLength);
  for (let y = 0; y < first.length; y++) {
    sums.fill(0);
    for (let k = 0; k < length[y]; k++) {
      const w = weights[y * stride + k];
      const row = (first[y] - fromRow + k) * rowLength;
      for (let x = 0; x < rowLength; x++) sums[x] += w * data[row + x];
    }
    const at = y * rowLength;
    for (let x = 0; x < rowLength; x++) out[at + x] = rounded(sums[x]);
  }
  return out;
}

function checkArguments(width: number, height: number, interpolation: Interpolation, region: Region): void {
  const { left, top } = region;
  const isSide = (side: number) => Number.isInteger(side) && side > 0;
  if (![width, height, region.width, region.height].every(isSide) || !Number.isInteger(left) || !Number.isInteger(top))
    throw new GhostkitError(`a picture cannot be resized to ${width} x ${height}, cut to ${JSON.stringify(region)}`);
  if (left < 0 || top < 0 || left + region.width > width || top + region.height > height)
    throw new GhostkitError(`${JSON.stringify(region)} is not within ${width} x ${height}`);
  if (!Object.hasOwn(KERNELS, interpolation)) {
    throw new GhostkitError(`there is no interpolation ${interpolation}; there are ${Object.keys(KERNELS).join(', ')}`);
  }
}

/**
 * The part `region` of `image` resized to `width` x `height`, antialiased, to the bit what Pillow computes: the networks
 * were trained and evaluated on its pixels, and other resizers differ from it by up to 5 of 255. Nothing outside of
 * `region` is computed; a picture that has the size already is returned itself.
 *
 * @throws GhostkitError for sizes that are no positive integers, a region outside, and an interpolation that there is not.
 */
export function resample(
  image: Raster,
  width: number,
  height: number,
  interpolation: Interpolation,
  region: Region = { left: 0, top: 0, width, height },
): RgbImage {
  checkArguments(width, height, interpolation, region);
  const unmoved = region.left === 0 && region.top === 0;
  const whole =
    unmoved && region.width === image.width && region.height === image.height && !image.part && image.channels !== 4;
  if (whole && width === image.width && height === image.height) return image;
  const kernel = KERNELS[interpolation];
  const across = tapsOf(kernel, image.width, width, region.left, region.width);
  const down = tapsOf(kernel, image.height, height, region.top, region.height);
  const last = region.height - 1;
  const fromRow = down.first[0];
  const rows = down.first[last] + down.length[last] - fromRow;
  const narrowed = alongX(image, across, fromRow, rows);
  return { width: region.width, height: region.height, data: alongY(narrowed, region.width * 3, down, fromRow) };
}

/** The inputs that outputs `from` to `from + count` of an axis read. */
function reach(
  kernel: Kernel,
  inSize: number,
  outSize: number,
  from: number,
  count: number,
): [first: number, n: number] {
  const { first, length } = tapsOf(kernel, inSize, outSize, from, count);
  const end = first[count - 1] + length[count - 1];
  return [first[0], end - first[0]];
}

/** The part of a picture of `size` that {@link resample} reads for `region` of the picture resized to `width` x `height`. */
export function sourceOf(
  size: { readonly width: number; readonly height: number },
  width: number,
  height: number,
  interpolation: Interpolation,
  region: Region,
): Region {
  const kernel = KERNELS[interpolation];
  const [left, across] = reach(kernel, size.width, width, region.left, region.width);
  const [top, down] = reach(kernel, size.height, height, region.top, region.height);
  return { left, top, width: across, height: down };
}
