import { readFile } from 'node:fs/promises';
import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'there is no permission to read it',
  EPERM: 'there is no permission to read it',
  ERR_FS_FILE_TOO_LARGE: 'it is larger than 2 GiB',
};

/** The bytes of a file, or a {@link GhostkitError} that says in one line why not. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const reason = REASONS[(error as NodeJS.ErrnoException).code ?? ''] ?? messageOf(error);
    throw new GhostkitError(`${printable(path, 500)}: ${reason}`, { cause: error });
  }
}
