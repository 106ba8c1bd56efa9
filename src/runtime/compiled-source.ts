import { messageOf } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import type { CompiledSource } from './compiled-file.js';
import { openFile } from './platform.js';

/** Enough for the header of most models; a longer one is read again. */
const HEAD_BYTES = 65536;

/** The largest header that is waited for; a compiled model's has some tens of KB. */
const MAX_HEADER_BYTES = 1 << 26;

/** The bytes of a safetensors file up to its data, as its first eight tell; undefined when they are not there. */
function headerEnd(head: Uint8Array): number | undefined {
  if (head.length < 8) return undefined;
  return Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true)) + 8;
}

/** Opens a compiled model: a path or file URL in Node, anything that `fetch` takes elsewhere. */
export async function openSource(source: string | URL, signal?: AbortSignal): Promise<CompiledSource> {
  const file = await openFile(source);
  if (!file) return fetchSource(source, signal);
  let head = file.read(HEAD_BYTES);
  const end = headerEnd(head) ?? 0;
  if (end > head.length && end <= file.size) head = file.read(end);
  return { head, read: file.readInto, close: file.close };
}

async function fetchSource(source: string | URL, signal?: AbortSignal): Promise<CompiledSource> {
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
  const reader = response.body.getReader();
  /** What has arrived and was not taken yet. */
  let rest = new Uint8Array(0);
  const more = async (): Promise<boolean> => {
    const { done, value } = await request(reader.read());
    if (!done) rest = value;
    return !done;
  };

  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let end: number | undefined; length < Math.min(end ?? 8, MAX_HEADER_BYTES) && (await more()); ) {
    chunks.push(rest);
    length += rest.length;
    if (end === undefined && length >= 8) end = headerEnd(joined(chunks, length));
  }
  const head = joined(chunks, length);
  rest = head;
  let position = 0;
  return {
    head,
    async read(into, from) {
      let done = 0;
      while (done < into.length) {
        // What lies before `from` is the header, which was looked at already.
        const skipped = Math.min(rest.length, from + done - position);
        const part = rest.subarray(skipped, skipped + into.length - done);
        into.set(part, done);
        done += part.length;
        position += skipped + part.length;
        rest = rest.subarray(skipped + part.length);
        if (done < into.length && rest.length === 0 && !(await more())) break;
      }
      return done;
    },
    close: () => void reader.cancel().catch(() => {}),
  };
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
