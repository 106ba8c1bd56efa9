import { GhostkitError } from '../tensor/error.js';
import { parseJson } from './json.js';

/** The keys of what ghostkit writes into the metadata of its own files. */
export const METADATA = {
  model: 'ghostkit.model',
  options: 'ghostkit.options',
  form: 'ghostkit.form',
  labels: 'ghostkit.labels',
  /** The structure of an imported network: an ONNX file without its weights, in base64. */
  graph: 'ghostkit.graph',
  /** How pictures are prepared; see data/preprocessing.ts. */
  preprocessing: 'ghostkit.preprocessing',
  /** What the evaluation said that a training kept its weights for, as JSON. */
  result: 'ghostkit.result',
  /** The version of ghostkit that wrote the file. */
  version: 'ghostkit.version',
} as const;

/** The metadata that names a network's classes, the first that of class 0; what {@link labelsIn} reads. */
export function labelsMetadata(labels: readonly string[]): Record<string, string> {
  return { [METADATA.labels]: JSON.stringify(labels) };
}

/** The names of `classes` classes, where a file's metadata have them. Throws a {@link GhostkitError} when they are no such list. */
export function labelsIn(metadata: Readonly<Record<string, string>>, classes: number): string[] | undefined {
  const text = metadata[METADATA.labels];
  if (text === undefined) return undefined;
  let labels: unknown;
  try {
    labels = parseJson(text);
  } catch {
    // Said below, like JSON of another kind.
  }
  if (!Array.isArray(labels) || !labels.every((label) => typeof label === 'string')) {
    throw new GhostkitError(`the metadata ${METADATA.labels} is not a JSON list of names`);
  }
  if (labels.length !== classes)
    throw new GhostkitError(`its metadata has ${labels.length} labels for ${classes} classes`);
  return labels;
}
