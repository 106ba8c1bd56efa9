import type { Raster, Region } from '../data/resample.js';
import { cropSource, type Preprocessing, toTensor as rasterToTensor } from '../data/transform.js';
import { messageOf } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import type { FloatTensor } from '../tensor/tensor.js';

/** What a picture may come as. */
export type PictureSource =
  | HTMLImageElement
  | HTMLVideoElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | VideoFrame
  | ImageBitmap
  | ImageData
  | Blob;

/** What a picture can be sent to a worker as. */
export type SendablePicture = ImageBitmap | ImageData | Blob;

/** Whether something is of one of the browser's types; a worker does not have all of them. */
const is = <T>(source: unknown, type: string): source is T => {
  const known = (globalThis as Record<string, unknown>)[type];
  return typeof known === 'function' && source instanceof (known as new () => T);
};

/** A picture in a form that a worker takes. An element's picture is taken now: what it shows later does not matter. */
export async function sendable(source: PictureSource): Promise<{ picture: SendablePicture; transfer: ImageBitmap[] }> {
  if (is<ImageData>(source, 'ImageData') || is<Blob>(source, 'Blob')) return { picture: source, transfer: [] };
  const picture = await bitmapOf(source);
  return { picture, transfer: [picture] };
}

async function bitmapOf(source: PictureSource): Promise<ImageBitmap> {
  if (is<HTMLVideoElement>(source, 'HTMLVideoElement') && source.readyState < 2) {
    throw new GhostkitError('the video has no picture yet; wait for its loadeddata event');
  }
  if (is<HTMLImageElement>(source, 'HTMLImageElement') && !source.complete) await source.decode().catch(() => {});
  const known = [
    ...['Blob', 'ImageBitmap', 'ImageData', 'HTMLImageElement', 'HTMLVideoElement'],
    ...['HTMLCanvasElement', 'OffscreenCanvas', 'VideoFrame'],
  ];
  if (!known.some((type) => is(source, type))) {
    throw new GhostkitError(
      'a picture is an image, video or canvas element, ImageBitmap, ImageData, VideoFrame or Blob',
    );
  }
  try {
    return await createImageBitmap(source);
  } catch (error) {
    throw new GhostkitError(`the picture cannot be decoded (${messageOf(error)})`, { cause: error });
  }
}

/**
 * The pixels of the part of a picture that is looked at, as Node's reader has them: sRGB, transparent ones laid on white, the camera's
 * orientation applied.
 */
async function rasterOf(source: PictureSource, preprocessing: Preprocessing): Promise<Raster> {
  if (is<ImageData>(source, 'ImageData')) {
    const { width, height, data, colorSpace = 'srgb' } = source;
    // Of other colours, or in 16-bit floats, they are what the browser makes of them.
    if (colorSpace === 'srgb' && data instanceof Uint8ClampedArray) {
      return { width, height, data: onWhite(data), channels: 4 };
    }
  }
  const owned = !is<ImageBitmap>(source, 'ImageBitmap');
  const bitmap = owned ? await bitmapOf(source) : source;
  try {
    const { width, height } = bitmap;
    if (width === 0 || height === 0) throw new GhostkitError('the picture has no pixels');
    const part = cropSource(bitmap, preprocessing);
    return { width, height, data: readBack(bitmap, part), channels: 4, part };
  } finally {
    if (owned) bitmap.close();
  }
}

/** Transparent pixels laid on white; the same array where there are none. */
function onWhite(pixels: Uint8ClampedArray): Uint8Array {
  let data = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.length);
  for (let i = 3; i < data.length; i += 4) {
    const alpha = pixels[i];
    if (alpha === 255) continue;
    if (data.buffer === pixels.buffer) data = data.slice();
    for (let c = i - 3; c < i; c++) data[c] = Math.round((alpha * pixels[c] + (255 - alpha) * 255) / 255);
  }
  return data;
}

type Context = OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D;

/** Kept from picture to picture: a camera's are all of one size. */
let context: Context | undefined;

function contextOf(width: number, height: number): Context {
  if (context?.canvas.width !== width || context.canvas.height !== height) {
    const canvas =
      typeof OffscreenCanvas === 'undefined'
        ? Object.assign(document.createElement('canvas'), { width, height })
        : new OffscreenCanvas(width, height);
    // In the processor's memory, where it is read.
    const options: CanvasRenderingContext2DSettings = { willReadFrequently: true, colorSpace: 'srgb' };
    context = (canvas.getContext('2d', options) as Context | null) ?? undefined;
  }
  if (!context) throw new GhostkitError(`there is no memory for a picture of ${width} x ${height} pixels`);
  return context;
}

function readBack(bitmap: ImageBitmap, { left, top, width, height }: Region): Uint8Array {
  const to = contextOf(width, height);
  to.fillStyle = '#fff';
  to.fillRect(0, 0, width, height);
  to.drawImage(bitmap, -left, -top);
  try {
    const { data } = to.getImageData(0, 0, width, height);
    return new Uint8Array(data.buffer);
  } catch (error) {
    if ((error as DOMException).name !== 'SecurityError') throw error;
    context = undefined;
    throw unreadable(error);
  }
}

export function unreadable(cause: unknown): GhostkitError {
  const what = 'the picture is from another site, which does not let this page read it';
  return new GhostkitError(`${what}; with CORS headers there, set crossorigin on the element`, { cause });
}

/**
 * A picture as a network's input `[1,3,size,size]`: cut and resized to the bit as in Node, with the same antialiased filter, which no
 * canvas has, and normalised.
 *
 * @throws GhostkitError when it is no picture, cannot be decoded, or may not be read.
 */
export async function toTensor(source: PictureSource, preprocessing: Preprocessing): Promise<FloatTensor> {
  return rasterToTensor(await rasterOf(source, preprocessing), preprocessing);
}
