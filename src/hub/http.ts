import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';

/** A chain of redirects longer than this leads nowhere. */
const MAX_REDIRECTS = 10;

/** An open answer to a request, past all redirects. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
  /** What a hub's redirect said of the file behind it. */
  readonly linked: { readonly sha256?: string; readonly bytes?: number };
  /** Gives the connection back without reading the body. */
  cancel(): Promise<void>;
}

/** What went wrong with a connection, in words; `code` is Node's, of the error or of its cause. */
const REASONS: Record<string, string> = {
  ENOTFOUND: 'no such host; is there a network connection?',
  EAI_AGAIN: 'the name cannot be looked up; is there a network connection?',
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  UND_ERR_CONNECT_TIMEOUT: 'it does not answer',
  UND_ERR_HEADERS_TIMEOUT: 'it does not answer',
  UND_ERR_BODY_TIMEOUT: 'it stopped sending',
  ENETUNREACH: 'the network cannot be reached',
  EHOSTUNREACH: 'the host cannot be reached',
  ETIMEDOUT: 'it does not answer',
};

class Silence extends Error {}

/** Gives a connection up that is silent for too long. */
export class Patience {
  private readonly end = new AbortController();
  /** Aborted when it is at an end. */
  readonly signal = this.end.signal;

  constructor(private readonly ms: number) {}

  /** What a step of the connection comes to, which fails for the reason `why` if it takes too long. */
  async during<T>(why: string, step: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.end.abort(new Silence(why)), this.ms);
    try {
      return await step();
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The reason of a failed request or a broken body in a few words. */
export function networkReason(error: unknown): string {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof Silence) return each.message;
    const code = (each as NodeJS.ErrnoException).code ?? '';
    if (REASONS[code]) return REASONS[code];
    // Several addresses were tried, each with an error of its own.
    if (each instanceof AggregateError && each.errors.length > 0) return networkReason(each.errors[0]);
  }
  return error instanceof Error && error.cause ? messageOf(error.cause) : messageOf(error);
}

/** A hub names the checksum of a large file as its tag, and its size, before it redirects to where the file is. */
function linkedIn(headers: Headers): Answer['linked'] {
  const [, sha256] = /^"?([0-9a-f]{64})"?$/.exec(headers.get('x-linked-etag') ?? '') ?? [];
  const bytes = Number(headers.get('x-linked-size'));
  return { ...(sha256 && { sha256 }), ...(bytes > 0 && Number.isSafeInteger(bytes) && { bytes }) };
}

/** The address in a text, if it is one that can be requested. */
export function addressIn(text: string, base?: URL): URL | undefined {
  const address = URL.canParse(text, base) ? new URL(text, base) : undefined;
  return address && /^https?:$/.test(address.protocol) ? address : undefined;
}

/**
 * Requests `url` and follows redirects, but never from https to anything else.
 *
 * @throws GhostkitError when the server cannot be reached or the redirects lead nowhere.
 */
export async function request(
  url: string,
  { headers = {}, signal }: { headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Answer> {
  const first = addressIn(url);
  if (!first) throw new GhostkitError(`${printable(url)} is no address; it begins with https://`);
  let at = first;
  let linked: Answer['linked'] = {};
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    let response: Response;
    try {
      // Compressed on the way, a file could not be resumed.
      response = await fetch(at, {
        headers: { 'accept-encoding': 'identity', ...headers },
        redirect: 'manual',
        signal,
      });
    } catch (error) {
      throw new GhostkitError(`cannot reach ${printable(at.host)}: ${networkReason(error)}`, { cause: error });
    }
    linked = { ...linkedIn(response.headers), ...linked };
    const cancel = async () => response.body?.cancel().catch(() => {});
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || response.status === 304 || !location) {
      return { status: response.status, headers: response.headers, body: response.body, linked, cancel };
    }
    await cancel();
    const next = addressIn(location, at);
    if (!next || (next.protocol !== 'https:' && next.protocol !== at.protocol)) {
      throw new GhostkitError(`${printable(at.host)} redirects to ${printable(location)}, which is not followed`);
    }
    at = next;
  }
  throw new GhostkitError(`${printable(first.host)}: more than ${MAX_REDIRECTS} redirects`);
}
