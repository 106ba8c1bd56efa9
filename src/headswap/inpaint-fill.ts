import type { Image } from '../models/ghost2/images.js';
import { needImage, needMaskOf } from '../models/ghost2/images.js';
import type { Mask } from '../models/ghost2/masks.js';
import { float32 } from '../tensor/tensor.js';
import type { Inpainter } from './plugins.js';

/** Rounds of smoothing, which take away the blocks that growing a small picture leaves. */
const SMOOTHING = 24;

/** A picture whose pixels are known to a degree, `known` being 0 to 1; the colours of the others mean nothing. */
interface Level {
  readonly width: number;
  readonly height: number;
  readonly planes: readonly Float32Array[];
  readonly known: Float32Array;
}

/** Half the size: every pixel is the mean of what is known of the four below it. */
function pull({ width, height, planes, known }: Level): Level {
  const w = (width + 1) >> 1;
  const h = (height + 1) >> 1;
  const out: Level = {
    width: w,
    height: h,
    planes: planes.map(() => new Float32Array(w * h)),
    known: new Float32Array(w * h),
  };
  for (let y = 0, at = 0; y < h; y++) {
    for (let x = 0; x < w; x++, at++) {
      let weight = 0;
      for (let dy = 0; dy < 2 && y * 2 + dy < height; dy++) {
        for (let dx = 0; dx < 2 && x * 2 + dx < width; dx++) {
          const from = (y * 2 + dy) * width + x * 2 + dx;
          weight += known[from];
          for (const [c, plane] of planes.entries()) out.planes[c][at] += plane[from] * known[from];
        }
      }
      if (weight === 0) continue;
      for (const plane of out.planes) plane[at] /= weight;
      out.known[at] = Math.min(1, weight);
    }
  }
  return out;
}

/** Fills what `level` does not know from the picture of half its size. */
function push({ width, height, planes, known }: Level, half: Level): void {
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const missing = 1 - known[at];
      if (missing === 0) continue;
      const sx = Math.max(0, (x - 0.5) / 2);
      const sy = Math.max(0, (y - 0.5) / 2);
      const [x0, y0] = [Math.floor(sx), Math.floor(sy)];
      const x1 = Math.min(half.width - 1, x0 + 1);
      const y1 = Math.min(half.height - 1, y0 + 1);
      const [fx, fy] = [sx - x0, sy - y0];
      for (const [c, plane] of planes.entries()) {
        const from = half.planes[c];
        const above = from[y0 * half.width + x0] * (1 - fx) + from[y0 * half.width + x1] * fx;
        const below = from[y1 * half.width + x0] * (1 - fx) + from[y1 * half.width + x1] * fx;
        plane[at] = plane[at] * known[at] + (above * (1 - fy) + below * fy) * missing;
      }
    }
  }
}

/** Every filled pixel becomes the mean of its neighbours, several times. */
function smooth({ width, height, planes }: Level, mask: Mask): void {
  for (let round = 0; round < SMOOTHING; round++) {
    for (const plane of planes) {
      for (let y = 0, at = 0; y < height; y++) {
        for (let x = 0; x < width; x++, at++) {
          if (!mask.data[at]) continue;
          const left = plane[x > 0 ? at - 1 : at];
          const right = plane[x < width - 1 ? at + 1 : at];
          const above = plane[y > 0 ? at - width : at];
          const below = plane[y < height - 1 ? at + width : at];
          plane[at] = (left + right + above + below) / 4;
        }
      }
    }
  }
}

/**
 * Fills the pixels of a mask with the colours around it, which flow together without a seam: pull-push over a pyramid, then
 * diffusion. It continues colours and gradients, and makes up nothing.
 */
export function fillFromAround(picture: Image, mask: Mask): Image {
  needImage('inpainting', picture, 3);
  needMaskOf('inpainting', mask, picture);
  const { width, height } = mask;
  const pixels = width * height;
  const data = picture.data.slice();
  const planes = [0, 1, 2].map((c) => data.subarray(c * pixels, (c + 1) * pixels));
  const known = Float32Array.from(mask.data, (inside) => 1 - inside);
  const levels: Level[] = [{ width, height, planes, known }];
  for (let last = levels[0]; last.width > 1 || last.height > 1; last = levels[levels.length - 1])
    levels.push(pull(last));
  for (let i = levels.length - 2; i >= 0; i--) push(levels[i], levels[i + 1]);
  smooth(levels[0], mask);
  return float32(picture.shape, data);
}

/** The stand-in for LaMa. */
export const diffusionInpainter: Inpainter = {
  name: 'diffusion (built in)',
  caveat: 'gaps are filled with the colours around them, not with new texture',
  fill: async (picture, mask) => fillFromAround(picture, mask),
};
