import { readBytes } from '../data/files.js';
import { parseLabels } from '../data/labels.js';
import { GhostkitError } from '../tensor/error.js';

/** The names in a label file: one for each of `classes`, or a message that says how many there are. */
export async function readLabels(path: string, classes: number): Promise<string[]> {
  const text = new TextDecoder().decode(await readBytes(path));
  let labels: string[];
  try {
    labels = parseLabels(text);
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(`${path}: ${error.message}`, { cause: error });
  }
  if (labels.length !== classes) {
    throw new GhostkitError(`${path}: ${labels.length} names for the ${classes} classes of the model`);
  }
  return labels;
}
