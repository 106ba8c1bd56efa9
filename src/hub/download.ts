import { mkdir, statfs } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { GhostkitError } from '../tensor/error.js';
import { type Answer, networkReason, request } from './http.js';
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
  const stall = new AbortController();
  const signals = [stall.signal, ...(options.signal ? [options.signal] : [])];
  const answer = await request(url, {
    headers: resumedFrom > 0 ? { range: `bytes=${resumedFrom}-`, ...(etag && { 'if-range': etag }) } : {},
    signal: AbortSignal.any(signals),
  });
  const expected = { sha256: options.sha256 ?? answer.linked.sha256, bytes: options.bytes ?? answer.linked.bytes };

  const complete = answer.status === 416 && rangeTotal(answer) === resumedFrom;
  let start = part.size;
  if (complete) await answer.cancel();
  else {
    start = await startOf(part, answer, url);
    const length = Number(answer.headers.get('content-length') ?? Number.NaN);
    const total = Number.isFinite(length) ? start + length : undefined;
    const refused = refusal(name, total, expected.bytes, limit) ?? (await noRoom(part, length));
    if (refused) {
      await answer.cancel();
      throw new GhostkitError(refused);
    }
    await part.begin({ restart: start === 0, etag: answer.headers.get('etag') });
    await receive(part, answer, { ...options, total, limit, stall, stallMs });
  }
  return await finish(part, expected, start);
}

/** Where the answer's body begins in the file. */
async function startOf(part: PartFile, answer: Answer, url: string): Promise<number> {
  if (answer.status === 206) {
    const [, first] = /^bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '') ?? [];
    if (Number(first) === part.size) return part.size;
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

function rangeTotal(answer: Answer): number {
  return Number(/^bytes \*\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1]);
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
  readonly limit: number;
  readonly stall: AbortController;
  readonly stallMs: number;
}

async function receive(part: PartFile, answer: Answer, { total, limit, stall, stallMs, onProgress }: Receiving) {
  const name = basename(part.path);
  const reader = answer.body?.getReader();
  let timer: NodeJS.Timeout | undefined;
  const read = async () => {
    timer = setTimeout(() => stall.abort(new DOMException('stalled', 'TimeoutError')), stallMs);
    try {
      return await reader?.read();
    } catch (error) {
      const of = total === undefined ? '' : ` of ${size(total)}`;
      const reason = networkReason(error);
      throw new GhostkitError(`${name}: interrupted after ${size(part.size)}${of} (${reason}); run it again to go on`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
  };
  for (let piece = await read(); piece && !piece.done; piece = await read()) {
    if (part.size + piece.value.length > limit) {
      await reader?.cancel().catch(() => {});
      await part.discard();
      throw new GhostkitError(`${name}: the server sends more than the ${size(limit)} that are allowed`);
    }
    try {
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
