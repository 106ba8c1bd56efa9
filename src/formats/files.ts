import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { GhostkitError } from '../tensor/error.js';
import { checkRegular, fileReason } from './file-reason.js';
import { withPath } from './with-path.js';

// Every file that a person names, or that lies in a folder that a person names, is read by what is here: only regular files, and no more of
// them than their kind may have.

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** The most bytes that a file may have, by what is read from it. */
const LIMITS = { models: 2 * GIB - 1, batches: 2 * GIB - 1, pictures: 512 * MIB, texts: 16 * MIB } as const;

/** What a file holds: a network, pixels one after the other, one picture, or text such as labels and settings. */
export type FileKind = keyof typeof LIMITS;

/** Opening a pipe would wait for somebody who writes to it. Windows has neither such pipes nor this flag. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Throws a {@link GhostkitError} when something is larger than what is read of its kind. */
export function checkSize(size: number, kind: FileKind): void {
  const limit = LIMITS[kind];
  if (size <= limit) return;
  const shown = limit < GIB ? `${limit / MIB} MiB` : `${Math.ceil(limit / GIB)} GiB`;
  throw new GhostkitError(`it is larger than ${shown}, the limit for ${kind}`);
}

const explained = (error: unknown): GhostkitError =>
  error instanceof GhostkitError ? error : new GhostkitError(fileReason(error), { cause: error });

/** What one call of the system reads at most. */
const PIECE = GIB;

async function readWhole(file: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await file.read(bytes, done, Math.min(PIECE, size - done), done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/**
 * The bytes of a regular file.
 *
 * @throws GhostkitError, without the path, that says in one line why not.
 */
export async function readRegular(path: string, kind: FileKind): Promise<Uint8Array> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, READ);
    const stats = await file.stat();
    checkRegular(stats);
    checkSize(stats.size, kind);
    return await readWhole(file, stats.size);
  } catch (error) {
    throw explained(error);
  } finally {
    await file?.close();
  }
}

/** Like {@link readRegular}, with the path in front of what is thrown. */
export function readBytes(path: string, kind: FileKind): Promise<Uint8Array> {
  return withPath(path, () => readRegular(path, kind));
}

/** A regular file that is open for reading. */
export interface OpenRegular {
  readonly descriptor: number;
  readonly size: number;
}

/** Opens a regular file. Throws a {@link GhostkitError} without the path. Whoever calls it closes the descriptor. */
export function openRegular(path: string): OpenRegular {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, READ);
    const stats = fstatSync(descriptor);
    checkRegular(stats);
    return { descriptor, size: stats.size };
  } catch (error) {
    if (descriptor !== undefined) closeSync(descriptor);
    throw explained(error);
  }
}

/** `size` bytes from `offset` of an open file; fewer where it ends. */
export function readPart(descriptor: number, offset: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    let count: number;
    try {
      count = readSync(descriptor, bytes, done, Math.min(PIECE, size - done), offset + done);
    } catch (error) {
      throw explained(error);
    }
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

/** Opens a regular file for as long as `use` runs; the path goes in front of what is thrown. */
export function withRegular<T>(path: string, use: (file: OpenRegular) => T): T {
  return withPath(path, () => {
    const file = openRegular(path);
    try {
      return use(file);
    } finally {
      closeSync(file.descriptor);
    }
  });
}
