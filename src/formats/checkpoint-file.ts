import { readFile } from 'node:fs/promises';
import { GhostkitError } from '../tensor/error.js';
import { type Checkpoint, type CheckpointOptions, parseCheckpoint } from './checkpoint.js';
import { messageOf, printable } from './text.js';
import { withPath } from './with-path.js';

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'there is no permission to read it',
  ERR_FS_FILE_TOO_LARGE: 'it is larger than 2 GiB',
};

/**
 * Reads the weights of a checkpoint file; see `parseCheckpoint`.
 *
 * @throws GhostkitError that begins with the path.
 */
export async function readCheckpoint(path: string, options: CheckpointOptions = {}): Promise<Checkpoint> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw new GhostkitError(`${printable(path, 500)}: ${REASONS[code] ?? messageOf(error)}`, { cause: error });
  }
  return withPath(path, () => parseCheckpoint(bytes, options));
}
