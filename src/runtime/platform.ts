import { checkRegular, fileReason } from '../formats/file-reason.js';
import { messageOf } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';

// What differs between Node and a browser: where a file of the package is read from, how a thread is started, which flags there are.
// Node's modules are imported by computed names, so that bundlers for the web leave them out.

const isNode = typeof process !== 'undefined' && Boolean(process.versions?.node);

const node = <T>(name: string): Promise<T> => import(/* @vite-ignore */ `node:${name}`);

// In Node, WebAssembly is compiled and instances are made at once. With nothing else to wait for, the event loop would drain V8's tasks, and with that a
// process hangs (nodejs/node#54918) or ends with the promise unsettled, now and then.

/** A WebAssembly file of the package, compiled. */
export async function compileWasm(url: URL): Promise<WebAssembly.Module> {
  if (isNode && url.protocol === 'file:') {
    const { readFile } = await node<typeof import('node:fs/promises')>('fs/promises');
    return new WebAssembly.Module(await readFile(url));
  }
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`.trim());
    const type = response.headers.get('content-type') ?? '';
    if (/^text\/html/i.test(type)) throw new Error('there is a web page');
    // Compiled while it arrives, where the server says what it is.
    if (type.startsWith('application/wasm')) return await WebAssembly.compileStreaming(response);
    return await WebAssembly.compile(await response.arrayBuffer());
  } catch (error) {
    const why = messageOf(error);
    const hint = /Content Security Policy|unsafe-eval|blocked by CSP/i.test(why)
      ? "the page's Content-Security-Policy has to allow 'wasm-unsafe-eval' in script-src"
      : 'are the files of ghostkit served beside its script?';
    throw new GhostkitError(`the kernels cannot be loaded from ${url.href} (${why}); ${hint}`, { cause: error });
  }
}

/** What a module exports, over a memory. Pages may not make instances at once in every browser. */
export async function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<WebAssembly.Exports> {
  const imports = { env: { memory } };
  return (isNode ? new WebAssembly.Instance(module, imports) : await WebAssembly.instantiate(module, imports)).exports;
}

/** A file that is open for reading. */
export interface OpenFile {
  readonly size: number;
  /** The first `length` bytes, or as many as there are. */
  read(length: number): Uint8Array;
  /** Fills `into` with the bytes from `from` on; returns how many there were. */
  readInto(into: Uint8Array, from: number): number;
  close(): void;
}

/** Any other scheme in a string is a part of a file's name; a drive is one of Windows. */
const schemeOf = (source: string | URL) =>
  source instanceof URL ? source.protocol : /^(file|https?):/i.exec(source)?.[0].toLowerCase();

/** Whether a source is a file, which can be opened; anything else has to be fetched. */
export const isFile = (source: string | URL) => isNode && (schemeOf(source) ?? 'file:') === 'file:';

/** Opens a file in Node. */
export async function openFile(source: string | URL): Promise<OpenFile> {
  const fs = await node<typeof import('node:fs')>('fs');
  let descriptor: number;
  try {
    // Opening a pipe would wait for somebody who writes to it, but for this flag, which Windows has not.
    const flags = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0);
    descriptor = fs.openSync(schemeOf(source) ? new URL(source) : source, flags);
  } catch (error) {
    throw new GhostkitError(fileReason(error));
  }
  const stats = fs.fstatSync(descriptor);
  try {
    checkRegular(stats);
  } catch (error) {
    fs.closeSync(descriptor);
    throw error;
  }
  const { size } = stats;
  const readInto = (into: Uint8Array, from: number) => {
    let done = 0;
    while (done < into.length) {
      const count = fs.readSync(descriptor, into, done, into.length - done, from + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  };
  const read = (length: number) => {
    const bytes = new Uint8Array(Math.min(length, size));
    return bytes.subarray(0, readInto(bytes, 0));
  };
  return { size, read, readInto, close: () => fs.closeSync(descriptor) };
}

/** Whether several threads can share a memory here; a page has to be cross-origin isolated for that. */
export function canShareMemory(): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  return isNode || (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;
}

/** Whether the calling thread may sleep on an atomic wait: not on a page's main thread. */
export function mayWait(): boolean {
  return isNode || typeof (globalThis as { document?: unknown }).document === 'undefined';
}

/** A module whose validation asks for `i8x16.splat` and `i8x16.popcnt`, which is of the last that SIMD was given. */
const simdProbe = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
  ...[10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
);

/** What was seen to be there is not asked for again: looking takes half a millisecond of a page's start. */
const seen = { simd: false, relaxed: false };

/** A module whose validation asks for `i8x16.relaxed_swizzle`. */
const relaxedProbe = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
  ...[10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
);

/** Throws a {@link GhostkitError} where WebAssembly or its SIMD is missing. */
export function requireSimd(): void {
  if (typeof WebAssembly === 'object') {
    // Mostly both are there, and one look is enough.
    seen.relaxed ||= WebAssembly.validate(relaxedProbe);
    seen.simd ||= seen.relaxed || WebAssembly.validate(simdProbe);
  }
  if (seen.simd) return;
  throw new GhostkitError(
    'there is no WebAssembly SIMD here; it is in Chrome and Edge from 91, Firefox from 89, Safari from 16.4',
  );
}

/** Whether relaxed SIMD is there. Node 20 has it behind a flag of V8, which is switched on for it. */
export async function hasRelaxedSimd(): Promise<boolean> {
  seen.relaxed ||= WebAssembly.validate(relaxedProbe);
  if (seen.relaxed || !isNode) return seen.relaxed;
  const { setFlagsFromString } = await node<typeof import('node:v8')>('v8');
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  return WebAssembly.validate(relaxedProbe);
}

/** A module with a function that tells whether `f32x4.relaxed_madd` rounds once: (1 + 2^-12)^2 - (1 + 2^-11), which is 2^-24 then, or 0. */
const fusedProbe = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 125, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0],
  ...[10, 31, 1, 29, 0, 67, 0, 8, 128, 63, 253, 19, 67, 0, 8, 128, 63, 253, 19, 67, 0, 16, 128, 191, 253, 19],
  ...[253, 133, 2, 253, 31, 0, 11],
);

/** The first and the last version of V8 in which pairs of vectors were seen to become one: Node 24 to 26. */
const WIDE_V8 = [13, 14];

let wide = false;

/**
 * Lets V8 run two 128-bit vector operations as one of 256 bits, for which ghostkit has kernels of their own: float32 takes less time, by up to a
 * quarter, with the same results to the last bit. It is an experiment of V8's, switched on for the whole process, so a
 * program has to ask for it, before the first network is compiled; the command line does. Returns whether it is there: in Node 24 to 26, on x64
 * with AVX2.
 */
export async function enableWideSimd(): Promise<boolean> {
  if (wide || !isNode || process.arch !== 'x64') return wide;
  const version = Number.parseInt(process.versions.v8, 10);
  if (!(version >= WIDE_V8[0] && version <= WIDE_V8[1])) return false;
  if (!WebAssembly.validate(fusedProbe)) return false;
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(fusedProbe)).exports as { f(): number };
  // Processors with fused multiply-add have AVX2, but for some of AMD's of 2012 to 2014.
  if (f() === 0) return false;
  const { setFlagsFromString } = await node<typeof import('node:v8')>('v8');
  setFlagsFromString('--experimental-wasm-revectorize');
  wide = true;
  return true;
}

/** Whether {@link enableWideSimd} was asked for, and is there. */
export const hasWideSimd = () => wide;

/** A helper thread that runs `worker.js`. */
export interface Thread {
  /** Resolves when the thread is about to wait for work. */
  readonly ready: Promise<void>;
}

/** Starts a thread with `data`; it does not keep the process alive. */
export async function startThread(data: unknown): Promise<Thread> {
  if (isNode) {
    const { Worker: NodeWorker } = await node<typeof import('node:worker_threads')>('worker_threads');
    const worker = new NodeWorker(new URL('./worker.js', import.meta.url), { workerData: data });
    const ready = new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('error', reject);
    });
    // Only once it runs: until then the process has to wait for it.
    return { ready: ready.then(() => worker.unref()) };
  }
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  const ready = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = (event) => {
      event.preventDefault();
      const why = event.message || 'its script is missing or may not run';
      reject(
        new GhostkitError(`a thread cannot be started (${why}); is worker.js served beside the script of ghostkit?`),
      );
    };
  });
  worker.postMessage(data);
  return { ready };
}
