// What pages load, as files that stand for themselves: web.js, and model-worker.js, in which it runs models. Both load worker.js (a helper
// thread) and ../kernels/build/*.wasm by their places relative to them.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Writes web.js and model-worker.js into a folder. */
export function bundleForPages(outdir) {
  buildSync({
    entryPoints: { web: join(root, 'src/web.ts'), 'model-worker': join(root, 'src/web/model-worker.ts') },
    outdir,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'warning',
  });
}
