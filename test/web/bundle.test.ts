import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildWithVite, writeRuntime } from './site.js';

let root: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ghostkit-page-'));
  writeRuntime(join(root, 'ghostkit'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('what a page loads', () => {
  it('has nothing of Node and no dependency, and is little', () => {
    const read = (file: string) => readFileSync(join(root, 'ghostkit', file));
    const scripts = ['web.js', 'model-worker.js', 'worker.js'].map((name) => read(`runtime/${name}`));
    for (const script of scripts) expect(script.toString()).not.toMatch(/^import |from ?["']|import\(["']/m);
    const total = [...scripts, read('kernels/build/relaxed-threads.wasm')].map((file) => gzipSync(file).length);
    expect(total.reduce((a, b) => a + b)).toBeLessThan(53_000);
  });
});

describe('a page that Vite builds with its defaults', () => {
  it('has the kernels and the workers beside its script', async () => {
    await buildWithVite(join(root, 'vite'), join(root, 'ghostkit'));
    const names = readdirSync(join(root, 'vite/dist/assets')).map((name) => name.replace(/-[\w-]{8}\./, '.'));
    const kernels = ['relaxed', 'relaxed-threads', 'simd', 'simd-threads'].map((variant) => `${variant}.wasm`);
    expect(names).toEqual(expect.arrayContaining(['index.js', 'model-worker.js', 'worker.js', ...kernels]));
  });
});
