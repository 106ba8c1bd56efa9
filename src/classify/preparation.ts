import { checkPreprocessing } from '../data/preprocessing.js';
import type { Preprocessing } from '../data/transform.js';
import { GhostkitError } from '../tensor/error.js';

/** An array for one such picture takes over a gigabyte. */
const MOST_SIDE = 10_000;

/** How pictures are prepared, where somebody says so. */
export type PreparationOptions = Partial<Pick<Preprocessing, 'size' | 'interpolation' | 'mean' | 'std'>>;

/** What is asked for, in place of what is known. Throws a {@link GhostkitError} when no picture can be prepared so. */
export function prepared(known: Preprocessing, { size, interpolation, mean, std }: PreparationOptions): Preprocessing {
  const asked: Preprocessing = {
    ...known,
    interpolation: interpolation ?? known.interpolation,
    mean: mean ?? known.mean,
    std: std ?? known.std,
  };
  if (size !== undefined && size > MOST_SIDE)
    throw new GhostkitError(`pictures of ${size} x ${size} pixels are too large; ${MOST_SIDE} a side are the most`);
  // How large they may be for a network is known to what needs the memory for it.
  return { ...checkPreprocessing(asked), size: size ?? known.size };
}
