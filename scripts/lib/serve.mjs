import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.wasm': 'application/wasm',
};

/** What makes a page cross-origin isolated, so that it has shared memory and with it threads. */
export const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/**
 * Serves folders and texts on this machine only.
 *
 * @param {object} site
 * @param {Record<string, string>} [site.folders] the folder behind each prefix such as `/models/`
 * @param {Record<string, { body: string | Uint8Array, type?: string, status?: number, headers?: Record<string, string> }>} [site.files] what is at single addresses
 * @param {(path: string) => Record<string, string>} [site.headers] further headers of a path
 * @param {boolean} [site.cached] whether browsers may keep the files of folders for an hour
 * @param {number} [site.port] any that is free by default
 * @returns {Promise<{ url: string, requests: string[], close(): Promise<void> }>} `requests`: the paths that were asked for
 */
export async function serve({ folders = {}, files = {}, headers = () => ({}), cached = false, port = 0 }) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    requests.push(path);
    const send = (status, type, body, own = {}) => {
      response.writeHead(status, { 'Content-Type': type, ...headers(path), ...own });
      response.end(body);
    };
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    const file = files[path];
    if (file) return send(file.status ?? 200, file.type ?? type, file.body, file.headers);
    const prefix = Object.keys(folders)
      .filter((each) => path.startsWith(each))
      .sort((a, b) => b.length - a.length)[0];
    const inside = normalize(path.slice(prefix?.length ?? 0));
    const found = prefix !== undefined && !inside.startsWith('..') ? join(folders[prefix], inside) : undefined;
    const info = found && (await stat(found).catch(() => undefined));
    if (!info?.isFile()) return send(404, 'text/plain', 'not found');
    const cache = cached ? 'max-age=3600' : 'no-cache';
    response.writeHead(200, {
      'Content-Type': type,
      'Content-Length': info.size,
      'Cache-Control': cache,
      ...headers(path),
    });
    createReadStream(found).pipe(response);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}
