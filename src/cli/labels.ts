import { parseLabels } from '../data/labels.js';
import { readBytes } from '../formats/files.js';
import { printable } from '../formats/text.js';
import { withPath } from '../formats/with-path.js';
import { GhostkitError } from '../tensor/error.js';

/** The names in a label file: one for each of `classes`, or a message that says how many there are. */
export async function readLabels(path: string, classes: number): Promise<string[]> {
  const text = new TextDecoder().decode(await readBytes(path, 'texts'));
  const labels = withPath(path, () => parseLabels(text));
  if (labels.length !== classes) {
    throw new GhostkitError(`${printable(path, 500)}: ${labels.length} names for the ${classes} classes of the model`);
  }
  return labels;
}
