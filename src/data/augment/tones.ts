import type { RgbImage } from '../resample.js';
import { lookUp } from './color.js';

// Operations on the tones of each channel by itself, as Pillow's ImageOps has them.

const table = (of: (value: number) => number): Uint8Array => Uint8Array.from({ length: 256 }, (_, v) => of(v));

/** The negative. */
export function invert(image: RgbImage): RgbImage {
  return lookUp(
    image,
    table((v) => 255 - v),
  );
}

/** The negative of what is `threshold` (0 to 256) or more. */
export function solarize(image: RgbImage, threshold: number): RgbImage {
  return lookUp(
    image,
    table((v) => (v < threshold ? v : 255 - v)),
  );
}

/** Adds to what is less than 128, up to 255. */
export function solarizeAdd(image: RgbImage, add: number): RgbImage {
  return lookUp(
    image,
    table((v) => (v < 128 ? Math.min(255, v + add) : v)),
  );
}

/** Keeps the `bits` (0 to 8) highest bits. */
export function posterize(image: RgbImage, bits: number): RgbImage {
  const mask = (0xff00 >> bits) & 0xff;
  return lookUp(
    image,
    table((v) => v & mask),
  );
}

function histogram({ data }: RgbImage, channel: number): Int32Array {
  const counts = new Int32Array(256);
  for (let i = channel; i < data.length; i += 3) counts[data[i]]++;
  return counts;
}

const CHANNELS = [0, 1, 2] as const;

/** Stretches each channel so that its darkest value becomes 0 and its brightest 255. */
export function autoContrast(image: RgbImage): RgbImage {
  const tables = CHANNELS.map((c) => {
    const counts = histogram(image, c);
    const low = counts.findIndex((n) => n > 0);
    const high = counts.findLastIndex((n) => n > 0);
    if (high <= low) return table((v) => v);
    const scale = 255 / (high - low);
    const offset = -low * scale;
    return table((v) => Math.min(255, Math.max(0, Math.trunc(v * scale + offset))));
  });
  return lookUp(image, tables);
}

/** Spreads the values of each channel so that all are about as frequent. */
export function equalize(image: RgbImage): RgbImage {
  const tables = CHANNELS.map((c) => {
    const counts = histogram(image, c);
    const used = counts.filter((n) => n > 0);
    const step = Math.floor((image.width * image.height - used[used.length - 1]) / 255);
    if (used.length <= 1 || step === 0) return table((v) => v);
    let before = Math.floor(step / 2);
    return table((v) => {
      const level = Math.min(255, Math.floor(before / step));
      before += counts[v];
      return level;
    });
  });
  return lookUp(image, tables);
}
