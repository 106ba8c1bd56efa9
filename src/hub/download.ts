import { mkdir, statfs } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { GhostkitError } from '../tensor/error.js';
import { type Answer, networkReason, Patience, request } from './http.js';
import { lockDownload } from './lock.js';
import { PartFile } from './part.js';

/** Larger than any file that ghostkit knows of; a server that sends more is not believed. */
const DEFAULT_LIMIT = 4e9;

/** A server that sends nothing for this long is given up. */
const STALL_MS = 60_000;

export interface DownloadOptions {
  /** What the file must hash to. */
  readonly sha256?: string;
  /** What its size must be. */
  readonly bytes?: number;
  /** The most bytes that are taken, 4 GB by default. */
  readonly limit?: number;
  /** Told after every piece; `total` where the server says it. */
  readonly onProgress?: (done: number, total: number | undefined) => void;
  readonly signal?: AbortSignal;
  /** Milliseconds of silence after which the server is given up, a minute by default. */
  readonly stallMs?: number;
}

export interface Downloaded {
  readonly bytes: number;
  readonly sha256: string;
  /** Bytes that an earlier try had left. */
  readonly resumedFrom: number;
  /** Whether the checksum was known beforehand or told by the server, and is right. */
  readonly verified: boolean;
}

const DISK: Record<string, string> = {
  ENOSPC: 'no space is left on the disk',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'there is no permission to write here',
  EPERM: 'there is no permission to write here',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'its folder is not one',
  EEXIST: 'its folder is not one',
};

const size = (bytes: number): string => (bytes < 1e6 ? `${bytes} bytes` : `${(bytes / 1e6).toFixed(1)} MB`);

/** Errors of the disk in words; others as they are. */
function explainDisk(error: unknown, path: string): unknown {
  const reason = DISK[(error as NodeJS.ErrnoException).code ?? ''];
  return reason ? new GhostkitError(`cannot write ${path}: ${reason}`, { cause: error }) : error;
}

/**
 * Downloads a file whole or not at all. It grows as `NAME.part` beside its place, which an interruption leaves and the next call goes on
 * with where the server allows it; it takes its name when size and checksum are right. Redirects are followed.
 *
 * @throws GhostkitError in one line: no such file, no connection, an interruption, a wrong size or checksum, a full disk, the same
 * download already on its way.
 */
export async function download(url: string, path: string, options: DownloadOptions = {}): Promise<Downloaded> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const release = await lockDownload(path);
    try {
      return await fetchAlone(path, url, options);
    } finally {
      await release();
    }
  } catch (error) {
    throw explainDisk(error, path);
  }
}

async function fetchAlone(path: string, url: string, options: DownloadOptions): Promise<Downloaded> {
  const part = await PartFile.open(path);
  const resumedFrom = part.size;
  try {
    return await fetchInto(part, url, options);
  } catch (error) {
    // The part may have been of an older version of the file: once more from the start.
    if (!(error instanceof WrongContent) || resumedFrom === 0) throw error;
    return await fetchInto(part, url, options);
  } finally {
    await part.close();
  }
}

/** The bytes are not those of the file that was asked for; the part is gone. */
class WrongContent extends GhostkitError {}

async function fetchInto(part: PartFile, url: string, options: DownloadOptions): Promise<Downloaded> {
  const name = basename(part.path);
  const { limit = DEFAULT_LIMIT, stallMs = STALL_MS } = options;
  const etag = await part.etag();
  // Without a tag or a checksum nothing would tell that the rest is of another version.
  if (part.size > 0 && !etag && !options.sha256) await part.discard();
  const resumedFrom = part.size;
  const patience = new Patience(stallMs);
  const signal = AbortSignal.any([patience.signal, ...(options.signal ? [options.signal] : [])]);
  const headers = resumedFrom > 0 ? { range: `bytes=${resumedFrom}-`, ...(etag && { 'if-range': etag }) } : {};
  const answer = await patience.during('it does not answer', () => request(url, { headers, signal }));
  const expected = { sha256: options.sha256 ?? answer.linked.sha256, bytes: options.bytes ?? answer.linked.bytes };

  const complete = answer.status === 416 && resumedFrom > 0 && rangeTotal(answer) === resumedFrom;
  let start = part.size;
  let total = expected.bytes;
  if (complete) await answer.cancel();
  else {
    start = await startOf(part, answer, url);
    const encoded = isEncoded(answer);
    const length = encoded ? Number.NaN : Number(answer.headers.get('content-length') ?? Number.NaN);
    const told = [rangeTotal(answer), start + length].find((bytes) => bytes >= 0);
    const refused = refusal(name, told, expected.bytes, limit) ?? (await noRoom(part, length));
    if (refused) {
      await answer.cancel();
      throw new GhostkitError(refused);
    }
    total ??= told;
    // A part of what was compressed on the way is a part of nothing that the server can go on with.
    await part.begin({ restart: start === 0, etag: encoded ? null : answer.headers.get('etag') });
    await receive(part, answer, { ...options, total, expected: expected.bytes, limit, patience });
  }
  return await finish(part, { ...expected, bytes: total }, start);
}

/** Whether a body is compressed, which it was asked not to be: its length is not the file's then. */
function isEncoded({ headers }: Answer): boolean {
  return !/^(identity)?$/i.test(headers.get('content-encoding') ?? '');
}

/** Where the answer's body begins in the file. */
async function startOf(part: PartFile, answer: Answer, url: string): Promise<number> {
  if (answer.status === 206) {
    const [, first] = /^bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '') ?? [];
    if (Number(first) === part.size && !isEncoded(answer)) return part.size;
  } else if (answer.status === 200) return 0;
  await answer.cancel();
  if (answer.status === 206 || answer.status === 416) {
    await part.discard();
    throw new WrongContent(`${basename(part.path)}: the server has no such part of the file; try again`);
  }
  const said: Record<number, string> = {
    401: 'the server wants a login',
    403: 'the server does not allow it',
    404: 'there is no such file on the server',
    410: 'the file is gone from the server',
    429: 'the server is asked too often; try again later',
  };
  throw new GhostkitError(`${url}: ${said[answer.status] ?? 'the server failed'} (${answer.status})`);
}

/** The size of the whole file, where an answer about a part of it tells. */
function rangeTotal(answer: Answer): number {
  return Number(/^bytes (?:\d+-\d+|\*)\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1]);
}

function refusal(name: string, total: number | undefined, expected: number | undefined, limit: number) {
  if (total === undefined) return undefined;
  if (expected !== undefined && total !== expected) {
    return `${name}: the server has ${size(total)}, but the file is known to have ${size(expected)}; nothing was downloaded`;
  }
  return total > limit
    ? `${name}: the server has ${size(total)}, more than the ${size(limit)} that are allowed`
    : undefined;
}

/** Better said before the download than in its middle. */
async function noRoom(part: PartFile, needed: number): Promise<string | undefined> {
  const { bavail, bsize } = await statfs(dirname(part.path));
  const free = bavail * bsize;
  if (!(needed > free)) return undefined;
  return `${basename(part.path)}: ${size(needed)} are needed, but only ${size(free)} are free on the disk`;
}

interface Receiving extends DownloadOptions {
  readonly total: number | undefined;
  /** The size that the file is known to have. */
  readonly expected: number | undefined;
  readonly limit: number;
  readonly patience: Patience;
}

async function receive(part: PartFile, answer: Answer, options: Receiving): Promise<void> {
  const { total, expected = Number.POSITIVE_INFINITY, limit, patience, onProgress } = options;
  const name = basename(part.path);
  const reader = answer.body?.getReader();
  const read = async () => {
    try {
      return await patience.during('it stopped sending', async () => reader?.read());
    } catch (error) {
      const of = total === undefined ? '' : ` of ${size(total)}`;
      const reason = networkReason(error);
      throw new GhostkitError(`${name}: interrupted after ${size(part.size)}${of} (${reason}); run it again to go on`, {
        cause: error,
      });
    }
  };
  for (let piece = await read(); piece && !piece.done; piece = await read()) {
    const after = part.size + piece.value.length;
    try {
      if (after > expected) {
        await part.discard();
        throw new WrongContent(
          `${name}: the server sends more than the ${size(expected)} that the file is known to have; it was not kept`,
        );
      }
      if (after > limit) {
        await part.discard();
        throw new GhostkitError(`${name}: the server sends more than the ${size(limit)} that are allowed`);
      }
      await part.append(piece.value);
    } catch (error) {
      await reader?.cancel().catch(() => {});
      throw error;
    }
    onProgress?.(part.size, total);
  }
}

async function finish(part: PartFile, expected: { sha256?: string; bytes?: number }, resumedFrom: number) {
  const name = basename(part.path);
  const bytes = part.size;
  if (expected.bytes !== undefined && bytes < expected.bytes) {
    throw new GhostkitError(
      `${name}: interrupted after ${size(bytes)} of ${size(expected.bytes)}; run it again to go on`,
    );
  }
  if ((await part.sizeOnDisk()) !== bytes) {
    await part.discard();
    throw new WrongContent(`${name}: something else has written to its unfinished part; it was not kept`);
  }
  const sha256 = await part.sha256();
  const wrong =
    expected.bytes !== undefined && bytes !== expected.bytes
      ? `${size(bytes)} instead of ${size(expected.bytes)}`
      : expected.sha256 !== undefined && sha256 !== expected.sha256
        ? `its SHA-256 is ${sha256}, not ${expected.sha256}`
        : undefined;
  if (wrong) {
    await part.discard();
    throw new WrongContent(`${name}: the server sent another file than the known one (${wrong}); it was not kept`);
  }
  await part.finish();
  return { bytes, sha256, resumedFrom, verified: expected.sha256 !== undefined };
}
