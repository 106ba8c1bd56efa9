import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseLabels } from '../data/labels.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { type Downloaded, type DownloadOptions, download } from './download.js';
import { cacheFolder } from './folders.js';
import { addressIn } from './http.js';
import { findWeights, type WeightsEntry } from './manifest.js';
import { sha256OfFile } from './part.js';

/** Where a file of the manifest is kept, whether it is there or not. */
export function cachedPath(entry: WeightsEntry, folder: string = cacheFolder()): string {
  return join(folder, 'weights', entry.file);
}

export type CacheState = 'present' | 'partial' | 'absent';

/** Whether a file is in the cache; `partial` is an interrupted download, `bytes` what is there. */
export async function cacheState(
  entry: WeightsEntry,
  folder: string = cacheFolder(),
): Promise<{ state: CacheState; bytes: number }> {
  const path = cachedPath(entry, folder);
  const whole = await stat(path).catch(() => undefined);
  if (whole?.isFile()) return { state: 'present', bytes: whole.size };
  const part = await stat(`${path}.part`).catch(() => undefined);
  return part ? { state: 'partial', bytes: part.size } : { state: 'absent', bytes: 0 };
}

/** The checksum that the file had when it was downloaded, in the format of `sha256sum`. */
const recordPath = (path: string) => `${path}.sha256`;

/** From where a file comes: its own address, or its name below `GHOSTKIT_MIRROR`. */
function addressOf({ url, file }: WeightsEntry): string | undefined {
  const mirror = process.env.GHOSTKIT_MIRROR;
  if (!url || !mirror) return url;
  if (!addressIn(mirror)) {
    throw new GhostkitError(`GHOSTKIT_MIRROR must be an address like https://host/folder, got ${printable(mirror)}`);
  }
  return `${mirror.replace(/\/*$/, '')}/${file}`;
}

export interface Pulled extends Partial<Downloaded> {
  readonly path: string;
  readonly state: 'downloaded' | 'there';
}

/**
 * Makes sure that a file of the manifest is in the cache; nothing is sent when it is. With `force` it is downloaded anew.
 *
 * @throws GhostkitError in one line that begins with the entry's name; see {@link download}.
 */
export async function pull(
  entry: WeightsEntry,
  {
    folder = cacheFolder(),
    force = false,
    ...options
  }: Omit<DownloadOptions, 'sha256' | 'bytes'> & { folder?: string; force?: boolean } = {},
): Promise<Pulled> {
  const path = cachedPath(entry, folder);
  if (!force && existsSync(path)) return { path, state: 'there' };
  try {
    const url = addressOf(entry);
    if (!url) throw new GhostkitError(`${entry.remark ?? 'it has no address'} (${path})`);
    const downloaded = await download(url, path, { sha256: entry.sha256, bytes: entry.bytes, ...options });
    await writeFileAtomic(recordPath(path), `${downloaded.sha256}  ${entry.file}\n`);
    return { path, state: 'downloaded', ...downloaded };
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    const { message: said } = error;
    const message = said.startsWith(`${entry.file}: `) ? said.slice(entry.file.length + 2) : said;
    throw new GhostkitError(`${entry.name}: ${message}`, { cause: error });
  }
}

export interface Verdict {
  readonly state: 'right' | 'wrong' | 'unknown' | 'partial' | 'absent';
  /** One line for what is not right. */
  readonly reason?: string;
}

/** Whether the cached file still is what was published, or, where no checksum is published, what was downloaded. */
export async function verify(entry: WeightsEntry, folder: string = cacheFolder()): Promise<Verdict> {
  const path = cachedPath(entry, folder);
  const { state, bytes } = await cacheState(entry, folder);
  if (state === 'absent') return { state };
  if (state === 'partial') {
    return { state, reason: `${bytes} bytes of an interrupted download; ghostkit weights pull ${entry.name} goes on` };
  }
  const recorded = /^[0-9a-f]{64}/.exec(await readFile(recordPath(path), 'utf8').catch(() => ''))?.[0];
  const expected = entry.sha256 ?? recorded;
  if (!expected) return { state: 'unknown', reason: 'no checksum is published, and it was not downloaded by ghostkit' };
  const actual = await sha256OfFile(path);
  if (actual === expected) return { state: 'right' };
  const published = entry.sha256 ? 'published' : 'downloaded';
  const again = `ghostkit weights pull ${entry.name} --force gets it anew`;
  return { state: 'wrong', reason: `it is not the file that was ${published} (SHA-256 ${actual}); ${again}` };
}

/** The path of a cached file, or a message with the command that gets it. */
export async function requireCached(name: string, folder: string = cacheFolder()): Promise<string> {
  const entry = findWeights(name);
  const { state } = await cacheState(entry, folder);
  const path = cachedPath(entry, folder);
  if (state === 'present') return path;
  throw new GhostkitError(
    state === 'partial'
      ? `${name}: the download of its weights is not finished; ghostkit weights pull ${name} goes on with it`
      : `${name}: its weights are not in the cache; get them with ghostkit weights pull ${name}`,
  );
}

/** The names of ImageNet-1k's classes in order, when they are in the cache. */
export async function imagenetLabels(folder: string = cacheFolder()): Promise<string[] | undefined> {
  const paths = ['imagenet-synsets', 'imagenet-names'].map((name) => cachedPath(findWeights(name), folder));
  if (!paths.every((path) => existsSync(path))) return undefined;
  const [synsets, names] = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  const words = new Map(
    names.split('\n').flatMap((line) => {
      const [synset, word] = line.split('\t');
      return word ? [[synset, word.trim()] as const] : [];
    }),
  );
  const order = parseLabels(synsets);
  const labels = order.map((synset) => words.get(synset) ?? synset);
  return order.length === 1000 ? labels : undefined;
}
