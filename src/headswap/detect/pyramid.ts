import type { RgbImage } from '../../data/resample.js';
import { composeTransforms, scaleOf, type Transform } from '../geometry.js';
import { warpAffine } from '../geometry-warp.js';

/** A picture of half the size, each pixel the mean of four; an odd last row or column is left out. */
function halved({ width, height, data }: RgbImage): RgbImage {
  const w = width >> 1;
  const h = height >> 1;
  const row = width * 3;
  const out = new Uint8Array(w * h * 3);
  for (let y = 0, at = 0; y < h; y++) {
    for (let x = 0, from = y * 2 * row; x < w; x++, from += 6) {
      for (let c = from; c < from + 3; c++) {
        out[at++] = (data[c] + data[c + 3] + data[c + row] + data[c + row + 3] + 2) >> 2;
      }
    }
  }
  return { width: w, height: h, data: out };
}

/**
 * A picture and its halves, quarters and so on, made when they are first needed: parts of it at any size without the
 * aliasing of a plain warp, and at a cost that depends on the part.
 */
export class Pyramid {
  private readonly levels: RgbImage[];

  constructor(readonly image: RgbImage) {
    this.levels = [image];
  }

  /** The picture moved by `transform` into `width` x `height` pixels; black outside of the picture. */
  sample(transform: Transform, width: number, height: number): RgbImage {
    const level = Math.max(0, Math.floor(-Math.log2(scaleOf(transform)) + 1e-6));
    while (this.levels.length <= level) {
      const last = this.levels[this.levels.length - 1];
      if (Math.min(last.width, last.height) < 2) break;
      this.levels.push(halved(last));
    }
    const chosen = Math.min(level, this.levels.length - 1);
    // The middle of the first pixel of a half lies between the first two of the whole.
    const factor = 2 ** chosen;
    const shift = (factor - 1) / 2;
    const toImage: Transform = [factor, 0, shift, 0, factor, shift];
    return warpAffine(this.levels[chosen], composeTransforms(transform, toImage), width, height);
  }
}
