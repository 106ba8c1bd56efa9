import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Windows has no such files. */
export const noPipes = process.platform === 'win32';

/** A named pipe that nobody writes to. */
export function makePipe(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}

/** A file of zeros that takes no room. */
export function makeSparse(path: string, size: number): string {
  writeFileSync(path, '');
  truncateSync(path, size);
  return path;
}

/** Folders `d0` to `d<count>`, each but the last with two links to the next: a path to the last in `2 ** count` ways. */
export function makeLinkedFolders(root: string, count: number): void {
  for (let i = 0; i <= count; i++) mkdirSync(join(root, `d${i}`), { recursive: true });
  for (let i = 0; i < count; i++) for (const name of ['a', 'b']) symlinkSync(`../d${i + 1}`, join(root, `d${i}`, name));
}
