import { cutOff, type LoadOptions, readCompiledHeader } from '../runtime/compiled-file.js';
import { openSource } from '../runtime/compiled-source.js';
import { GhostkitError } from '../tensor/error.js';

/** How much is read between two reports of progress. */
const PIECE = 1 << 18;

/** What WebAssembly can address here. */
const MOST_BYTES = 2 ** 31;

/** Fetches a compiled model whole. Throws a one-line {@link GhostkitError} for what is none. */
export async function download(
  url: string,
  { onProgress, signal, fetch }: Pick<LoadOptions, 'signal' | 'onProgress' | 'fetch'>,
): Promise<Uint8Array<ArrayBuffer>> {
  const source = await openSource(url, { signal, fetch });
  try {
    const { total, dataStart } = readCompiledHeader(source.head);
    if (total > MOST_BYTES) throw new GhostkitError(`this compiled model has ${total} bytes, which is too much`);
    const bytes = allocated(total);
    bytes.set(source.head.subarray(0, dataStart));
    onProgress?.({ loaded: dataStart, total });
    for (let loaded = dataStart; loaded < total; ) {
      signal?.throwIfAborted();
      const into = bytes.subarray(loaded, loaded + PIECE);
      const got = await source.read(into, loaded);
      loaded += got;
      if (got < into.length) throw cutOff(loaded, total);
      onProgress?.({ loaded, total });
    }
    return bytes;
  } finally {
    source.close?.();
  }
}

function allocated(bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    throw new GhostkitError(`there is no memory for this model, which has ${bytes} bytes`, { cause: error });
  }
}
