import { closeSync, openSync, readSync } from 'node:fs';
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

/** `size` bytes from `offset` of an open file; fewer where it ends. */
export function readPart(descriptor: number, offset: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    const count = readSync(descriptor, bytes, done, size - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

/** `size` bytes from `offset` of the file at a path; fewer where it ends. */
export function readPartOf(path: string, offset: number, size: number): Uint8Array {
  const descriptor = openSync(path, 'r');
  try {
    return readPart(descriptor, offset, size);
  } finally {
    closeSync(descriptor);
  }
}
