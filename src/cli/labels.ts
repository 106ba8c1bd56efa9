import { readBytes } from '../data/files.js';
import { parseLabels } from '../data/labels.js';
import { withPath } from '../formats/with-path.js';
import { GhostkitError } from '../tensor/error.js';

/** The names in a label file: one for each of `classes`, or a message that says how many there are. */
export async function readLabels(path: string, classes: number): Promise<string[]> {
  const text = new TextDecoder().decode(await readBytes(path));
  const labels = withPath(path, () => parseLabels(text));
  if (labels.length !== classes) {
    throw new GhostkitError(`${path}: ${labels.length} names for the ${classes} classes of the model`);
  }
  return labels;
}
