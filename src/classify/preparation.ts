import { checkPreprocessing } from '../data/preprocessing.js';
import type { Preprocessing } from '../data/transform.js';

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
  // How large pictures may be is known to what needs the memory for them.
  return { ...checkPreprocessing(asked), size: size ?? known.size };
}
