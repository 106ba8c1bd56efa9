import { messageOf } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import type { CompiledSource, LoadOptions } from './compiled-file.js';
import { MAX_HEADER_BYTES } from './compiled-format.js';
import { isFile, openFile } from './platform.js';

/** Enough for the header of most models; a longer one is read again. */
const HEAD_BYTES = 65536;

/** How many bytes its first eight tell that a safetensors file has up to its data; those eight where they tell of more than is read. */
function headerEnd(head: Uint8Array): number {
  if (head.length < 8) return 8;
  const length = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  return length > MAX_HEADER_BYTES ? 8 : length + 8;
}

type Asked = Pick<LoadOptions, 'signal' | 'fetch'>;

/** Opens a compiled model: a path or file URL in Node, anything that `fetch` takes elsewhere. */
export async function openSource(source: string | URL, options: Asked = {}): Promise<CompiledSource> {
  if (!isFile(source)) return fetchSource(source, options);
  const file = await openFile(source);
  let head = file.read(HEAD_BYTES);
  const end = headerEnd(head);
  if (end > head.length && end <= file.size) head = file.read(end);
  return { head, read: file.readInto, close: file.close };
}

async function fetchSource(source: string | URL, { signal, fetch = globalThis.fetch }: Asked): Promise<CompiledSource> {
  const request = async <T>(of: Promise<T>): Promise<T> => {
    try {
      return await of;
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new GhostkitError(`it cannot be fetched (${messageOf(error)}); is it there, and may this page read it?`, {
        cause: error,
      });
    }
  };
  const response = await request(fetch(source, { signal }));
  if (!response.ok) throw new GhostkitError(`${response.status} ${response.statusText}`.trim());
  const type = response.headers.get('content-type') ?? '';
  if (/^text\/html/i.test(type)) {
    response.body?.cancel();
    throw new GhostkitError(`there is a web page (${type}) and no model; is the address right?`);
  }
  if (!response.body) throw new GhostkitError('the answer is empty');
  const pieces = piecesOf(response.body);
  /** What has arrived and was not taken yet. */
  let rest = new Uint8Array(0);
  /** At most `most` of the bytes that come next; none where the body ends. */
  const next = async (most: number): Promise<Uint8Array> => {
    if (rest.length === 0) rest = await request(pieces.next());
    const part = rest.subarray(0, most);
    rest = rest.subarray(part.length);
    return part;
  };

  const chunks: Uint8Array[] = [];
  let position = 0;
  for (let end = 8; position < end; ) {
    const part = await next(end - position);
    if (part.length === 0) break;
    // A copy: the piece that it is a part of is read over.
    chunks.push(part.slice());
    position += part.length;
    if (position === 8) end = headerEnd(joined(chunks, 8));
  }
  return {
    head: joined(chunks, position),
    async read(into, from) {
      let done = 0;
      while (done < into.length) {
        const skipped = Math.max(0, from + done - position);
        const part = await next(skipped || into.length - done);
        if (part.length === 0) break;
        position += part.length;
        if (skipped > 0) continue;
        into.set(part, done);
        done += part.length;
      }
      return done;
    },
    close: pieces.cancel,
  };
}

/** How much of a body is read at once. */
const PIECE = 1 << 18;

/** Ends a body: later, since it takes a page a millisecond, and who waits for the model does not wait for that. */
function givenBack(reader: ReadableStreamGenericReader): void {
  setTimeout(() => void reader.cancel().catch(() => {}));
}

/** A body piece by piece, an empty one at its end. Each is valid until the next is asked for. */
function piecesOf(body: ReadableStream<Uint8Array<ArrayBuffer>>): {
  next(): Promise<Uint8Array<ArrayBuffer>>;
  cancel(): void;
} {
  const none = new Uint8Array(0);
  try {
    // All into one buffer: to get fresh memory for every piece takes longer than to fill it.
    const reader = body.getReader({ mode: 'byob' });
    let buffer = new ArrayBuffer(PIECE);
    return {
      async next() {
        const { value = none } = await reader.read(new Uint8Array(buffer));
        buffer = value.buffer;
        return value;
      },
      cancel: () => givenBack(reader),
    };
  } catch {
    // Not every browser can.
    const reader = body.getReader();
    return {
      async next() {
        for (;;) {
          const { done, value } = await reader.read();
          if (done || value.length > 0) return value ?? none;
        }
      },
      cancel: () => givenBack(reader),
    };
  }
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}
