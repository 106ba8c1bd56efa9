import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { METADATA } from '../../src/formats/metadata.js';
import { type Chromium, startChromium } from './chromium.js';
import { failure, open, plainPage } from './page.js';
import { smallModel } from './site.js';

const missing = await whyNoBrowser();

describe.skipIf(missing)('what goes wrong in Chromium', () => {
  let chromium: Chromium;
  let site: Chromium['site'];
  let page: Page;

  beforeAll(async () => {
    chromium = await startChromium();
    ({ site, page } = chromium);
  });
  afterAll(() => chromium?.close());

  it('says in one line what is wrong with an address', async () => {
    await open(page, `${site.url}/open/page.html`);
    const here = `${site.url}/open`;
    for (const worker of [true, false]) {
      const load = (url: string) => failure(page, url, { worker });
      expect(await load('none.safetensors')).toBe(`${here}/none.safetensors: 404 Not Found`);
      expect(await load('http://')).toBe('http://: this is no address of a model');
      expect(await load('page.html')).toMatch(/page\.html: there is a web page \(text\/html.*\) and no model/);
      expect(await load('http://127.0.0.1:9/m')).toMatch(
        /^http:\/\/127\.0\.0\.1:9\/m: it cannot be fetched \(Failed to fetch\)/,
      );
    }
  });

  it('says in one line what is wrong with a model', async () => {
    const { model, files } = site;
    const damaged = model.slice();
    damaged[damaged.length >> 1] ^= 1;
    const text = Buffer.from(model.buffer).toString('latin1');
    const newer = Buffer.from(text.replace(/{\\"version\\":\d+,/, '{\\"version\\":9,'), 'latin1');
    const bad = {
      'damaged.bin': [damaged, 'this compiled model is damaged: it does not have its checksum; get it again'],
      'newer.bin': [newer, /has version 9 of the format, this ghostkit reads version \d; it needs a newer ghostkit$/],
      'cut.bin': [model.subarray(0, 500_000), `this compiled model is cut off: 500000 of ${model.length} bytes`],
      'header.bin': [model.subarray(0, 1000), /its header claims \d+ bytes of a file of 1000; is it truncated\?$/],
      'short.bin': [model.subarray(0, 3), 'not a valid safetensors file: it has 3 bytes'],
      'empty.bin': [new Uint8Array(0), 'not a valid safetensors file: it has 0 bytes'],
      'picture.bin': [site.pictures['small.png'], /^not a valid safetensors file: its header claims/],
      'labels.bin': [
        smallModel({ metadata: { [METADATA.labels]: '["one"]' } }),
        'its metadata has 1 labels for 20 classes',
      ],
    } as const;
    for (const [name, [body]] of Object.entries(bad)) files[`/open/${name}`] = { body };
    await open(page, `${site.url}/open/page.html`);
    for (const [name, [, message]] of Object.entries(bad)) {
      const got = await failure(page, name, { worker: name.startsWith('d') });
      expect(got.startsWith(`${site.url}/open/${name}: `), got).toBe(true);
      const what = got.slice(`${site.url}/open/${name}: `.length);
      if (typeof message === 'string') expect(what).toBe(message);
      else expect(what).toMatch(message);
    }
  });

  it('says in one line which of its files are missing', async () => {
    const { files, folders } = site;
    const broken = (name: string, missing: string, headers = {}) => {
      files[`/${name}/page.html`] = { body: plainPage(`/${name}`) };
      files[`/${name}/m`] = { body: site.model };
      folders[`/${name}/ghostkit/`] = site.runtime;
      files[`/${name}/ghostkit/${missing}`] = { status: 404, type: 'text/plain', body: 'not found', ...headers };
      return open(page, `${site.url}/${name}/page.html`);
    };
    await broken('nokernels', 'kernels/build/relaxed.wasm');
    for (const worker of [true, false]) {
      expect(await failure(page, 'm', { worker, threads: 1 })).toMatch(
        /the kernels cannot be loaded from http.*relaxed\.wasm \(404 Not Found\); are the files of ghostkit served/,
      );
    }
    await broken('htmlkernels', 'kernels/build/relaxed.wasm', { status: 200, type: 'text/html', body: '<p>welcome' });
    expect(await failure(page, 'm')).toMatch(/the kernels cannot be loaded from .* \(there is a web page\)/);
    await broken('badkernels', 'kernels/build/relaxed.wasm', { status: 200, type: 'application/wasm', body: 'none' });
    expect(await failure(page, 'm')).toMatch(
      /the kernels cannot be loaded from .*relaxed\.wasm \(.*expected magic word/,
    );
    await broken('noworker', 'runtime/model-worker.js');
    expect(await failure(page, 'm')).toMatch(
      /: the worker failed \(.*\); is model-worker\.js served beside the script/,
    );
    expect(await failure(page, 'm', { worker: false })).toBe('no error');
  });

  it('says in one line that the page forbids WebAssembly', async () => {
    const { files, folders } = site;
    files['/forbidden/page.html'] = {
      body: `<meta http-equiv="Content-Security-Policy" content="script-src 'self' 'unsafe-inline'">${plainPage('/forbidden')}`,
    };
    files['/forbidden/m'] = { body: site.model };
    folders['/forbidden/ghostkit/'] = site.runtime;
    await open(page, `${site.url}/forbidden/page.html`);
    expect(await failure(page, 'm', { worker: false })).toMatch(/has to allow 'wasm-unsafe-eval' in script-src$/);
  });

  it('says in one line that the browser has no SIMD', async () => {
    const old = await chromium.browser.newPage();
    await old.addInitScript(() => {
      WebAssembly.validate = () => false;
    });
    await open(old, `${site.url}/open/page.html`);
    expect(await failure(old, 'model.ghost.safetensors')).toMatch(
      /^there is no WebAssembly SIMD here; it is in Chrome/,
    );
    await old.close();
  });

  it('says in one line what is wrong with a picture or a question, and goes on', async () => {
    await open(page, `${site.url}/open/page.html`);
    for (const worker of [true, false]) {
      const said = await page.evaluate(async (worker) => {
        const model = await globalThis.ghostkit.load('model.ghost.safetensors', { worker });
        const tried: string[] = [];
        const attempt = (what: Promise<unknown>) =>
          what.then(
            () => tried.push('no error'),
            (error) =>
              tried.push(error instanceof globalThis.ghostkit.GhostkitError ? error.message : `unexpected: ${error}`),
          );
        await attempt(model.classify(new Blob(['no picture'])));
        await attempt(model.classify('picture.png' as unknown as Blob));
        await attempt(model.classify(new Image()));
        await attempt(model.classify(new ImageData(2, 2), { topK: 0 }));
        await attempt(model.run(new Float32Array(5)));
        for (const input of [undefined, null, 'x', () => {}]) await attempt(model.run(input as never));
        for (const input of [new Float64Array(5), { image: null }, { image: () => {} }, [1, 2]])
          await attempt(model.run(input as never));
        await attempt(model.run({}));
        await attempt(model.classify(new ImageData(2, 2)));
        model.close();
        await attempt(model.classify(new ImageData(2, 2)));
        return tried;
      }, worker);
      expect(said).toEqual([
        expect.stringMatching(/^the picture cannot be decoded \(/),
        'a picture is an image, video or canvas element, ImageBitmap, ImageData, VideoFrame or Blob',
        expect.stringMatching(/^the picture cannot be decoded \(/),
        'topK: a positive integer, got 0',
        'input image: needs [1,3,96,96], got 5 elements',
        ...Array(4).fill('run: needs a Float32Array or a tensor, or one for each input by its name'),
        ...Array(4).fill('input image: needs float32, in a Float32Array'),
        'input image is missing',
        'no error',
        'this model is closed',
      ]);
    }
  });

  it('does not read pictures that it may not', async () => {
    const other = site.url.replace('127.0.0.1', 'localhost');
    await open(page, `${site.url}/open/page.html`);
    for (const worker of [true, false]) {
      const said = await page.evaluate(
        async ({ worker, src }) => {
          const model = await globalThis.ghostkit.load('model.ghost.safetensors', { worker });
          const image = Object.assign(new Image(), { src });
          await image.decode();
          const error = await model.classify(image).catch((error) => error);
          model.close();
          return error.message;
        },
        { worker, src: `${other}/open/large.png` },
      );
      expect(said).toMatch(/^the picture is from another site, which does not let this page read it/);
    }
  });

  it('gives up when it is told to', async () => {
    await open(page, `${site.url}/open/page.html`);
    for (const worker of [true, false]) {
      const said = await page.evaluate(async (worker) => {
        const controller = new AbortController();
        const onProgress = () => controller.abort(new Error('enough'));
        const options = { worker, signal: controller.signal, onProgress };
        const during = await globalThis.ghostkit
          .load('model.ghost.safetensors', options)
          .catch((error) => error.message);
        const before = await globalThis.ghostkit
          .load('model.ghost.safetensors', options)
          .catch((error) => error.message);
        return [during, before];
      }, worker);
      expect(said).toEqual(['enough', 'enough']);
    }
    // Whatever brings the bytes need not know of the signal.
    for (const worker of [true, false]) {
      const said = await page.evaluate(async (worker) => {
        const controller = new AbortController();
        const onProgress = ({ loaded, total }: { loaded: number; total: number }) =>
          loaded === total && controller.abort(new Error('enough'));
        const bytes = await (await fetch('model.ghost.safetensors')).arrayBuffer();
        const options = { worker, signal: controller.signal, onProgress, fetch: async () => new Response(bytes) };
        return globalThis.ghostkit.load('model.ghost.safetensors', options).catch((error) => error.message);
      }, worker);
      expect(said).toBe('enough');
    }
  });
});
