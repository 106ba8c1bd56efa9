import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium, whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { loadImage } from '../../src/data/image.js';
import { topClasses } from '../../src/data/top-classes.js';
import { toTensor } from '../../src/data/transform.js';
import { METADATA } from '../../src/formats/metadata.js';
import { loadCompiled } from '../../src/runtime/compiled-file.js';
import { encoder, pattern } from '../support/pictures.js';
import { ask, failure, open, plainPage } from './page.js';
import { int8Model, LABELS, PREPROCESSING, shippedModel, smallModel, startSite } from './site.js';

const missing = await whyNoBrowser();
if (missing) console.warn(`the tests in a browser are skipped: ${missing}`);

describe.skipIf(missing)('a model in Chromium', () => {
  let site: Awaited<ReturnType<typeof startSite>>;
  let browser: Browser;
  let page: Page;
  /** What Node makes of each picture. */
  const wanted: Record<string, { image: Float32Array; logits: Float32Array }> = {};

  beforeAll(async () => {
    site = await startSite();
    browser = await launchChromium();
    page = await browser.newPage();
    const net = await loadCompiled(site.model);
    for (const [name, png] of Object.entries(site.pictures)) {
      const image = toTensor(await loadImage(png), PREPROCESSING).data;
      wanted[name] = { image, logits: net.run({ image }).logits.data };
    }
    net.close();
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  const expectNodesAnswer = (got: Awaited<ReturnType<typeof ask>>, picture = 'large.png') => {
    const { logits } = wanted[picture];
    expect(Math.max(...got.logits.map((v, i) => Math.abs(v - logits[i])))).toBeLessThan(1e-4);
    const top = topClasses(logits, 5, LABELS);
    expect(got.top.map(({ label, index }) => [label, index])).toEqual(top.map(({ label, index }) => [label, index]));
    for (const [i, { probability }] of got.top.entries()) expect(probability).toBeCloseTo(top[i].probability, 4);
  };

  describe.each([
    { name: 'a plain module script', path: 'page.html', up: '' },
    { name: 'a page built by Vite', path: 'vite/index.html', up: '../' },
  ])('from $name', ({ path, up }) => {
    it.each([
      { where: 'open', isolated: false, threads: 1 },
      { where: 'isolated', isolated: true, threads: 2 },
    ])('answers as Node does in a worker and outside of one, $where', async ({ where, isolated, threads }) => {
      await open(page, `${site.url}/${where}/${path}`);
      for (const worker of [true, false]) {
        const asked = { model: `${up}model.ghost.safetensors`, picture: `${up}large.png`, worker, threads: 2 };
        const got = await ask(page, asked);
        expect(got).toMatchObject({ isolated, threads, variant: threads > 1 ? 'relaxed-threads' : 'relaxed' });
        expectNodesAnswer(got);
      }
    });
  });

  it('loads four files beside the model, and nothing else', async () => {
    const fresh = await browser.newContext();
    const other = await fresh.newPage();
    site.requests.length = 0;
    await open(other, `${site.url}/isolated/page.html`);
    await ask(other, { model: 'model.ghost.safetensors', picture: 'large.png', threads: 2 });
    await fresh.close();
    const asked = new Set(site.requests.map((path) => path.replace('/isolated/', '')));
    for (const name of ['page.html', 'model.ghost.safetensors', 'large.png', '/favicon.ico']) asked.delete(name);
    const files = [
      'runtime/web.js',
      'runtime/model-worker.js',
      'runtime/worker.js',
      'kernels/build/relaxed-threads.wasm',
    ];
    expect([...asked].sort()).toEqual(files.map((file) => `ghostkit/${file}`).sort());
  });

  it('runs under a strict Content-Security-Policy', async () => {
    await open(page, `${site.url}/strict/page.html`);
    expectNodesAnswer(await ask(page, { model: 'model.ghost.safetensors', picture: 'large.png' }));
  });

  it('tells how far the download is', async () => {
    await open(page, `${site.url}/open/page.html`);
    const { progress } = await ask(page, { model: 'model.ghost.safetensors', picture: 'large.png' });
    const { length: total } = site.model;
    expect(progress.length).toBeGreaterThan(5);
    expect(progress.every((now, i) => now.total === total && now.loaded >= (progress[i - 1]?.loaded ?? 0))).toBe(true);
    expect(progress.at(-1)).toEqual({ loaded: total, total });
  });

  it('runs without relaxed SIMD, and weights that are stored in 16 bits', async () => {
    await open(page, `${site.url}/open/page.html`);
    const plain = await ask(page, { model: 'model.ghost.safetensors', picture: 'large.png', relaxed: false });
    expect(plain.variant).toBe('simd');
    expectNodesAnswer(plain);
    const half = await ask(page, { model: 'half.ghost.safetensors', picture: 'large.png' });
    const { logits } = wanted['large.png'];
    const error = Math.max(...half.logits.map((v, i) => Math.abs(v - logits[i])));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.02);
  });

  it('answers with the weights that come with the package as Node does', async () => {
    const { bytes, labels, preprocessing } = await shippedModel();
    const net = await loadCompiled(bytes);
    const { data: image } = toTensor(await loadImage(site.pictures['large.png']), preprocessing);
    const { data: logits } = net.run({ image }).logits;
    net.close();
    const top = topClasses(logits, 5, labels);
    for (const where of ['open', 'isolated']) {
      site.files[`/${where}/shipped.bin`] = { body: bytes };
      await open(page, `${site.url}/${where}/page.html`);
      const got = await ask(page, { model: 'shipped.bin', picture: 'large.png', threads: 2 });
      expect(Math.max(...got.logits.map((v, i) => Math.abs(v - logits[i])))).toBeLessThan(1e-4);
      expect(got.top.map(({ label }) => label)).toEqual(top.map(({ label }) => label));
    }
  });

  it('runs in 8 bits as Node does, with relaxed SIMD and without, on one thread and two', async () => {
    const bytes = await int8Model();
    for (const where of ['open', 'isolated']) site.files[`/${where}/int8.bin`] = { body: bytes };
    const net = await loadCompiled(bytes);
    const { data: logits } = net.run({ image: wanted['large.png'].image }).logits;
    net.close();
    for (const [where, relaxed] of [
      ['open', true],
      ['open', false],
      ['isolated', true],
    ] as const) {
      await open(page, `${site.url}/${where}/page.html`);
      const got = await ask(page, { model: 'int8.bin', picture: 'large.png', relaxed, threads: 2 });
      expect(got.threads).toBe(where === 'open' ? 1 : 2);
      expect(Math.max(...got.logits.map((v, i) => Math.abs(v - logits[i])))).toBeLessThan(1e-4);
      expect(got.top[0].label).toBe(`class ${got.top[0].index}`);
    }
  });

  it('prepares a picture to the bit as Node does, whatever its size and whatever it comes as', async () => {
    await open(page, `${site.url}/open/page.html`);
    for (const [name, { image }] of Object.entries(wanted)) {
      const tensors = await page.evaluate(
        async ({ name, preprocessing }) => {
          const blob = await (await fetch(name)).blob();
          const bitmap = await createImageBitmap(blob);
          const { width, height } = bitmap;
          const canvas = Object.assign(document.createElement('canvas'), { width, height });
          const context = canvas.getContext('2d') as CanvasRenderingContext2D;
          context.drawImage(bitmap, 0, 0);
          const offscreen = new OffscreenCanvas(width, height);
          offscreen.getContext('2d')?.drawImage(bitmap, 0, 0);
          const element = Object.assign(new Image(), { src: name });
          const frame = new VideoFrame(bitmap, { timestamp: 0 });
          const sources = {
            blob,
            bitmap,
            canvas,
            offscreen,
            element,
            frame,
            data: context.getImageData(0, 0, width, height),
          };
          const all: Record<string, number[]> = {};
          for (const [kind, source] of Object.entries(sources)) {
            all[kind] = [...(await globalThis.ghostkit.toTensor(source, preprocessing)).data];
          }
          frame.close();
          return all;
        },
        { name, preprocessing: PREPROCESSING },
      );
      expect(Object.keys(tensors)).toHaveLength(7);
      for (const [kind, data] of Object.entries(tensors))
        expect(Float32Array.from(data), `${name}, ${kind}`).toEqual(image);
    }
  });

  it("turns a photograph as the camera's orientation says, which Node does too", async () => {
    const jpeg = await encoder(pattern(160, 100)).withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer();
    site.files['/open/turned.jpg'] = { body: jpeg };
    const { data: image } = toTensor(await loadImage(jpeg), PREPROCESSING);
    await open(page, `${site.url}/open/page.html`);
    const tensors = await page.evaluate(async (preprocessing) => {
      const blob = await (await fetch('turned.jpg')).blob();
      const element = Object.assign(new Image(), { src: 'turned.jpg' });
      const both = [blob, element].map((source) => globalThis.ghostkit.toTensor(source, preprocessing));
      return (await Promise.all(both)).map(({ data }) => [...data]);
    }, PREPROCESSING);
    for (const tensor of tensors) {
      // Decoders of JPEG may differ by a rounding.
      const mean = tensor.reduce((sum, v, i) => sum + Math.abs(v - image[i]), 0) / image.length;
      expect(mean).toBeLessThan(0.02);
    }
  });

  it('classifies what a video shows, in turn', async () => {
    await open(page, `${site.url}/open/page.html`);
    const [early, top] = await page.evaluate(async () => {
      const model = await globalThis.ghostkit.load('model.ghost.safetensors');
      const canvas = Object.assign(document.createElement('canvas'), { width: 120, height: 100 });
      const context = canvas.getContext('2d') as CanvasRenderingContext2D;
      const video = document.createElement('video');
      const early = await model.classify(video).catch((error) => error.message);
      video.muted = true;
      video.srcObject = canvas.captureStream(30);
      const seen: string[] = [];
      for (const color of ['#d33', '#33d']) {
        // A stream has a new picture only when something is painted.
        const painting = setInterval(() => {
          context.fillStyle = color;
          context.fillRect(0, 0, 120, 100);
        }, 10);
        await video.play();
        for (let i = 0; i < 4; i++) await new Promise((shown) => video.requestVideoFrameCallback(shown));
        clearInterval(painting);
        const [fromVideo] = await model.classify(video, { topK: 1 });
        const [fromCanvas] = await model.classify(canvas, { topK: 1 });
        seen.push(`${fromVideo.label === fromCanvas.label}`);
      }
      model.close();
      return [early, seen];
    });
    expect(early).toBe('the video has no picture yet; wait for its loadeddata event');
    expect(top).toEqual(['true', 'true']);
  });

  it('lays transparent pixels on white', async () => {
    await open(page, `${site.url}/open/page.html`);
    const [drawn, data] = await page.evaluate(async (preprocessing) => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 96, height: 96 });
      const context = canvas.getContext('2d') as CanvasRenderingContext2D;
      context.fillStyle = 'rgb(0 0 0 / 0.5)';
      context.fillRect(0, 0, 96, 96);
      const means = [];
      for (const source of [canvas, context.getImageData(0, 0, 96, 96)]) {
        means.push((await globalThis.ghostkit.toTensor(source, preprocessing)).data[5000]);
      }
      return means;
    }, PREPROCESSING);
    const grey = (127 / 255 - PREPROCESSING.mean[0]) / PREPROCESSING.std[0];
    expect(drawn).toBeCloseTo(grey, 1);
    expect(data).toBeCloseTo(grey, 1);
  });

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
    const newer = Buffer.from(text.replace('{\\"version\\":2,', '{\\"version\\":3,'), 'latin1');
    const bad = {
      'damaged.bin': [damaged, 'this compiled model is damaged: it does not have its checksum; get it again'],
      'newer.bin': [newer, /has version 3 of the format, this ghostkit reads version 2; it needs a newer ghostkit$/],
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
    const old = await browser.newPage();
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
  });

  it('is what the example page shows, at its keyboard and without anything from elsewhere', async () => {
    const own = await browser.newPage();
    const asked: string[] = [];
    own.on('request', (request) => asked.push(request.url()));
    const errors: string[] = [];
    own.on('pageerror', ({ message }) => errors.push(message));
    await own.goto(`${site.url}/isolated/example.html`);
    await own.getByRole('heading', { name: 'Ready for a picture' }).waitFor();
    await own.keyboard.press('Tab');
    expect(await own.evaluate(() => document.activeElement?.id)).toBe('file');
    const buffer = Buffer.from(site.pictures['large.png']);
    await own.setInputFiles('#file', { name: 'large.png', mimeType: 'image/png', buffer });
    await own.getByRole('heading', { name: 'On the picture', exact: true }).waitFor();
    await own.waitForFunction(() => document.getElementById('spoken')?.textContent);
    const shown = await own.locator('#top li .name').allTextContents();
    expect(shown).toEqual(topClasses(wanted['large.png'].logits, 5, LABELS).map(({ label }) => label));
    expect(await own.locator('#run').textContent()).toMatch(/^\d+\.\d ms$/);
    await own.setInputFiles('#file', { name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
    await own.getByRole('alert').getByText('This file is no picture').waitFor();
    expect(errors).toEqual([]);
    expect(asked.filter((url) => !url.startsWith(site.url) && !/^(data|blob):/.test(url))).toEqual([]);
    await own.close();
  });
});
