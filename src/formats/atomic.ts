import { randomBytes } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { access, open, realpath, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { GhostkitError } from '../tensor/error.js';
import { messageOf } from './text.js';

const unfinished = new Set<string>();

/** A process that leaves in the middle (Ctrl-C, an error elsewhere) takes its half-written files with it. */
function removeUnfinished(): void {
  for (const path of unfinished) {
    try {
      unlinkSync(path);
    } catch {
      // Already gone.
    }
  }
}

function explain(error: unknown, path: string): GhostkitError {
  const reasons: Record<string, string> = {
    ENOSPC: 'no space is left on the disk',
    EDQUOT: 'the disk quota is used up',
    EACCES: 'there is no permission to write here',
    EPERM: 'there is no permission to write here',
    EROFS: 'the file system is read-only',
    ENOENT: `the folder ${dirname(path)} does not exist`,
    ENOTDIR: `${dirname(path)} is not a folder`,
    EISDIR: 'it is a folder',
  };
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return new GhostkitError(`cannot write ${path}: ${reasons[code] ?? messageOf(error)}`, { cause: error });
}

/** Throws what writing a file would end with where its folder is missing, for work that is long to know it before. */
export async function checkFolderOf(path: string): Promise<void> {
  try {
    await access(dirname(path));
  } catch (error) {
    throw explain(error, path);
  }
}

/**
 * Writes a file whole or not at all: the bytes go to a new file beside it, are flushed to the disk, and take the name at
 * once. A symbolic link keeps pointing where it did. Whatever stood at `path` is kept when anything fails.
 *
 * @throws GhostkitError naming the path and the reason.
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array | string): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  if (unfinished.size === 0 && !process.listeners('exit').includes(removeUnfinished)) {
    process.on('exit', removeUnfinished);
  }
  unfinished.add(temporary);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw explain(error, path);
  } finally {
    unfinished.delete(temporary);
  }
}
