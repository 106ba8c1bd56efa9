/** Runs the collector, where there is a way to. */
let collector: Promise<(() => void) | undefined> | undefined;

async function findCollector(): Promise<(() => void) | undefined> {
  if (typeof process === 'undefined' || !process.versions?.node) return undefined;
  // By computed names, so that bundlers for the web leave them out.
  const [v8, vm] = (await Promise.all(['v8', 'vm'].map((name) => import(/* @vite-ignore */ `node:${name}`)))) as [
    typeof import('node:v8'),
    typeof import('node:vm'),
  ];
  v8.setFlagsFromString('--expose-gc');
  return vm.runInNewContext('globalThis.gc') as (() => void) | undefined;
}

/**
 * Gives the memory of networks that were let go back now: a network is hundreds of megabytes that are freed when the collector finds
 * them unused, which V8, seeing only small objects, puts off. Does nothing in a page.
 */
export async function collectGarbage(): Promise<void> {
  collector ??= findCollector();
  (await collector)?.();
}
