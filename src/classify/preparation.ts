import type { Preprocessing } from '../data/transform.js';

/** How pictures are prepared, where somebody says so. */
export type PreparationOptions = Partial<Pick<Preprocessing, 'size' | 'interpolation' | 'mean' | 'std'>>;

/** What is asked for, in place of what is known. */
export function prepared(known: Preprocessing, { size, interpolation, mean, std }: PreparationOptions): Preprocessing {
  return {
    ...known,
    size: size ?? known.size,
    interpolation: interpolation ?? known.interpolation,
    mean: mean ?? known.mean,
    std: std ?? known.std,
  };
}
