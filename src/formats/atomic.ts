import { randomBytes } from 'node:crypto';
import { constants, type Stats, unlinkSync } from 'node:fs';
import { access, type FileHandle, open, readlink, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { GhostkitError } from '../tensor/error.js';
import { messageOf, printable } from './text.js';

/** What ends a process unless it listens. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

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

function leave(signal: NodeJS.Signals): void {
  // Somebody else who listens decides what the signal means, and may want the file to be finished.
  if (process.listenerCount(signal) > 1) return;
  removeUnfinished();
  process.off(signal, leave);
  process.kill(process.pid, signal);
}

/** Listens for the end of the process only while there is a file to remove: a listener keeps a busy process from ending at once. */
function begin(path: string): void {
  if (unfinished.size === 0) {
    process.on('exit', removeUnfinished);
    for (const signal of SIGNALS) process.on(signal, leave);
  }
  unfinished.add(path);
}

function end(path: string): void {
  unfinished.delete(path);
  if (unfinished.size > 0) return;
  process.off('exit', removeUnfinished);
  for (const signal of SIGNALS) process.off(signal, leave);
}

function explain(error: unknown, path: string, folder = dirname(path)): GhostkitError {
  const reasons: Record<string, string> = {
    ENOSPC: 'no space is left on the disk',
    EDQUOT: 'the disk quota is used up',
    EACCES: 'there is no permission to write here',
    EPERM: 'there is no permission to write here',
    EROFS: 'the file system is read-only',
    ENOENT: `the folder ${printable(folder, 500)} does not exist`,
    ENOTDIR: `${printable(folder, 500)} is not a folder`,
    EISDIR: 'it is a folder',
    ENAMETOOLONG: 'its name is too long',
    ELOOP: 'its links lead in a circle',
  };
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const reason = reasons[code] ?? messageOf(error);
  return new GhostkitError(`cannot write ${printable(path, 500)}: ${reason}`, { cause: error });
}

const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT';

interface Target {
  /** Behind all links. */
  readonly path: string;
  /** The file that is there. */
  readonly replaced?: Stats;
}

/** Where the bytes of a file go. A name may be a link to another, which need not be there yet. */
async function targetOf(path: string): Promise<Target> {
  let replaced: Stats;
  try {
    replaced = await stat(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
    const link = await readlink(path).catch(() => undefined);
    return link === undefined ? { path } : targetOf(resolve(await realpath(dirname(path)), link));
  }
  if (replaced.isFile()) return { path: await realpath(path), replaced };
  throw new Error(replaced.isDirectory() ? 'it is a folder' : 'it is a device or a pipe, where only files are written');
}

/**
 * Throws what writing a file would end with where its folder is missing or its name is of something else, for work that is long to know it
 * before.
 */
export async function checkWritable(path: string): Promise<void> {
  let folder = dirname(path);
  try {
    const target = await targetOf(path);
    folder = dirname(target.path);
    await access(folder, constants.W_OK);
  } catch (error) {
    throw explain(error, path, folder);
  }
}

/** Who may read and write a file stays as it was, as far as this process may say so. */
async function takeOver(file: FileHandle, { uid, gid, mode }: Stats): Promise<void> {
  const own = await file.stat();
  if (own.uid !== uid || own.gid !== gid) await file.chown(uid, gid).catch(() => {});
  await file.chmod(mode & 0o777).catch(() => {});
}

/** A hidden name beside a file. Of a long one it has the start, since names have 255 bytes at most. */
function temporaryBeside(path: string): string {
  const start = Array.from(basename(path)).slice(0, 32).join('');
  return join(dirname(path), `.${start}.${randomBytes(6).toString('hex')}.tmp`);
}

/**
 * Writes a file whole or not at all: the bytes go to a new file beside it, are flushed to the disk, and take the name at
 * once. A symbolic link keeps pointing where it did, and a file that is replaced passes on its permissions. Whatever stood at `path` is kept
 * when anything fails.
 *
 * @throws GhostkitError naming the path and the reason; one is that `path` is a device or a pipe.
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array | string): Promise<void> {
  let temporary: string | undefined;
  let folder = dirname(path);
  try {
    const target = await targetOf(path);
    folder = dirname(target.path);
    temporary = temporaryBeside(target.path);
    begin(temporary);
    // What nobody else may read is not to be read before it has its name either.
    const file = await open(temporary, 'wx', target.replaced ? 0o600 : 0o666);
    try {
      await file.writeFile(bytes);
      if (target.replaced) await takeOver(file, target.replaced);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target.path);
  } catch (error) {
    if (temporary !== undefined) await unlink(temporary).catch(() => {});
    throw explain(error, path, folder);
  } finally {
    if (temporary !== undefined) end(temporary);
  }
}
