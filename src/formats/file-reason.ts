import { GhostkitError } from '../tensor/error.js';
import { messageOf } from './text.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'there is no permission to read it',
  EPERM: 'there is no permission to read it',
  ELOOP: 'it is a link that leads nowhere',
  // What opening a socket ends in.
  ENXIO: 'it is a socket, not a regular file',
};

/** Why a file cannot be read, in a few words. */
export function fileReason(error: unknown): string {
  return REASONS[(error as NodeJS.ErrnoException).code ?? ''] ?? messageOf(error);
}

/** What is asked of what `fs.stat` returns. */
interface Stats {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
}

/** Throws a {@link GhostkitError} for anything but a regular file: reading a pipe or a device may never end. */
export function checkRegular(stats: Stats): void {
  if (stats.isFile()) return;
  if (stats.isDirectory()) throw new GhostkitError('it is a folder');
  throw new GhostkitError(`it is a ${stats.isFIFO() ? 'pipe' : 'device'}, not a regular file`);
}
