import { randomUUID } from 'node:crypto';
import { type FileHandle, link, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { GhostkitError } from '../tensor/error.js';

/** How often a lock is touched by who holds it, and after how long without that it is given up. */
const BEAT_MS = 10_000;
const GIVEN_UP_MS = 60_000;

/** Who holds a lock: a process on a machine; `once` tells it from its other locks. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly once: string;
}

/** The locks of this process. */
const held = new Set<string>();

async function holderOf(lock: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(lock, 'utf8')) as Holder;
  } catch {
    // Gone, or not written yet.
    return undefined;
  }
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether nobody holds a lock any more: its process was ended, or has not touched it for long. */
async function isLeft(lock: string, holder: Holder | undefined): Promise<boolean> {
  const touched = (await stat(lock).catch(() => undefined))?.mtimeMs;
  if (touched === undefined || Date.now() - touched > GIVEN_UP_MS) return true;
  if (holder?.host !== hostname()) return false;
  // A process that was started again may have the number that it had before.
  return holder.pid === process.pid ? !held.has(holder.once) : !runs(holder.pid);
}

/** Takes a left lock away; `false` when it was another's by then, which gets it back. */
async function takeAway(lock: string, left: Holder | undefined, { once }: Holder): Promise<boolean> {
  const aside = `${lock}.${once}`;
  try {
    await rename(lock, aside);
  } catch {
    // Somebody else took it away.
    return false;
  }
  const isSame = (await holderOf(aside))?.once === left?.once;
  if (!isSame) await link(aside, lock).catch(() => {});
  await rm(aside, { force: true });
  return isSame;
}

/** The new lock, or undefined where one is already. */
async function create(lock: string, own: Holder): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(lock, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  }
  try {
    await file.writeFile(JSON.stringify(own));
    return file;
  } catch (error) {
    await file.close();
    await rm(lock, { force: true });
    throw error;
  }
}

/**
 * Keeps other processes, and other calls in this one, from downloading to `path` until the returned function is called. A lock that a
 * process left behind, killed in the middle, is taken over.
 *
 * @throws GhostkitError when the file is being downloaded.
 */
export async function lockDownload(path: string): Promise<() => Promise<void>> {
  const lock = `${path}.part.lock`;
  const own: Holder = { pid: process.pid, host: hostname(), once: randomUUID() };
  let file = await create(lock, own);
  if (!file) {
    const holder = await holderOf(lock);
    if ((await isLeft(lock, holder)) && (await takeAway(lock, holder, own))) file = await create(lock, own);
    if (!file) {
      const by = holder?.host === own.host ? `process ${holder.pid}` : 'another process';
      throw new GhostkitError(`${basename(path)}: ${by} is downloading it; try again when it is done`);
    }
  }
  const handle = file;
  held.add(own.once);
  const beat = setInterval(() => {
    const now = new Date();
    handle.utimes(now, now).catch(() => {});
  }, BEAT_MS);
  beat.unref();
  return async () => {
    clearInterval(beat);
    held.delete(own.once);
    await handle.close();
    // It is another's by now if this process was asleep for long.
    if ((await holderOf(lock))?.once === own.once) await rm(lock, { force: true });
  };
}
