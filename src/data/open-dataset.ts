import { statSync } from 'node:fs';
import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { cifarSplits, isCifar } from './cifar.js';
import type { Dataset } from './dataset.js';
import { folderSplits, isTinyImagenet, type RecordSplits, tinyImagenetSplits, unwrapped } from './layouts.js';
import { type Entry, type Listing, listFolder, withEntry } from './listing.js';
import { RecordDataset } from './record-dataset.js';
import { listTar } from './tar.js';

/** A data set as its makers divided it. */
export interface DataSplits {
  readonly train: Dataset;
  /** The validation pictures, else those for testing; undefined where the set is undivided. */
  readonly val?: Dataset;
  /** Links that lead out of the folder, or nowhere, relative to it: what they lead to is not in the set. */
  readonly skippedLinks: readonly string[];
}

const readText = (entry: Entry): string =>
  withEntry(entry, 'texts', (size, read) => new TextDecoder().decode(read(0, size)));

function divide(listing: Listing): RecordSplits {
  const inner = unwrapped(listing);
  if (isCifar(inner)) return cifarSplits(inner, readText);
  if (isTinyImagenet(inner)) return tinyImagenetSplits(inner, readText);
  return folderSplits(inner);
}

/**
 * Opens a data set: a folder or a tar file that holds a folder for each class, alone or in `train` and `val` (or `valid`, `validation`,
 * `test`), or is Tiny-ImageNet-200 or CIFAR-10's binary version as distributed. Pictures are found, not read.
 *
 * @throws GhostkitError in one line when nothing is there, when a class is empty or the only one, and when `val` has a class that `train`
 * lacks.
 */
export async function openDataset(path: string): Promise<DataSplits> {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new GhostkitError(
      `${printable(path, 500)}: ${missing ? 'there is no such folder or file' : messageOf(error)}`,
    );
  }
  const listing = isFolder ? listFolder(path) : await listTar(path);
  const { train, val } = divide(listing);
  const { skippedLinks } = listing;
  return { train: new RecordDataset(train), ...(val && { val: new RecordDataset(val) }), skippedLinks };
}
