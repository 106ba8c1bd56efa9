import type { PictureInput } from '../hub/manifest.js';
import { type Image, maskImage } from '../models/ghost2/images.js';
import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, float32, formatShape } from '../tensor/tensor.js';
import { type OnnxNet, openOnnx, type RunOptions } from './backends.js';
import type { Inpainter, Matting, Segmenter } from './plugins.js';

/** A network as an ONNX file, and how it wants its pictures. */
export interface OnnxPlugin extends RunOptions {
  readonly name: string;
  readonly path: string;
  readonly input: PictureInput;
}

/** A picture as such networks take it: RGB planes, normalised. Refuses a size that the network was not made for. */
function asInput(what: string, picture: Image, { size, mean, std }: PictureInput): FloatTensor {
  const [, , height, width] = picture.shape;
  if (size !== undefined && (height !== size || width !== size)) {
    throw new GhostkitError(`${what}: takes ${size} x ${size} pixels, got ${width} x ${height}`);
  }
  const pixels = width * height;
  const data = new Float32Array(3 * pixels);
  for (let c = 0; c < 3; c++) {
    // BGR to RGB.
    const from = (2 - c) * pixels;
    for (let i = 0; i < pixels; i++) data[c * pixels + i] = ((picture.data[from + i] + 1) / 2 - mean[c]) / std[c];
  }
  return float32([1, 3, height, width], data);
}

/** The first output of a network with one, and what is wrong with it if its size is not the picture's. */
async function firstOutput(what: string, net: OnnxNet, inputs: Record<string, FloatTensor>, picture: Image) {
  const output = (await net.run(inputs))[net.outputs[0]];
  const [height, width] = picture.shape.slice(2);
  if (output.shape.length !== 4 || output.shape[2] !== height || output.shape[3] !== width) {
    throw new GhostkitError(`${what}: its output is ${formatShape(output.shape)}, not of the picture's size`);
  }
  return output;
}

/** The label of every pixel: the output itself when it has one channel, else the channel with the largest value. */
function labelsOf({ shape, data }: FloatTensor): Uint8Array {
  const [, channels, height, width] = shape;
  const pixels = height * width;
  const labels = new Uint8Array(pixels);
  if (channels === 1) return labels.map((_, i) => data[i]);
  for (let i = 0; i < pixels; i++) {
    let best = 0;
    for (let c = 1; c < channels; c++) if (data[c * pixels + i] > data[best * pixels + i]) best = c;
    labels[i] = best;
  }
  return labels;
}

/** Head parsing by a network like SegFormer-B5: labels, or one plane for each of them. */
export async function onnxSegmenter({ name, path, input, ...options }: OnnxPlugin): Promise<Segmenter> {
  const net = await openOnnx(name, path, options);
  return {
    name: `${name} (${net.runtime})`,
    async parse(picture) {
      const output = await firstOutput(name, net, { [net.inputs[0]]: asInput(name, picture, input) }, picture);
      return { width: output.shape[3], height: output.shape[2], data: labelsOf(output) };
    },
    close: () => net.close(),
  };
}

/** Matting by a network whose first output is alpha. */
export async function onnxMatting({ name, path, input, ...options }: OnnxPlugin): Promise<Matting> {
  const net = await openOnnx(name, path, options);
  return {
    name: `${name} (${net.runtime})`,
    async alpha(picture) {
      const { shape, data } = await firstOutput(name, net, { [net.inputs[0]]: asInput(name, picture, input) }, picture);
      const alpha = data.subarray(0, shape[2] * shape[3]).map((v) => Math.min(1, Math.max(0, v)));
      return float32([1, 1, shape[2], shape[3]], alpha);
    },
    close: () => net.close(),
  };
}

/** Inpainting by LaMa: a picture in 0 to 1 and a mask in, a picture in 0 to 255 out. */
export async function onnxInpainter({ name, path, input, ...options }: OnnxPlugin): Promise<Inpainter> {
  const net = await openOnnx(name, path, options);
  return {
    name: `${name} (${net.runtime})`,
    async fill(picture, mask) {
      const image = asInput(name, picture, input);
      // In whole 255ths, as the original passes its pictures on.
      const whole = { ...image, data: image.data.map((v) => Math.floor(Math.min(1, Math.max(0, v)) * 255) / 255) };
      const feeds = { [net.inputs[0]]: whole, [net.inputs[1]]: maskImage(mask) };
      const { data } = await firstOutput(name, net, feeds, picture);
      const pixels = mask.data.length;
      const out = new Float32Array(3 * pixels);
      for (let c = 0; c < 3; c++) {
        for (let i = 0; i < pixels; i++) {
          const filled = Math.min(255, Math.max(0, Math.floor(data[(2 - c) * pixels + i])));
          out[c * pixels + i] = (filled / 255) * 2 - 1;
        }
      }
      return float32(picture.shape, out);
    },
    close: () => net.close(),
  };
}
