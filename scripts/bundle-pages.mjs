// What pages load, as files that stand for themselves: web.js, model-worker.js, in which it runs models, and web-train.js, which trains them. All load
// worker.js (a helper thread) and ../kernels/build/*.wasm by their places relative to them.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Writes them into a folder. */
export function bundleForPages(outdir) {
  buildSync({
    entryPoints: ['src/web.ts', 'src/web-train.ts', 'src/web/model-worker.ts'].map((path) => join(root, path)),
    entryNames: '[name]',
    outdir,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'warning',
  });
}
