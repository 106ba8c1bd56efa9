import { parseJson } from '../formats/json.js';
import { METADATA } from '../formats/metadata.js';
import { GhostkitError } from '../tensor/error.js';
import type { Preprocessing } from './transform.js';

// Checked by hand: a page reads it too, and has no room for a library.

const isNumber = (value: unknown): value is number => Number.isFinite(value);

const isTriple = (value: unknown, each: (v: number) => boolean): value is [number, number, number] =>
  Array.isArray(value) && value.length === 3 && value.every((v) => isNumber(v) && each(v));

/** What a file may say: it is a stranger's, so no number in it can ask for much memory. */
function isPreprocessing(value: unknown): value is Preprocessing {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 5) return false;
  const { size, cropRatio, interpolation, mean, std } = value as Record<keyof Preprocessing, unknown>;
  return (
    isNumber(size) &&
    Number.isInteger(size) &&
    size >= 8 &&
    size <= 4096 &&
    isNumber(cropRatio) &&
    cropRatio > 0 &&
    cropRatio <= 1 &&
    (interpolation === 'bilinear' || interpolation === 'bicubic') &&
    isTriple(mean, () => true) &&
    isTriple(std, (v) => v > 0)
  );
}

/** A preprocessing without what does not belong to it. Throws a {@link GhostkitError} for one that cannot be. */
export function checkPreprocessing(preprocessing: Preprocessing): Preprocessing {
  const { size, cropRatio, interpolation, mean, std } = preprocessing;
  const told: Preprocessing = { size, cropRatio, interpolation, mean, std };
  if (!isPreprocessing(told)) throw new GhostkitError(`pictures cannot be prepared so: ${JSON.stringify(told)}`);
  return told;
}

/** The metadata that tells {@link preprocessingIn} how pictures are prepared. */
export function preprocessingMetadata(preprocessing: Preprocessing): Record<string, string> {
  return { [METADATA.preprocessing]: JSON.stringify(checkPreprocessing(preprocessing)) };
}

/** How a model's file says that pictures are prepared, if it does. Throws a {@link GhostkitError} when that is no preprocessing. */
export function preprocessingIn(metadata: Readonly<Record<string, string>>): Preprocessing | undefined {
  const text = metadata[METADATA.preprocessing];
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    // Said below, like JSON of another kind.
  }
  if (!isPreprocessing(value)) throw new GhostkitError(`the metadata ${METADATA.preprocessing} is not valid`);
  return value;
}
