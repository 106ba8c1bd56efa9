import { evaluate } from '../../graph/evaluate.js';
import { input } from '../../graph/leaves.js';
import { resizeBilinear } from '../../ops/index.js';
import { GhostkitError } from '../../tensor/error.js';
import { type FloatTensor, float32, formatShape } from '../../tensor/tensor.js';
import type { Mask } from './masks.js';

/** A picture between networks: `[1,C,H,W]`, in [-1, 1], the colours in BGR order. */
export type Image = FloatTensor;

/** Throws unless `image` is one picture with `channels` channels. */
export function needImage(what: string, image: Image, channels: number): void {
  const { shape } = image;
  if (shape.length !== 4 || shape[0] !== 1 || shape[1] !== channels) {
    throw new GhostkitError(`${what}: needs [1,${channels},H,W], got ${formatShape(shape)}`);
  }
}

/** Throws unless `mask` has the size of `image`. */
export function needMaskOf(what: string, { width, height }: Omit<Mask, 'data'>, image: Image): void {
  const [, , h, w] = image.shape;
  if (w !== width || h !== height) {
    throw new GhostkitError(`${what}: ${width}x${height} pixels for a picture of ${w}x${h}`);
  }
}

/** The picture with what is outside of the mask set to zero, a middle grey. */
export function masked(image: Image, mask: Mask): Image {
  needMaskOf('mask', mask, image);
  const pixels = mask.data.length;
  return { ...image, data: image.data.map((v, i) => v * mask.data[i % pixels]) };
}

/** A mask as a picture of one channel, 0 and 1. */
export function maskImage({ width, height, data }: Mask): Image {
  return float32([1, 1, height, width], Float32Array.from(data));
}

/** The brightness of a BGR picture, `[1,1,H,W]` (ITU-R 601 with torchvision's digits). */
export function grayscale(image: Image): Image {
  needImage('grayscale', image, 3);
  const [, , h, w] = image.shape;
  const pixels = h * w;
  const gray = new Float32Array(pixels);
  const { data } = image;
  for (let i = 0; i < pixels; i++) gray[i] = 0.114 * data[i] + 0.587 * data[pixels + i] + 0.2989 * data[2 * pixels + i];
  return float32([1, 1, h, w], gray);
}

/** A picture at another size, between its pixels and without antialiasing. */
export function resized(image: Image, height: number, width: number, { alignCorners = false } = {}): Image {
  const x = input('x', image.shape);
  const outputs = { y: resizeBilinear(x, [height, width], { alignCorners }) };
  const { y } = evaluate({ inputs: { x }, outputs }, { x: Float64Array.from(image.data) });
  return float32(y.shape, Float32Array.from(y.data));
}

/** Pictures of one size behind one another: `[1, sum of channels, H, W]`. */
export function stacked(images: readonly Image[]): Image {
  const [, , h, w] = images[0].shape;
  const channels = images.reduce((n, { shape }) => n + shape[1], 0);
  const data = new Float32Array(channels * h * w);
  let at = 0;
  for (const image of images) {
    data.set(image.data, at);
    at += image.data.length;
  }
  return float32([1, channels, h, w], data);
}
