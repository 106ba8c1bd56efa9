import { GhostkitError } from '../tensor/error.js';
import type { ImageSource } from './compiled-file.js';
import { openFile } from './platform.js';

/** Enough for the header of most models; a longer one is read again. */
const HEAD_BYTES = 65536;

/** Opens a compiled model: a path or file URL in Node, anything that `fetch` takes elsewhere. */
export async function openImage(source: string | URL): Promise<ImageSource> {
  const file = await openFile(source);
  if (!file) return fetchImage(source);
  let head = file.read(HEAD_BYTES);
  const length = head.length < 8 ? 0 : Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true)) + 8;
  if (length > head.length && length <= file.size) head = file.read(length);
  return { head, read: ({ into, from }) => file.readInto(into, from), close: file.close };
}

async function fetchImage(source: string | URL): Promise<ImageSource> {
  const response = await fetch(source);
  if (!response.ok) throw new GhostkitError(`${String(source)}: ${response.status} ${response.statusText}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return {
    head: bytes,
    read: ({ into, from }) => {
      const part = bytes.subarray(from, from + into.length);
      into.set(part);
      return part.length;
    },
  };
}
