import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumFlags, findChromium, whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { serve } from '../../scripts/lib/serve.mjs';
import { readCompiledHeader } from '../../src/runtime/compiled-file.js';
import { encoder, pattern } from '../support/pictures.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const script = join(root, 'scripts/example.mjs');
const shipped = join(root, 'weights/repghostnet_050-tiny-imagenet.safetensors');
const compiled = join(root, 'examples/page/model.ghost.safetensors');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ghostkit-example-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function example(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('npm run example', () => {
  it('puts the page, the runtime and the model that comes with it into a folder', () => {
    const output = join(folder, 'as it is');
    const { status, stdout } = example('--no-serve', '--output', output);
    expect(status).toBe(0);
    const { size } = statSync(join(root, 'examples/page/model.ghost.safetensors'));
    expect(stdout).toContain(`index.html, the runtime in ghostkit/, and a model of ${(size / 1e6).toFixed(2)} MB\n`);
    const isCopy = (path: string, of: string) => readFileSync(join(output, path)).equals(readFileSync(join(root, of)));
    expect(isCopy('index.html', 'examples/page/index.html')).toBe(true);
    expect(isCopy('model.ghost.safetensors', 'examples/page/model.ghost.safetensors')).toBe(true);
    for (const path of ['runtime/web.js', 'runtime/worker.js', 'kernels/build/relaxed-threads.wasm']) {
      expect(isCopy(join('ghostkit', path), join('dist', path))).toBe(true);
    }
  });

  it('compiles weights that it is given', () => {
    const output = join(folder, 'weights');
    expect(example('--no-serve', '--output', output, '--weights', shipped).status).toBe(0);
    const { program, metadata } = readCompiledHeader(readFileSync(join(output, 'model.ghost.safetensors')));
    expect(program.inputs.map(({ shape }) => shape)).toEqual([[1, 3, 64, 64]]);
    expect(JSON.parse(metadata['ghostkit.labels'])).toHaveLength(200);
  });

  it('serves the folder to a page that may share memory, until it is ended', async () => {
    const child = spawn(process.execPath, [script, '--output', join(folder, 'served'), '--port', '0']);
    try {
      let said = '';
      const url = await new Promise<string>((resolve, reject) => {
        child.once('exit', () => reject(new Error(`it ended: ${said}`)));
        child.stdout.on('data', (text) => {
          said += text;
          const [, found] = /serving (\S+)/.exec(said) ?? [];
          if (found) resolve(found);
        });
      });
      const page = await fetch(url);
      expect(page.url).toBe(`${url}index.html`);
      expect(page.headers.get('cross-origin-opener-policy')).toBe('same-origin');
      expect(page.headers.get('cross-origin-embedder-policy')).toBe('require-corp');
      expect(await page.text()).toContain('<!doctype html>');
      const taken = example('--output', join(folder, 'taken'), '--port', new URL(url).port);
      expect(taken).toMatchObject({ status: 1, stderr: expect.stringMatching(/^example: port \d+ is taken; .*\n$/) });
    } finally {
      child.kill();
    }
  });

  it('says in one line what is wrong', () => {
    const wrong = (...args: string[]) => {
      const { status, stderr } = example('--no-serve', '--output', join(folder, 'wrong'), ...args);
      expect(status).toBe(1);
      return stderr;
    };
    expect(wrong('--weights', join(folder, 'none'))).toMatch(/^example: \S+none: there is no such file or folder\n$/);
    expect(wrong('--weights', compiled, '--calibrate', folder)).toMatch(/^example: .*compiled already; .*\n$/);
    expect(wrong('--wieghts', compiled)).toMatch(/^example: .*--wieghts.*; --help lists the options\n$/);
  });
});

const missing = await whyNoBrowser();

describe.skipIf(missing)('the page of npm run example', () => {
  let browser: Browser;
  let site: Awaited<ReturnType<typeof serve>>;
  let picture: { name: string; mimeType: string; buffer: Buffer };
  const noPicture = { name: 'no.png', mimeType: 'image/png', buffer: Buffer.from('no picture') };

  beforeAll(async () => {
    const output = join(folder, 'page');
    expect(example('--no-serve', '--output', output).status).toBe(0);
    site = await serve({ folders: { '/': output, '/source/': join(root, 'examples/page') } });
    const camera = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
    browser = await chromium.launch({ executablePath: findChromium(), args: [...chromiumFlags, ...camera] });
    picture = { name: 'a.png', mimeType: 'image/png', buffer: await encoder(pattern(401, 303)).png().toBuffer() };
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  const heading = (page: Page, name: string) => page.getByRole('heading', { name, exact: true }).waitFor();

  async function open(): Promise<Page> {
    const page = await browser.newPage();
    await page.goto(`${site.url}/index.html`);
    await heading(page, 'Ready for a picture');
    return page;
  }

  async function choose(page: Page): Promise<void> {
    await page.setInputFiles('#file', picture);
    await heading(page, 'On the picture');
  }

  /** Starts the camera by keyboard and waits for an answer of it. */
  async function startCamera(page: Page): Promise<void> {
    await page.locator('#camera').focus();
    await page.keyboard.press('Enter');
    await heading(page, 'Before the camera');
    await page.locator('#top').waitFor();
  }

  /** All that the page tells, once no answer is under way any more. */
  async function told(page: Page) {
    await page.waitForTimeout(300);
    return page.evaluate(() => {
      const $ = (id: string) => document.getElementById(id) as HTMLElement;
      return {
        title: $('answer-title').textContent,
        shown: ['hint', 'image', 'video', 'escape', 'top'].filter((id) => $(id).checkVisibility()),
        top: $('top').checkVisibility() ? $('top').innerText : '',
        figures: ['total', 'prepare', 'run'].map((id) => $(id).textContent),
        spoken: $('spoken').textContent,
        error: $('error').textContent,
      };
    });
  }

  const nothing = {
    ...{ title: 'Ready for a picture', shown: ['hint'], top: '', spoken: '', error: '' },
    figures: ['–', '–', '–'],
  };

  it('starts and stops the camera at the keyboard, whose focus stays, and shows nothing of it afterwards', async () => {
    const page = await open();
    for (const key of ['Enter', 'Escape']) {
      await startCamera(page);
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('camera');
      expect(await page.getByText('Escape stops the camera').isVisible()).toBe(true);
      await page.keyboard.press(key);
      expect(await told(page)).toEqual(nothing);
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('camera');
    }
    await page.close();
  });

  it('shows the picture from before the camera, and its answer, when the camera is stopped', async () => {
    const page = await open();
    await choose(page);
    const before = await told(page);
    expect(before).toMatchObject({ title: 'On the picture', shown: ['image', 'top'] });
    await startCamera(page);
    expect((await told(page)).shown).toEqual(['video', 'escape', 'top']);
    await page.keyboard.press('Escape');
    expect(await told(page)).toEqual(before);
    await page.close();
  });

  it('shows a picture in place of the camera', async () => {
    const page = await open();
    await startCamera(page);
    await choose(page);
    expect(await told(page)).toMatchObject({ title: 'On the picture', shown: ['image', 'top'] });
    expect(await page.locator('#camera').textContent()).toBe('Use the camera');
    await page.close();
  });

  it('shows nothing of the picture before when a file is none', async () => {
    const page = await open();
    await choose(page);
    await page.setInputFiles('#file', noPicture);
    await page.getByRole('alert').getByText('This file is no picture').waitFor();
    expect(await told(page)).toEqual({ ...nothing, error: expect.stringContaining('no picture') });
    await startCamera(page);
    await page.keyboard.press('Escape');
    expect(await told(page)).toEqual(nothing);
    await page.close();
  });

  it('takes the same file again', async () => {
    const page = await open();
    await choose(page);
    // Of a file that is chosen already a browser fires no change.
    expect(await page.inputValue('#file')).toBe('');
    await page.close();
  });

  it.each([360, 320])('has its figures in a line at %i px', async (width) => {
    const page = await open();
    await page.setViewportSize({ width, height: 740 });
    await choose(page);
    const places = await page.evaluate(() => {
      for (const figure of document.querySelectorAll('dd')) figure.innerHTML = '123.4 <small>ms</small>';
      const boxes = [...document.querySelectorAll('dd')].map((figure) => figure.getBoundingClientRect());
      return { tops: boxes.map(({ top }) => top), heights: boxes.map(({ height }) => height) };
    });
    expect(new Set(places.tops).size).toBe(1);
    // One line each.
    expect(Math.max(...places.heights)).toBeLessThan(36);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
    await page.close();
  });

  it('says what to do where its script cannot be loaded', async () => {
    const page = await browser.newPage();
    const opened = `file://${join(folder, 'page/index.html')}`;
    for (const [url, why] of [
      [opened, 'opened as a file'],
      [`${site.url}/source/index.html`, 'web.js is not here'],
    ]) {
      await page.goto(url);
      await heading(page, 'The model did not load');
      expect(await page.getByRole('alert').textContent()).toMatch(new RegExp(`${why}.*npm run example`));
    }
    await page.close();
  });
});
