import { z } from 'zod';
import { GhostkitError } from '../tensor/error.js';
import type { Preprocessing } from './transform.js';

/** Where a model's file says what its pictures go through. */
const PREPROCESSING_KEY = 'ghostkit.preprocessing';

const channels = (of: z.ZodNumber) => z.tuple([of, of, of]);

/** What a file may say: it is a stranger's, so no number in it can ask for much memory. */
const SCHEMA = z.strictObject({
  size: z.int().min(8).max(4096),
  cropRatio: z.number().gt(0).max(1),
  interpolation: z.enum(['bilinear', 'bicubic']),
  mean: channels(z.number()),
  std: channels(z.number().positive()),
});

/** The metadata that tells {@link preprocessingIn} how pictures are prepared. */
export function preprocessingMetadata(preprocessing: Preprocessing): Record<string, string> {
  return { [PREPROCESSING_KEY]: JSON.stringify(SCHEMA.parse(preprocessing)) };
}

/** How a model's file says that pictures are prepared, if it does. Throws a {@link GhostkitError} when that is no preprocessing. */
export function preprocessingIn(metadata: Readonly<Record<string, string>>): Preprocessing | undefined {
  const text = metadata[PREPROCESSING_KEY];
  if (text === undefined) return undefined;
  try {
    return SCHEMA.parse(JSON.parse(text));
  } catch {
    throw new GhostkitError(`the metadata ${PREPROCESSING_KEY} is not valid`);
  }
}
