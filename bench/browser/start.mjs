// A page that starts one runtime, once, and says when its first answer was there.

const SIZE = 224;
export const SHAPE = [1, 3, SIZE, SIZE];

for (const type of ['error', 'unhandledrejection'])
  addEventListener(type, ({ message, reason }) => {
    location.hash = encodeURIComponent(`failed: ${message ?? reason}`);
  });

/** A grey picture, which is the same in every layout; what is in it does not matter, and making it takes no time. */
export const image = () => new Float32Array(3 * SIZE * SIZE).fill(0.25);

/** A file's bytes from Cache Storage, where the first visit puts it. */
export async function fromCacheStorage(url) {
  let response = await caches.match(url);
  if (!response) {
    await (await caches.open('bench')).add(url);
    response = await caches.match(url);
  }
  return new Uint8Array(await response.arrayBuffer());
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Where the page was asked to stay, it says when it may go: when there is a copy `inCacheStorage`, else when it was used for some seconds and has rested
 * for some more, since of what it has compiled for speed by then the browser keeps what it finds worth keeping.
 */
export async function stay(run, inCacheStorage) {
  if (!new URLSearchParams(location.search).has('stay')) return;
  if (inCacheStorage) {
    while (!(await caches.match(inCacheStorage))) await wait(10);
  } else {
    for (const end = performance.now() + 3000; performance.now() < end; await wait(10)) await run();
    await wait(4000);
  }
  location.hash = 'stayed';
}

/** Milliseconds since the navigation began, the logits that the runtimes have to agree on, and the files that did not come from Cache Storage. */
export function answered(logits) {
  const ms = performance.now();
  const fetched = performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname);
  globalThis.answer = { ms, fetched, logits: [...logits] };
  location.hash = 'answered';
}
