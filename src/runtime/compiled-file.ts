import { readSafetensorsHeader } from '../formats/safetensors.js';
import { GhostkitError } from '../tensor/error.js';
import { checkProgram } from './check-program.js';
import { Checksum, type CompiledHeader, MAX_HEADER_BYTES, parseCompiled } from './compiled-format.js';
import { CompiledModel } from './compiled-model.js';
import { openSource } from './compiled-source.js';
import { Executor, type FreshMemory, type Kernels, preloadKernels, usableThreads } from './executor.js';
import { imageBytes } from './program.js';

export interface LoadOptions {
  /** Threads that share the work, at most those the model was compiled for (default 1). One where memory cannot be shared. */
  readonly threads?: number;
  /** `false` leaves out relaxed SIMD even where it is there. */
  readonly relaxed?: boolean;
  /** Called while the file arrives with the bytes that are there and all that are expected. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Gives up the download. */
  readonly signal?: AbortSignal;
  /** How a URL is asked for, by default with the global `fetch`: for headers, or a cache of your own. */
  readonly fetch?: FetchModel;
}

/** As the global `fetch` where it is given a URL. */
export type FetchModel = (url: string | URL, init: { readonly signal?: AbortSignal }) => Promise<Response>;

export interface LoadProgress {
  readonly loaded: number;
  readonly total: number;
}

/** A file whose header is at hand and whose data are read in order to where they are wanted. */
export interface CompiledSource {
  /** The start of the file, at least the whole header where there is one. */
  readonly head: Uint8Array;
  /** Fills `into` with the file's bytes from `from` on, which is where the last read ended; returns how many there were. */
  read(into: Uint8Array, from: number): number | Promise<number>;
  close?(): void;
}

/**
 * Loads a compiled model: the path or URL of a file, or its bytes. The weights go to where they are used while they arrive.
 *
 * @throws GhostkitError of one line when there is no such file, or it is damaged, cut off, of another version or no compiled model.
 */
export async function loadCompiled(
  source: string | URL | Uint8Array,
  options: LoadOptions = {},
): Promise<CompiledModel> {
  if (source instanceof Uint8Array) return loadCompiledBytes(source, options);
  const threads = usableThreads(options.threads ?? 1);
  // Before anything else: it takes the longest. The kernels arrive beside it.
  const opening = openSource(source, options);
  void preloadKernels({ threads, relaxed: options.relaxed });
  let opened: CompiledSource | undefined;
  try {
    opened = await opening;
    return await loadFrom(opened, options);
  } catch (error) {
    if (error instanceof GhostkitError)
      throw new GhostkitError(`${String(source)}: ${error.message}`, { cause: error });
    throw error;
  } finally {
    opened?.close?.();
  }
}

/** Like {@link loadCompiled}, for a file whose bytes are at hand. */
export function loadCompiledBytes(bytes: Uint8Array, options: LoadOptions = {}): Promise<CompiledModel> {
  const read: CompiledSource['read'] = (into, from) => {
    const part = bytes.subarray(from, from + into.length);
    into.set(part);
    return part.length;
  };
  return loadFrom({ head: bytes, read }, options);
}

/** What a file says before its data, and how long it is. */
export function readCompiledHeader(head: Uint8Array): CompiledHeader & { dataStart: number; total: number } {
  const parsed = readSafetensorsHeader(head, MAX_HEADER_BYTES);
  const { dataStart, dataBytes } = parsed;
  return { ...parseCompiled(parsed), dataStart, total: dataStart + dataBytes };
}

/** The complaint about a file that ends too early. */
export const cutOff = (got: number, total: number) =>
  new GhostkitError(`this compiled model is cut off: ${got} of ${total} bytes`);

async function loadFrom(source: CompiledSource, options: LoadOptions): Promise<CompiledModel> {
  const { threads = 1, relaxed } = options;
  const header = readCompiledHeader(source.head);
  const { program, metadata } = header;
  const fill = async (fresh: FreshMemory) => {
    const sum = new Checksum().addText(header.text);
    const scratch = program.address + imageBytes(program);
    // Pieces may be there before the kernels.
    let kernels: Kernels | undefined;
    const pieces: Piece[] = [];
    const work = (ready: Kernels) => {
      for (const { at, bytes, wide } of pieces.splice(0)) {
        addTo(sum, fresh.memory, ready, at, bytes, scratch);
        if (wide !== undefined) ready.widen(at, wide, bytes / 2);
      }
    };
    const noted = fresh.kernels.then(
      (ready) => {
        kernels = ready;
      },
      () => {},
    );
    await readRegions(header, source, options, fresh.memory, (piece) => {
      pieces.push(piece);
      if (kernels) work(kernels);
    });
    await noted;
    work(await fresh.kernels);
    if (sum.digest() !== header.checksum) {
      throw new GhostkitError('this compiled model is damaged: it does not have its checksum; get it again');
    }
    checkProgram(program, new Int32Array(fresh.memory.buffer, program.address, program.wordCount));
  };
  const count = Math.min(usableThreads(threads), program.threads);
  const executor = await Executor.create(program, fill, { threads: count, relaxed });
  if (options.signal?.aborted) {
    executor.close();
    throw options.signal.reason;
  }
  return new CompiledModel(executor, metadata);
}

/** Adds memory to a checksum; `scratch` is a place for it that nobody uses yet. */
function addTo(
  { lanes }: Checksum,
  memory: WebAssembly.Memory,
  kernels: Kernels,
  at: number,
  bytes: number,
  scratch: number,
): void {
  const shared = new Int32Array(memory.buffer, scratch, lanes.length);
  shared.set(lanes);
  kernels.checksum(at, bytes, scratch);
  lanes.set(shared);
  shared.fill(0);
}

/** How much is read at once: what is done with it finds it in the processor's cache, and more arrives meanwhile. A multiple of 32. */
const PIECE = 1 << 18;

/** Some bytes that have come to their place in memory; `wide`: where they become twice as many, if they are float16. */
interface Piece {
  readonly at: number;
  readonly bytes: number;
  readonly wide?: number;
}

/** Reads every region to its place in memory; `done` is told of each piece. */
async function readRegions(
  { regions, dataStart, total }: ReturnType<typeof readCompiledHeader>,
  source: CompiledSource,
  { onProgress, signal }: LoadOptions,
  { buffer }: WebAssembly.Memory,
  done: (piece: Piece) => void,
): Promise<void> {
  let loaded = dataStart;
  onProgress?.({ loaded, total });
  for (const { address, bytes, from, stored } of regions) {
    // At the end of the region: float16 is widened from its start on, and never overtakes what is yet to be read.
    const start = address + bytes - stored;
    for (let offset = 0; offset < stored; offset += PIECE) {
      signal?.throwIfAborted();
      const into = new Uint8Array(buffer, start + offset, Math.min(PIECE, stored - offset));
      const got = await source.read(into, dataStart + from + offset);
      loaded += got;
      if (got < into.length) throw cutOff(loaded, total);
      done({ at: start + offset, bytes: into.length, wide: stored < bytes ? address + 2 * offset : undefined });
      onProgress?.({ loaded, total });
    }
  }
}
