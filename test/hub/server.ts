import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Bytes that are the same every time and do not repeat soon. */
export function content(length: number, seed = 1): Uint8Array {
  let x = seed;
  return Uint8Array.from({ length }, () => {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    return x >>> 16;
  });
}

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

export interface Behaviour {
  body: Uint8Array;
  etag?: string;
  /** Whether it answers to Range with 206. */
  ranges?: boolean;
  /** Cuts the connection after so many bytes of an answer, once. */
  cutAfter?: number;
  /** Sends so many bytes, and then nothing for good. */
  stallAfter?: number;
  /** Takes the request and never answers. */
  silent?: boolean;
  /** Leaves out Content-Length. */
  chunked?: boolean;
  status?: number;
  redirect?: string;
  headers?: Record<string, string>;
}

export interface TestServer {
  readonly url: string;
  /** What each path answers; a path that is not there is a 404. */
  readonly files: Map<string, Behaviour>;
  readonly requests: { path: string; range?: string; ifRange?: string }[];
  close(): Promise<void>;
}

function answer(behaviour: Behaviour | undefined, request: IncomingMessage, response: ServerResponse): void {
  if (!behaviour) {
    response.writeHead(404).end('nothing');
    return;
  }
  if (behaviour.silent) return;
  const { body, etag, ranges = true, chunked, status, redirect, headers = {} } = behaviour;
  if (redirect !== undefined) {
    response.writeHead(302, { location: redirect, ...headers }).end();
    return;
  }
  if (status !== undefined) {
    response.writeHead(status, headers).end('no');
    return;
  }
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const ifRange = request.headers['if-range'];
  const partial = range && ranges && (ifRange === undefined || ifRange === etag);
  const start = partial ? Number(range[1]) : 0;
  const common = { ...headers, ...(etag && { etag }) };
  if (partial && start >= body.length) {
    response.writeHead(416, { ...common, 'content-range': `bytes */${body.length}` }).end();
    return;
  }
  const rest = body.subarray(start);
  response.writeHead(partial ? 206 : 200, {
    ...common,
    ...(!chunked && { 'content-length': rest.length }),
    ...(partial && { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` }),
  });
  const { cutAfter, stallAfter } = behaviour;
  if (cutAfter !== undefined && cutAfter < rest.length) {
    behaviour.cutAfter = undefined;
    // What has arrived but was not read yet is lost with the connection, so a busy machine gets time to read it.
    response.write(rest.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 300));
  } else if (stallAfter !== undefined) response.write(rest.subarray(0, stallAfter));
  else response.end(rest);
}

/** A server on this machine that behaves as it is told. */
export async function startServer(): Promise<TestServer> {
  const files = new Map<string, Behaviour>();
  const requests: TestServer['requests'] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    requests.push({ path, range: request.headers.range, ifRange: request.headers['if-range'] as string | undefined });
    answer(files.get(path), request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    files,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
