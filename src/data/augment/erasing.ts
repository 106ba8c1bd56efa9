import type { Random } from '../random.js';
import { roundHalfEven } from '../round.js';

/** Random erasing (Zhong et al., 2017), as timm has it. */
export interface RandomErasing {
  /** Of a picture to be erased. */
  readonly probability: number;
  /** `pixel`: noise for every value; `color`: one random colour; `zero`: the mean of the data set. */
  readonly mode: 'pixel' | 'color' | 'zero';
  /** The area of the rectangle, as a share of the picture's. */
  readonly area: readonly [number, number];
}

/** The ratio of height to width is uniform in its logarithm between this and its inverse. */
const LEAST_ASPECT = 0.3;

/** Fills a random rectangle of normalised planes `[3, size, size]`, in place; the noise is normal with deviation 1. */
export function randomErase(
  planes: Float32Array,
  size: number,
  { probability, mode, area }: RandomErasing,
  random: Random,
): void {
  if (!random.chance(probability)) return;
  const bound = -Math.log(LEAST_ASPECT);
  for (let attempt = 0; attempt < 10; attempt++) {
    const target = random.between(area[0], area[1]) * size * size;
    const aspect = Math.exp(random.between(-bound, bound));
    const height = roundHalfEven(Math.sqrt(target * aspect));
    const width = roundHalfEven(Math.sqrt(target / aspect));
    if (width >= size || height >= size) continue;
    const top = random.below(size - height + 1);
    const left = random.below(size - width + 1);
    for (let c = 0; c < 3; c++) {
      const color = mode === 'color' ? random.normal() : 0;
      for (let y = top; y < top + height; y++) {
        const start = (c * size + y) * size + left;
        if (mode === 'pixel') for (let i = start; i < start + width; i++) planes[i] = random.normal();
        else planes.fill(color, start, start + width);
      }
    }
    return;
  }
}
