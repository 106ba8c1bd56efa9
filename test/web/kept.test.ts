import { createHash } from 'node:crypto';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { type Chromium, startChromium } from './chromium.js';
import { ask, failure, open } from './page.js';
import { smallModel } from './site.js';

const missing = await whyNoBrowser();

describe.skipIf(missing)('a model that a page keeps', () => {
  let chromium: Chromium;
  let site: Chromium['site'];
  let page: Page;

  beforeAll(async () => {
    chromium = await startChromium();
    ({ site, page } = chromium);
    await open(page, `${site.url}/open/page.html`);
  });
  afterAll(() => chromium?.close());

  const serve = (name: string, body: Uint8Array, etag = '"1"') => {
    site.files[`/open/${name}`] = { body, headers: { ETag: etag } };
  };
  const asked = (model: string, worker = false) =>
    ask(page, { model, picture: 'large.png', worker, threads: 1, cache: true });
  /** The digest of what is kept of a model, undefined where nothing is. */
  const kept = (name: string) =>
    page.evaluate(async (url) => {
      const response = await caches.match(url, { cacheName: 'ghostkit' });
      if (!response) return undefined;
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await response.arrayBuffer()));
      return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    }, name);
  const keptIs = (name: string, bytes: Uint8Array) =>
    expect.poll(() => kept(name), { timeout: 5000 }).toBe(createHash('sha256').update(bytes).digest('hex'));
  /** Has a page keep something else under a model's name. */
  const put = async (name: string, bytes: Uint8Array) => {
    serve('spoilt.bin', bytes);
    await page.evaluate(
      async (url) => (await caches.open('ghostkit')).put(url, await fetch('spoilt.bin', { cache: 'no-store' })),
      name,
    );
  };

  it.each([true, false])('loads again when its server is gone, in a worker: %s', async (worker) => {
    const name = `gone-${worker}.bin`;
    serve(name, site.model);
    const first = await asked(name, worker);
    await keptIs(name, site.model);
    delete site.files[`/open/${name}`];
    const { logits, progress } = await asked(name, worker);
    expect(logits).toEqual(first.logits);
    expect(progress.at(-1)).toEqual({ loaded: site.model.length, total: site.model.length });
    await expect(ask(page, { model: name, picture: 'large.png', worker })).rejects.toThrow('404');
  });

  it('has the newer file that a server has one visit later', async () => {
    const newer = smallModel({ metadata: { 'my.version': '2' } });
    const versionOf = () =>
      page.evaluate(async () => {
        const model = await globalThis.ghostkit.load('new.bin', { cache: true, worker: false, threads: 1 });
        model.close();
        return model.metadata['my.version'];
      });
    serve('new.bin', site.model);
    expect(await versionOf()).toBeUndefined();
    await keptIs('new.bin', site.model);
    serve('new.bin', newer, '"2"');
    expect(await versionOf()).toBeUndefined();
    await keptIs('new.bin', newer);
    expect(await versionOf()).toBe('2');
  });

  it('has the newer file of a server that answers no HEAD', async () => {
    const newer = smallModel({ metadata: { 'my.version': '2' } });
    await page.route('**/no-head.bin', (route) =>
      route.request().method() === 'HEAD' ? route.fulfill({ status: 405 }) : route.continue(),
    );
    serve('no-head.bin', site.model);
    await asked('no-head.bin');
    await keptIs('no-head.bin', site.model);
    serve('no-head.bin', newer, '"2"');
    await asked('no-head.bin');
    await keptIs('no-head.bin', newer);
    await page.unroute('**/no-head.bin');
  });

  it('stays when the server has a web page in its place', async () => {
    serve('moved.bin', site.model);
    await asked('moved.bin');
    await keptIs('moved.bin', site.model);
    site.files['/open/moved.bin'] = { body: '<!doctype html>', type: 'text/html', headers: { ETag: '"2"' } };
    const answered = page.waitForResponse((r) => r.url().endsWith('moved.bin') && r.request().method() === 'GET');
    await asked('moved.bin');
    await answered;
    await page.waitForTimeout(500);
    await keptIs('moved.bin', site.model);
    await asked('moved.bin');
  });

  it('is fetched again from a server that does not say which file it has', async () => {
    const newer = smallModel({ metadata: { 'my.version': '2' } });
    site.files['/open/unnamed.bin'] = { body: site.model };
    await asked('unnamed.bin');
    await keptIs('unnamed.bin', site.model);
    site.files['/open/unnamed.bin'] = { body: newer };
    await asked('unnamed.bin');
    await keptIs('unnamed.bin', newer);
  });

  it('is not fetched whole again while its server has the same', async () => {
    serve('same.bin', site.model);
    await asked('same.bin');
    await keptIs('same.bin', site.model);
    const methods: string[] = [];
    const note = (request: { url(): string; method(): string }) =>
      request.url().endsWith('same.bin') && methods.push(request.method());
    page.on('request', note);
    await asked('same.bin');
    await expect.poll(() => methods, { timeout: 5000 }).toEqual(['HEAD']);
    page.off('request', note);
  });

  it.each([
    ['cut off', (bytes: Uint8Array) => bytes.subarray(0, 5000)],
    ['damaged', (bytes: Uint8Array) => bytes.map((v, i) => (i === bytes.length >> 1 ? v ^ 1 : v))],
    ['empty', () => new Uint8Array(0)],
  ])('is fetched anew when what is kept is %s', async (what, spoil) => {
    const name = `${what.replace(' ', '-')}.bin`;
    serve(name, site.model);
    await put(name, spoil(site.model));
    const { top } = await asked(name);
    expect(top).toHaveLength(5);
    await keptIs(name, site.model);
  });

  it('stays where a file of ghostkit is missing and the server is gone', async () => {
    serve('stays.bin', site.model);
    await asked('stays.bin');
    await keptIs('stays.bin', site.model);
    delete site.files['/open/stays.bin'];
    const kernels = '/open/ghostkit/kernels/build/relaxed.wasm';
    site.files[kernels] = { body: 'not found', type: 'text/plain', status: 404 };
    const other = await chromium.browser.newPage();
    await open(other, `${site.url}/open/page.html`);
    expect(await failure(other, 'stays.bin', { cache: true, worker: false, threads: 1 })).toMatch(/404 Not Found/);
    await other.close();
    delete site.files[kernels];
    await keptIs('stays.bin', site.model);
  });

  it('is kept only when it loads', async () => {
    serve('bad.bin', site.model.subarray(0, 5000));
    expect(await failure(page, 'bad.bin', { cache: true, worker: false })).toMatch(/cut off|truncated/);
    expect(await failure(page, 'nothing.bin', { cache: true, worker: false })).toMatch(/404 Not Found$/);
    expect(await kept('bad.bin')).toBeUndefined();
    expect(await kept('nothing.bin')).toBeUndefined();
  });

  it('loads where the browser keeps nothing', async () => {
    serve('unkept.bin', site.model);
    const other = await chromium.browser.newPage();
    await other.addInitScript(() => {
      const refuse = async () => {
        throw new DOMException('no', 'SecurityError');
      };
      Object.defineProperty(globalThis, 'caches', { value: { match: refuse, open: refuse } });
    });
    await open(other, `${site.url}/open/page.html`);
    for (const worker of [true, false]) {
      const { top } = await ask(other, { model: 'unkept.bin', picture: 'large.png', worker, cache: true });
      expect(top).toHaveLength(5);
    }
    await other.close();
  });

  it('is asked for as the page says', async () => {
    serve('header.bin', site.model);
    const got = await page.evaluate(async () => {
      const urls: string[] = [];
      const model = await globalThis.ghostkit.load('header.bin', {
        fetch: (url, init) => {
          urls.push(String(url));
          return fetch(url, { ...init, headers: { Authorization: 'Bearer x' } });
        },
      });
      model.close();
      const both = await globalThis.ghostkit.load('header.bin', { fetch, cache: true }).catch((e) => e.message);
      return { urls, both };
    });
    expect(got.urls).toEqual([`${site.url}/open/header.bin`]);
    expect(got.both).toBe('load: cache or fetch, not both');
  });
});
