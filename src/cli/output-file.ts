import { checkWritable } from '../formats/atomic.js';
import { sameFile } from '../formats/same-file.js';
import { printable } from '../formats/text.js';
import { UsageError } from './errors.js';

/**
 * Tells before any work what would be wrong with the file that it ends in: the folder is not there, the name is of a folder or a device, or
 * writing it would destroy what it is made from, which nothing could bring back.
 *
 * @throws UsageError for one of `sources`, and GhostkitError for the rest.
 */
export async function checkOutput(output: string, sources: readonly string[]): Promise<void> {
  const source = await sameFile(output, sources);
  if (source !== undefined) {
    throw new UsageError(
      `${printable(output, 500)}: the output would take the place of a file that it is made from; give it another name`,
    );
  }
  await checkWritable(output);
}
