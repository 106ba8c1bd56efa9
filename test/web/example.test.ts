import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCompiledHeader } from '../../src/runtime/compiled-file.js';

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
