import { GhostkitError } from '../../tensor/error.js';
import type { Mask } from './masks.js';

/**
 * A flat structuring element: which pixels around the origin count. The origin is at `floor(size / 2)`, as in kornia.
 * A dilation reads it turned by half a turn, an erosion as it is.
 */
export type StructuringElement = Mask;

/** The disc that fits into a square of `diameter` (odd) pixels. */
export function disc(diameter: number): StructuringElement {
  const radius = (diameter - 1) / 2;
  const data = new Uint8Array(diameter * diameter);
  for (let i = 0; i < data.length; i++) {
    const y = Math.floor(i / diameter) - radius;
    const x = (i % diameter) - radius;
    data[i] = x * x + y * y <= radius * radius ? 1 : 0;
  }
  return { width: diameter, height: diameter, data };
}

/** The neighbours `from` to `to` (exclusive) in the row `dy` below, relative to the pixel. */
interface Run {
  readonly dy: number;
  readonly from: number;
  readonly to: number;
}

/** An element as runs of its rows, so that a row costs two look-ups in sums instead of one for each of its pixels. */
function runsOf({ width, height, data }: StructuringElement, turned: boolean): Run[] {
  const [originX, originY] = [Math.floor(width / 2), Math.floor(height / 2)];
  const at = (x: number, y: number) => data[turned ? data.length - 1 - (y * width + x) : y * width + x];
  const runs: Run[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!at(x, y) || (x > 0 && at(x - 1, y))) continue;
      let end = x + 1;
      while (end < width && at(end, y)) end++;
      runs.push({ dy: y - originY, from: x - originX, to: end - originX });
    }
  }
  if (runs.length === 0) throw new GhostkitError('morphology: the structuring element is empty');
  return runs;
}

/** The pixels with a pixel of value `wanted` among their neighbours. What is outside of the picture does not count. */
function anyNeighbour({ width, height, data }: Mask, runs: readonly Run[], wanted: 0 | 1): Uint8Array {
  const stride = width + 1;
  const sums = new Int32Array(height * stride);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      sums[y * stride + x + 1] = sums[y * stride + x] + (data[y * width + x] === wanted ? 1 : 0);
    }
  }
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (const { dy, from, to } of runs) {
      const row = (y + dy) * stride;
      if (y + dy < 0 || y + dy >= height || sums[row + width] === 0) continue;
      for (let x = 0; x < width; x++) {
        const first = Math.min(Math.max(x + from, 0), width);
        const last = Math.min(Math.max(x + to, 0), width);
        if (sums[row + last] > sums[row + first]) out[y * width + x] = 1;
      }
    }
  }
  return out;
}

/** The pixels that the element, put on every pixel of the mask, covers. */
export function dilate(mask: Mask, element: StructuringElement): Mask {
  return { ...mask, data: anyNeighbour(mask, runsOf(element, true), 1) };
}

/** The pixels around which the whole element lies in the mask, or outside of the picture. */
export function erode(mask: Mask, element: StructuringElement): Mask {
  return { ...mask, data: anyNeighbour(mask, runsOf(element, false), 0).map((outside) => 1 - outside) };
}

/** Dilation, then erosion: fills what the element does not fit into. */
export function close(mask: Mask, element: StructuringElement): Mask {
  return erode(dilate(mask, element), element);
}
