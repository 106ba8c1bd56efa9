import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { loadImage } from '../../src/data/image.js';
import { topClasses } from '../../src/data/top-classes.js';
import { toTensor } from '../../src/data/transform.js';
import { readSafetensorsHeader } from '../../src/formats/safetensors.js';
import { loadCompiled } from '../../src/runtime/compiled-file.js';
import { encoder, pattern } from '../support/pictures.js';
import { type Chromium, startChromium } from './chromium.js';
import { ask, open } from './page.js';
import { int8Model, LABELS, PREPROCESSING, shippedModel } from './site.js';

const missing = await whyNoBrowser();
if (missing) console.warn(`the tests in a browser are skipped: ${missing}`);

describe.skipIf(missing)('a model in Chromium', () => {
  let chromium: Chromium;
  let site: Chromium['site'];
  let page: Page;
  /** What Node makes of each picture. */
  const wanted: Record<string, { image: Float32Array; logits: Float32Array }> = {};

  beforeAll(async () => {
    chromium = await startChromium();
    ({ site, page } = chromium);
    const net = await loadCompiled(site.model);
    for (const [name, png] of Object.entries(site.pictures)) {
      const image = toTensor(await loadImage(png), PREPROCESSING).data;
      wanted[name] = { image, logits: net.run({ image }).logits.data };
    }
    net.close();
  });
  afterAll(() => chromium?.close());

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
    const fresh = await chromium.browser.newContext();
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
    const { length: total } = site.model;
    const { dataStart: loaded } = readSafetensorsHeader(site.model);
    for (const worker of [true, false]) {
      const { progress } = await ask(page, { model: 'model.ghost.safetensors', picture: 'large.png', worker });
      expect(progress.length).toBeGreaterThan(5);
      expect(progress[0]).toEqual({ loaded, total });
      expect(progress.every((now, i) => now.total === total && now.loaded >= (progress[i - 1]?.loaded ?? 0))).toBe(
        true,
      );
      expect(progress.at(-1)).toEqual({ loaded: total, total });
    }
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

  it.each([{ colorSpace: 'display-p3' }, { pixelFormat: 'rgba-float16' }])('takes pixels as %j', async (settings) => {
    await open(page, `${site.url}/open/page.html`);
    const { apart, said } = await page.evaluate(
      async ({ settings, preprocessing }) => {
        const bitmap = await createImageBitmap(await (await fetch('small.png')).blob());
        const { width, height } = bitmap;
        const context = new OffscreenCanvas(width, height).getContext('2d') as OffscreenCanvasRenderingContext2D;
        context.drawImage(bitmap, 0, 0);
        const data = context.getImageData(0, 0, width, height, settings as ImageDataSettings);
        const [a, b] = await Promise.all(
          [bitmap, data].map((each) => globalThis.ghostkit.toTensor(each, preprocessing)),
        );
        const model = await globalThis.ghostkit.load('model.ghost.safetensors');
        const [one, other] = [await model.classify(bitmap), await model.classify(data)];
        model.close();
        const apart = a.data.map((v, i) => Math.abs(v - b.data[i]));
        return { apart: apart.reduce((sum, v) => sum + v) / apart.length, said: [one[0].label, other[0].label] };
      },
      { settings, preprocessing: PREPROCESSING },
    );
    // The roundings of one in 255.
    expect(apart).toBeLessThan(0.02);
    expect(said[1]).toBe(said[0]);
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

  it('is what the example page shows, at its keyboard and without anything from elsewhere', async () => {
    const own = await chromium.browser.newPage();
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
    // What was shown of the picture before is gone.
    expect(await own.locator('#top').isHidden()).toBe(true);
    expect(await own.locator('#image').isHidden()).toBe(true);
    expect(errors).toEqual([]);
    expect(asked.filter((url) => !url.startsWith(site.url) && !/^(data|blob):/.test(url))).toEqual([]);
    await own.close();
  });
});
