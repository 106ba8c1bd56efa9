import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DownloadOptions, download } from '../../src/hub/download.js';
import { lockDownload } from '../../src/hub/lock.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { content, sha256, startServer, type TestServer } from './server.js';

let server: TestServer;
let folder: string;
let path: string;
const body = content(300_000);
const right = { sha256: sha256(body), bytes: body.length };

beforeEach(async () => {
  server = await startServer();
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-download-'));
  path = join(folder, 'deep', 'file.bin');
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const get = (options: DownloadOptions = {}, name = '/file.bin') => download(server.url + name, path, options);

async function failure(options: DownloadOptions = {}, name = '/file.bin'): Promise<string> {
  const error = await get(options, name).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(GhostkitError);
  const { message } = error as GhostkitError;
  expect(message).not.toContain('\n');
  expect(existsSync(path)).toBe(false);
  return message;
}

const files = () => readdir(join(folder, 'deep'));

describe('download', () => {
  it('writes the whole file, and nothing beside it', async () => {
    server.files.set('/file.bin', { body, etag: '"a"' });
    const seen: [number, number | undefined][] = [];
    const result = await get({ ...right, onProgress: (done, total) => seen.push([done, total]) });
    expect(result).toEqual({ bytes: body.length, sha256: right.sha256, resumedFrom: 0, verified: true });
    expect(new Uint8Array(await readFile(path))).toEqual(body);
    expect(seen.at(-1)).toEqual([body.length, body.length]);
    expect(await files()).toEqual(['file.bin']);
  });

  it('goes on after an interruption, from where it ended', async () => {
    server.files.set('/file.bin', { body, etag: '"a"', cutAfter: 100_000 });
    expect(await failure()).toBe(
      'file.bin: interrupted after 100000 bytes of 300000 bytes (the connection was cut); run it again to go on',
    );
    expect((await files()).sort()).toEqual(['file.bin.part', 'file.bin.part.etag']);
    const { resumedFrom, sha256: hash } = await get();
    expect({ resumedFrom, hash }).toEqual({ resumedFrom: 100_000, hash: right.sha256 });
    expect(server.requests.at(-1)).toEqual({ path: '/file.bin', range: 'bytes=100000-', ifRange: '"a"' });
    expect(await files()).toEqual(['file.bin']);
  });

  it('starts over when the file has changed in between', async () => {
    server.files.set('/file.bin', { body: content(300_000, 9), etag: '"old"', cutAfter: 100_000 });
    await failure();
    server.files.set('/file.bin', { body, etag: '"new"' });
    expect(await get()).toMatchObject({ sha256: right.sha256, resumedFrom: 0 });
  });

  it('starts over on a server without ranges', async () => {
    server.files.set('/file.bin', { body, ranges: false, cutAfter: 100_000 });
    await failure(right);
    expect(await get(right)).toMatchObject({ sha256: right.sha256, resumedFrom: 0 });
    expect(server.requests.at(-1)?.range).toBe('bytes=100000-');
  });

  it('does not trust a part that nothing can check', async () => {
    server.files.set('/file.bin', { body, cutAfter: 100_000 });
    await failure();
    await get();
    expect(server.requests.at(-1)?.range).toBeUndefined();
    expect(new Uint8Array(await readFile(path))).toEqual(body);
  });

  it('starts over when the checksum shows that a part was of another file', async () => {
    server.files.set('/file.bin', { body });
    await get({}, '/file.bin');
    await rm(path);
    await writeFile(`${path}.part`, content(1000, 5));
    expect(await get(right)).toMatchObject({ sha256: right.sha256, resumedFrom: 0 });
  });

  it('takes a part that is already whole', async () => {
    server.files.set('/file.bin', { body });
    await get();
    await rm(path);
    await writeFile(`${path}.part`, body);
    expect(await get(right)).toMatchObject({ sha256: right.sha256, resumedFrom: body.length });
  });

  it('starts over when the part is longer than the file', async () => {
    server.files.set('/file.bin', { body });
    await get();
    await rm(path);
    await writeFile(`${path}.part`, content(400_000));
    expect(await get(right)).toMatchObject({ resumedFrom: 0, sha256: right.sha256 });
  });

  it('does not keep a file with another checksum', async () => {
    server.files.set('/file.bin', { body });
    const other = '0'.repeat(64);
    expect(await failure({ sha256: other })).toBe(
      `file.bin: the server sent another file than the known one (its SHA-256 is ${right.sha256}, not ${other}); it was not kept`,
    );
    expect(await files()).toEqual([]);
  });

  it('refuses another size before it downloads', async () => {
    server.files.set('/file.bin', { body });
    expect(await failure({ bytes: 1_234_567 })).toBe(
      'file.bin: the server has 300000 bytes, but the file is known to have 1.2 MB; nothing was downloaded',
    );
    expect(await failure({ limit: 1000 })).toContain('more than the 1000 bytes that are allowed');
    expect(await files()).toEqual([]);
  });

  it('stops a server that sends more than it may', async () => {
    server.files.set('/file.bin', { body, chunked: true });
    expect(await failure({ limit: 1000 })).toBe('file.bin: the server sends more than the 1000 bytes that are allowed');
    expect(await files()).toEqual([]);
  });

  it('stops where more than the known size arrives', async () => {
    server.files.set('/file.bin', { body, chunked: true });
    let most = 0;
    const onProgress = (done: number) => {
      most = done;
    };
    expect(await failure({ bytes: 1000, onProgress })).toBe(
      'file.bin: the server sends more than the 1000 bytes that the file is known to have; it was not kept',
    );
    expect(most).toBeLessThanOrEqual(1000);
    expect(await files()).toEqual([]);
  });

  it('takes what is compressed though it asked for it as it is, and no more of it than it may', async () => {
    const headers = { 'content-encoding': 'gzip' };
    server.files.set('/file.bin', { body: gzipSync(body), headers, etag: '"a"' });
    expect(await get(right)).toMatchObject({ verified: true, bytes: body.length });
    await rm(path);
    server.files.set('/file.bin', { body: gzipSync(new Uint8Array(2e7)), headers });
    expect(await failure({ bytes: 1000 })).toContain('sends more than the 1000 bytes that the file is known to have');
    expect(await failure({ limit: 1e6 })).toBe('file.bin: the server sends more than the 1.0 MB that are allowed');
    expect(await files()).toEqual([]);
  });

  it('does not go on with a part of what was compressed', async () => {
    const headers = { 'content-encoding': 'gzip' };
    server.files.set('/file.bin', { body: gzipSync(body), headers, etag: '"a"', cutAfter: 100_000 });
    await failure();
    server.files.set('/file.bin', { body, etag: '"a"' });
    expect(await get()).toMatchObject({ sha256: right.sha256, resumedFrom: 0 });
  });

  it('notices that it was given a part of the file, or none', async () => {
    const part = { body, status: 206, headers: { 'content-range': 'bytes 0-1/300000' } };
    server.files.set('/file.bin', part);
    expect(await failure()).toBe('file.bin: interrupted after 2 bytes of 300000 bytes; run it again to go on');
    server.files.set('/file.bin', { body, status: 416, headers: { 'content-range': 'bytes */0' } });
    expect(await failure()).toBe('file.bin: the server has no such part of the file; try again');
  });

  it('notices a file that ends too early without a word', async () => {
    server.files.set('/file.bin', { body: body.subarray(0, 1000), chunked: true });
    expect(await failure(right)).toBe('file.bin: interrupted after 1000 bytes of 300000 bytes; run it again to go on');
  });

  it('gives a silent server up', async () => {
    server.files.set('/file.bin', { body, etag: '"a"', stallAfter: 1000 });
    expect(await failure({ stallMs: 100 })).toBe(
      'file.bin: interrupted after 1000 bytes of 300000 bytes (it stopped sending); run it again to go on',
    );
  });

  it('gives up a server that takes the request and does not answer', async () => {
    server.files.set('/file.bin', { body, silent: true });
    const { host } = new URL(server.url);
    expect(await failure({ stallMs: 100 })).toBe(`cannot reach ${host}: it does not answer`);
  }, 30_000);

  it.each([
    [404, 'there is no such file on the server (404)'],
    [403, 'the server does not allow it (403)'],
    [500, 'the server failed (500)'],
  ])('says what a %i is', async (status, message) => {
    server.files.set('/file.bin', { body, status });
    expect(await failure()).toBe(`${server.url}/file.bin: ${message}`);
  });

  it('says that there is no network', async () => {
    const { url } = server;
    const message = await download('http://nowhere.invalid/file', path).catch((error: Error) => error.message);
    expect(message).toMatch(/^cannot reach nowhere\.invalid: (no such host|the name cannot be looked up)/);
    await server.close();
    expect(await download(`${url}/file.bin`, path).catch((error: Error) => error.message)).toContain(
      'the connection was refused',
    );
    server = await startServer();
  });

  it('follows redirects, and believes the checksum that a hub gives with one', async () => {
    server.files.set('/hub', { body, redirect: '/file.bin', headers: { 'x-linked-etag': `"${right.sha256}"` } });
    server.files.set('/file.bin', { body });
    expect(await get({}, '/hub')).toMatchObject({ verified: true, sha256: right.sha256 });
    await rm(path);
    server.files.set('/file.bin', { body: content(300_000, 3) });
    expect(await failure({}, '/hub')).toContain(`not ${right.sha256}`);
  });

  it('gives up on redirects without end', async () => {
    server.files.set('/file.bin', { body, redirect: '/file.bin' });
    expect(await failure()).toContain('more than 10 redirects');
  });

  it.each([
    ['no://where/file', 'no://where/file is no address; it begins with https://'],
    ['host/file', 'host/file is no address; it begins with https://'],
  ])('refuses the address %s', async (url, message) => {
    await expect(download(url, path)).rejects.toThrow(new GhostkitError(message));
  });

  it.each(['http://[', 'ftp://host/file'])('does not follow a redirect to %s', async (redirect) => {
    server.files.set('/file.bin', { body, redirect });
    expect(await failure()).toBe(`${new URL(server.url).host} redirects to ${redirect}, which is not followed`);
  });

  it('says that the disk does not let it', async () => {
    server.files.set('/file.bin', { body });
    await writeFile(join(folder, 'deep'), 'a file');
    expect(await failure()).toMatch(/^cannot write .*file\.bin: its folder is not one$/);
  });
});

describe('downloads of the same file', () => {
  const lock = () => `${path}.part.lock`;
  const hold = async (holder: object) => {
    await mkdir(join(folder, 'deep'));
    await writeFile(lock(), JSON.stringify({ host: hostname(), once: 'another', ...holder }));
  };

  it.each([0, 100_000])('do not write over each other, with %i bytes already there', async (there) => {
    server.files.set('/file.bin', { body, etag: '"a"', cutAfter: there || undefined });
    if (there > 0) await failure(right);
    const [first, ...others] = await Promise.allSettled([get(right), get(right), get(right)]).then((results) =>
      results.sort((a, b) => a.status.localeCompare(b.status)),
    );
    expect(first).toMatchObject({ status: 'fulfilled', value: { sha256: right.sha256, verified: true } });
    for (const other of others) {
      const said = other.status === 'rejected' ? (other.reason as GhostkitError).message : '';
      expect(said).toBe(`file.bin: process ${process.pid} is downloading it; try again when it is done`);
    }
    expect(sha256(await readFile(path))).toBe(right.sha256);
    expect(await files()).toEqual(['file.bin']);
  });

  it('leave it to a process that is at it, here or elsewhere', async () => {
    server.files.set('/file.bin', { body });
    await hold({ pid: process.ppid });
    expect(await failure(right)).toContain(`process ${process.ppid} is downloading it`);
    await writeFile(lock(), JSON.stringify({ pid: 1, host: 'elsewhere', once: 'another' }));
    expect(await failure(right)).toContain('another process is downloading it');
    await writeFile(lock(), '');
    expect(await failure(right)).toContain('another process is downloading it');
    expect(await files()).toEqual(['file.bin.part.lock']);
  });

  it('go on behind a process that was killed', async () => {
    server.files.set('/file.bin', { body });
    const child = spawn(process.execPath, ['--eval', '']);
    await once(child, 'exit');
    await hold({ pid: child.pid });
    expect(await get(right)).toMatchObject({ verified: true });
    expect(await files()).toEqual(['file.bin']);
  });

  it('go on behind a machine that has gone', async () => {
    server.files.set('/file.bin', { body });
    await hold({ pid: 1, host: 'elsewhere' });
    const longAgo = new Date(Date.now() - 120_000);
    await utimes(lock(), longAgo, longAgo);
    expect(await get(right)).toMatchObject({ verified: true });
  });

  it('keep nothing that something else has written to', async () => {
    server.files.set('/file.bin', { body, etag: '"a"' });
    const onProgress = (done: number) => {
      if (done === body.length) appendFileSync(`${path}.part`, 'more');
    };
    expect(await failure({ onProgress })).toBe(
      'file.bin: something else has written to its unfinished part; it was not kept',
    );
    expect(await files()).toEqual([]);
  });

  it('are given to one of several when a lock was left behind, of a process of the same number too', async () => {
    await mkdir(join(folder, 'deep'), { recursive: true });
    for (const pid of [2 ** 30, process.pid]) {
      for (let i = 0; i < 50; i++) {
        await writeFile(`${path}.part.lock`, JSON.stringify({ host: hostname(), once: 'another', pid }));
        const asked = await Promise.allSettled([1, 2, 3].map(() => lockDownload(path)));
        const got = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
        expect(got.length).toBe(1);
        await got[0]();
        expect(await files()).toEqual([]);
      }
    }
  });

  it('say in one line that the unfinished part is gone', async () => {
    server.files.set('/file.bin', { body });
    const onProgress = () => rmSync(`${path}.part`, { force: true });
    expect(await failure({ ...right, onProgress })).toMatch(
      /^file\.bin: something else has written to its unfinished part; it was not kept$/,
    );
  });
});
