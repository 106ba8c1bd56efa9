import type { RgbImage } from '../data/resample.js';
import { type Image, needImage } from '../models/ghost2/images.js';
import type { LabelMap } from '../models/ghost2/masks.js';
import { float32 } from '../tensor/tensor.js';
import type { Point } from './geometry.js';
import type { FoundFace } from './plugins.js';

// Between pictures of 8 bits and what networks take and give, and stages as pictures to look at.

/** A picture as the networks of GHOST 2.0 take it: `[1,3,H,W]`, BGR in [-1, 1]. */
export function toImage({ width, height, data }: RgbImage): Image {
  const pixels = width * height;
  const out = new Float32Array(3 * pixels);
  for (let c = 0; c < 3; c++) {
    const plane = (2 - c) * pixels;
    for (let i = 0; i < pixels; i++) out[plane + i] = (data[3 * i + c] / 255 - 0.5) / 0.5;
  }
  return float32([1, 3, height, width], out);
}

/** What single precision may take from a whole number of 255ths, and a little more. */
const SLACK = 1e-3;

/** The picture of 8 bits. Values are cut off to whole ones, not rounded, as the original does. */
export function toRgb(image: Image): RgbImage {
  needImage('a picture', image, 3);
  const [, , height, width] = image.shape;
  const pixels = width * height;
  const data = new Uint8Array(3 * pixels);
  for (let c = 0; c < 3; c++) {
    const plane = (2 - c) * pixels;
    for (let i = 0; i < pixels; i++) {
      data[3 * i + c] = Math.min(255, Math.max(0, Math.floor((image.data[plane + i] / 2 + 0.5) * 255 + SLACK)));
    }
  }
  return { width, height, data };
}

/** A picture times one weight for each pixel; what is taken away becomes a middle grey. */
export function weighted(image: Image, weights: Image): Image {
  const pixels = weights.data.length;
  return { ...image, data: image.data.map((v, i) => v * weights.data[i % pixels]) };
}

/** `front` where `alpha` is 1, `back` where it is 0, and a mixture in between. */
export function composed(front: Image, back: Image, alpha: Image): Image {
  const pixels = alpha.data.length;
  const data = front.data.map((v, i) => {
    const a = alpha.data[i % pixels];
    return v * a + back.data[i] * (1 - a);
  });
  return { ...front, data };
}

/** One channel in 0 to 1 as a grey picture. */
export function grey({ shape, data }: Image): RgbImage {
  const [, , height, width] = shape;
  const bytes = Uint8Array.from(data, (v) => Math.round(Math.min(1, Math.max(0, v)) * 255));
  return greyBytes(bytes, width, height);
}

/** One byte for each pixel as a grey picture. */
export function greyBytes(data: Uint8Array, width: number, height: number): RgbImage {
  return { width, height, data: Uint8Array.from({ length: data.length * 3 }, (_, i) => data[Math.floor(i / 3)]) };
}

/** A colour for each of the 20 labels: neighbours in number are far apart in colour. */
const PALETTE = Array.from({ length: 21 }, (_, label) => {
  if (label === 0) return [0, 0, 0];
  const hue = (label * 0.61803) % 1;
  return [0, 1 / 3, 2 / 3].map((shift) => Math.round(140 + 115 * Math.cos(2 * Math.PI * (hue + shift))));
});

export function coloured({ width, height, data }: LabelMap): RgbImage {
  const colour = (i: number) => (PALETTE[data[Math.floor(i / 3)]] ?? [255, 255, 255])[i % 3];
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => colour(i)) };
}

/** The picture with a face's box, its landmarks and its five points drawn on it. */
export function marked(image: RgbImage, { box, points, landmarks = [] }: FoundFace): RgbImage {
  const { width, height } = image;
  const data = image.data.slice();
  const scale = Math.max(1, Math.round(box.width / 100));
  const dot = ([x, y]: Point, radius: number, colour: readonly number[]) => {
    for (let py = Math.max(0, Math.round(y - radius)); py <= Math.min(height - 1, Math.round(y + radius)); py++) {
      for (let px = Math.max(0, Math.round(x - radius)); px <= Math.min(width - 1, Math.round(x + radius)); px++) {
        data.set(colour, (py * width + px) * 3);
      }
    }
  };
  const { left, top } = box;
  for (let i = 0; i <= box.width; i++) {
    for (const y of [top, top + box.height]) dot([left + i, y], scale / 2, [255, 255, 0]);
  }
  for (let i = 0; i <= box.height; i++) {
    for (const x of [left, left + box.width]) dot([x, top + i], scale / 2, [255, 255, 0]);
  }
  for (const point of landmarks) dot(point, scale, [0, 255, 255]);
  for (const point of points) dot(point, 2 * scale, [255, 0, 0]);
  return { width, height, data };
}
