import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { type Chromium, startChromium } from './chromium.js';
import { open } from './page.js';

describe.skipIf(await whyNoBrowser())("a model's worker in Chromium", () => {
  let chromium: Chromium;
  let site: Chromium['site'];
  let page: Page;

  beforeAll(async () => {
    chromium = await startChromium();
    ({ site, page } = chromium);
  });
  beforeEach(() => open(page, `${site.url}/isolated/page.html`));
  afterAll(() => chromium?.close());

  /** What workers are left, helper threads among them. */
  const expectWorkers = (count: number) => expect.poll(() => page.workers().length, { timeout: 30_000 }).toBe(count);

  it('ends its helper threads and itself when the model is closed', async () => {
    await page.evaluate(async () => {
      // Ended by force, helper threads live on for seconds.
      Worker.prototype.terminate = () => {};
      Object.assign(globalThis, { model: await globalThis.ghostkit.load('model.ghost.safetensors', { threads: 2 }) });
    });
    await expectWorkers(2);
    await page.evaluate('model.close()');
    await expectWorkers(0);
  });

  it('ends its helper threads when loading is given up behind the download', async () => {
    const said = await page.evaluate(async () => {
      Worker.prototype.terminate = () => {};
      const controller = new AbortController();
      const options = { threads: 2, signal: controller.signal };
      const post = Worker.prototype.postMessage;
      Worker.prototype.postMessage = function (this: Worker, ...sent: Parameters<typeof post>) {
        post.apply(this, sent);
        if (sent[0].ask === 'load') setTimeout(() => controller.abort(new Error('enough')));
      } as typeof post;
      return globalThis.ghostkit.load('model.ghost.safetensors', options).catch(({ message }) => message);
    });
    expect(said).toBe('enough');
    await expectWorkers(0);
  });

  it('is ended by force when it hangs', async () => {
    await page.evaluate(async () => {
      Object.assign(globalThis, { model: await globalThis.ghostkit.load('model.ghost.safetensors', { threads: 1 }) });
    });
    await expectWorkers(1);
    await page.workers()[0].evaluate(() => {
      self.onmessage = null;
    });
    const said = await page.evaluate(async () => {
      const { model } = globalThis as unknown as { model: Awaited<ReturnType<typeof globalThis.ghostkit.load>> };
      const asked = model.classify(new ImageData(2, 2)).catch(({ message }) => message);
      setTimeout(() => model.close(), 100);
      return asked;
    });
    expect(said).toBe('this model is closed');
    await expectWorkers(0);
  });

  it('tells of its death while the model still arrives', async () => {
    const script = '/open/ghostkit/runtime/model-worker.js';
    site.files[script] = { status: 404, type: 'text/plain', body: 'not found' };
    await open(page, `${site.url}/open/page.html`);
    const [said, stopped] = await page.evaluate(async () => {
      let stopped = false;
      const fetch = (_: unknown, { signal }: { signal?: AbortSignal }) =>
        new Promise<Response>((_, reject) => {
          signal?.addEventListener('abort', () => {
            stopped = true;
            reject(signal.reason);
          });
        });
      const loading = globalThis.ghostkit.load('never.bin', { fetch }).catch(({ message }) => message);
      const late = new Promise((resolve) => setTimeout(resolve, 20_000, 'still waiting'));
      return [await Promise.race([loading, late]), stopped];
    });
    delete site.files[script];
    expect(said).toMatch(/\/open\/never\.bin: the worker failed \(.*\); is model-worker\.js served beside/);
    expect(stopped).toBe(true);
  });

  it('lets what is fetched be kept when the model is closed at once', async () => {
    const same = await page.evaluate(async () => {
      const model = await globalThis.ghostkit.load('model.ghost.safetensors', { cache: true });
      model.close();
      for (let i = 0; i < 100; i++) {
        const kept = await caches.match('model.ghost.safetensors', { cacheName: 'ghostkit' });
        if (kept) return (await kept.arrayBuffer()).byteLength;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return 0;
    });
    expect(same).toBe(site.model.length);
  });

  it.each(['page', 'worker'])('is no good any more when what is sent cannot be read by the %s', async (side) => {
    await page.evaluate(async () => {
      const workers: Worker[] = [];
      globalThis.Worker = class extends Worker {
        constructor(...of: ConstructorParameters<typeof Worker>) {
          super(...of);
          workers.push(this);
        }
      };
      Object.assign(globalThis, { workers, model: await globalThis.ghostkit.load('model.ghost.safetensors') });
    });
    const unread = () => self.dispatchEvent(new MessageEvent('messageerror'));
    if (side === 'worker') await page.workers()[0].evaluate(unread);
    else await page.evaluate(`workers[0].dispatchEvent(new MessageEvent('messageerror'))`);
    const said = () => page.evaluate('model.classify(new ImageData(2, 2)).catch(({ message }) => message)');
    await expect.poll(said, { timeout: 10_000 }).toMatch(/^the worker failed \(.* cannot be read\)/);
  });

  it('lets go of pictures that it does not get', async () => {
    const other = site.url.replace('127.0.0.1', 'localhost');
    await open(page, `${site.url}/open/page.html`);
    const widths = await page.evaluate(async (src) => {
      const made: ImageBitmap[] = [];
      const make = globalThis.createImageBitmap;
      globalThis.createImageBitmap = async (...of: [ImageBitmapSource]) => {
        made.push(await make(...of));
        return made[made.length - 1];
      };
      const model = await globalThis.ghostkit.load('model.ghost.safetensors');
      const image = Object.assign(new Image(), { src });
      await image.decode();
      await model.classify(image).catch(() => {});
      model.close();
      const canvas = new OffscreenCanvas(8, 8);
      canvas.getContext('2d');
      await model.classify(canvas).catch(() => {});
      return made.map(({ width }) => width);
    }, `${other}/open/large.png`);
    expect(widths).toEqual([0, 0]);
  });
});
