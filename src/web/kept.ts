import { type FetchModel, readCompiledHeader } from '../runtime/compiled-file.js';
import { openSource } from '../runtime/compiled-source.js';

// Models that a page keeps in the browser's Cache Storage. Chromium reads one from there in less than half of the time that its HTTP
// cache takes, and no network is needed; but nobody asks the server whether it is still the same, so that is done here, behind the first answer.

/** The name of the cache; a page may delete it: `caches.delete('ghostkit')`. */
const CACHE = 'ghostkit';

/** The copy that is kept, where there is one and the browser has Cache Storage for this page. */
async function find(url: string): Promise<Response | undefined> {
  try {
    return await caches.match(url, { cacheName: CACHE });
  } catch {
    return undefined;
  }
}

/** Keeps a copy where the browser lets; a full disk, or an address that cannot be kept, is no reason to fail. */
async function keep(url: string, copy: Response): Promise<void> {
  try {
    await (await caches.open(CACHE)).put(url, copy);
  } catch {
    await copy.body?.cancel().catch(() => {});
  }
}

/** How long after loading the server is asked: not beside the first answer. */
const REFRESH_AFTER_MS = 2000;

/** What tells two states of a file apart, the best first. */
const VALIDATORS = ['etag', 'last-modified'];

/** Whether a file may be another than the one that is kept; where a server says nothing of it, it may. */
function mayDiffer(kept: Headers, now: Headers): boolean {
  const known = VALIDATORS.find((name) => kept.get(name) !== null && now.get(name) !== null);
  return known === undefined || kept.get(known) !== now.get(known);
}

/** Whether there is a compiled model in a response, of a version that can be loaded; a web page about one that has moved is none. */
async function isModel(url: string, response: Response): Promise<boolean> {
  try {
    const { head, close } = await openSource(url, { fetch: async () => response });
    close?.();
    readCompiledHeader(head);
    return true;
  } catch {
    return false;
  }
}

/** Asks whether the server has another file by now, and keeps that for the next visit. */
async function refresh(url: string, kept: Headers): Promise<void> {
  try {
    const head = await fetch(url, { method: 'HEAD', cache: 'no-cache' });
    if (head.ok && !mayDiffer(kept, head.headers)) return;
    // There are servers that answer no HEAD.
    const now = await fetch(url, { cache: 'no-cache' });
    if (now.status === 200 && mayDiffer(kept, now.headers) && (await isModel(url, now.clone()))) await keep(url, now);
    else await now.body?.cancel();
  } catch {
    // Offline: what is kept stays.
  }
}

/**
 * Starts a model from the copy that is kept, else from its server, and then keeps it. A copy that does not load (it is damaged, or of a version
 * of ghostkit before this one) gives way to the server's, if that does.
 */
export async function throughCache<T>(
  url: string,
  signal: AbortSignal | undefined,
  start: (asked: { readonly fetch: FetchModel }) => Promise<T>,
): Promise<T> {
  let kept: Response | undefined;
  let copy: Response | undefined;
  const ask: FetchModel = async (address, init) => {
    const response = await fetch(address, init);
    if (response.status === 200) copy = response.clone();
    return response;
  };
  const fromCache: FetchModel = async (address, init) => {
    kept = await find(url);
    return kept ?? ask(address, init);
  };
  try {
    const started = await start({ fetch: fromCache }).catch(async (error) => {
      if (!kept || signal?.aborted) throw error;
      // Not forgotten yet: without a network, what could not be loaded for another reason stays.
      kept = undefined;
      return start({ fetch: ask });
    });
    const headers = kept?.headers;
    if (headers) setTimeout(() => void refresh(url, headers), REFRESH_AFTER_MS);
    else if (copy) void keep(url, copy);
    return started;
  } catch (error) {
    void copy?.body?.cancel().catch(() => {});
    throw error;
  }
}
