import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const entry = fileURLToPath(new URL('../src/web.ts', import.meta.url));
let root: string;
let assets: string[];

describe('a page that Vite builds with its defaults', () => {
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'ghostkit-page-'));
    writeFileSync(join(root, 'index.html'), '<script type="module" src="./main.ts"></script>');
    writeFileSync(
      join(root, 'main.ts'),
      `import { loadCompiled } from ${JSON.stringify(entry)};\nloadCompiled('model.safetensors', { threads: 2 });\n`,
    );
    await build({ root, logLevel: 'error', configFile: false });
    assets = readdirSync(join(root, 'dist/assets'));
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it('has the kernels and the worker beside its script', () => {
    const names = assets.map((name) => name.replace(/-[\w-]{8}\./, '.'));
    const kernels = ['relaxed', 'relaxed-threads', 'simd', 'simd-threads'].map((variant) => `${variant}.wasm`);
    expect(names).toEqual(expect.arrayContaining(['index.js', 'worker.js', ...kernels]));
  });

  it('has nothing of Node, and little at all', () => {
    const script = readFileSync(join(root, 'dist/assets', assets.find((name) => name.startsWith('index-')) ?? ''));
    expect(script.toString()).not.toMatch(/from ?["'](node:)?fs/);
    expect(script.length).toBeLessThan(30_000);
  });
});
