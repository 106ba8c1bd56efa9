import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { launchChromium, whyNoBrowser } from '../../scripts/lib/chromium.mjs';
import { ISOLATION, serve } from '../../scripts/lib/serve.mjs';
import { UsageError } from './options.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bench = (path) => join(root, 'bench', path);

/** Where the peers' own files for a page lie. */
export const PEERS = {
  ort: bench('peers/node_modules/onnxruntime-web/dist'),
  tfjs: bench('peers/node_modules/@tensorflow/tfjs-backend-wasm/dist'),
};

/** Scripts of bench/browser as a page loads them, with the runtimes in them: minified modules. */
export async function bundle(names, outdir) {
  await build({
    entryPoints: Object.fromEntries(names.map((name) => [name, bench(`browser/${name}.mjs`)])),
    outdir,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'error',
    nodePaths: [bench('peers/node_modules')],
    external: ['node:module'],
    alias: { 'ghostkit/web': join(root, 'dist/runtime/web.js') },
  });
}

export async function requireBrowser() {
  const missing = await whyNoBrowser();
  if (missing) throw new UsageError(missing);
}

/** The files of a network for pages, under a prefix: what `bench/lib/ghostkit.mjs` has of it. */
export function writeNetwork(folder, network, compiled) {
  const { plan: makePlan, onnx, image, imageNhwc } = network;
  const { plan, weights } = makePlan();
  mkdirSync(folder, { recursive: true });
  const files = {
    ...compiled,
    'model.onnx': onnx(),
    'plan.json': JSON.stringify(plan),
    'weights.bin': weights,
    'image.bin': image,
    'image-nhwc.bin': imageNhwc,
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
}

/** What ghostkit loads by its place relative to a script, as a bundler for the web puts it beside its own. */
function copyAssets(folder) {
  for (const name of ['model-worker.js', 'worker.js']) cpSync(join(root, 'dist/runtime', name), join(folder, name));
  cpSync(join(root, 'dist/kernels/build'), join(folder, 'kernels/build'), { recursive: true });
}

/** A temporary folder that is served with ghostkit's and the peers' files beside it, to pages that are cross-origin isolated or not. */
export async function openSite(files = {}, { isolated = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'ghostkit-bench-'));
  copyAssets(folder);
  const site = await serve({
    folders: { '/': folder, '/ort/': PEERS.ort, '/tfjs/': PEERS.tfjs },
    files,
    cached: true,
    headers: () => (isolated ? ISOLATION : {}),
  });
  const close = async () => {
    await site.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { folder, url: site.url, requests: site.requests, close };
}

const PAGE = `<!doctype html><title>bench</title><link rel="icon" href="data:,"><script type="module">
const workers = [];
const ask = (worker, ask, value) => new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => ('error' in data ? reject(new Error(data.error)) : resolve(data.answer));
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage({ ask, value });
});
globalThis.bench = {
  async create(script, config) {
    const worker = new Worker(script, { type: 'module' });
    const { logits, ...facts } = await ask(worker, 'create', config);
    return { id: workers.push(worker) - 1, logits: [...logits], facts };
  },
  turn: (id, ms) => ask(workers[id], 'turn', { ms }),
  close(id) { workers[id].terminate(); },
};
</script>`;

/** A page in which networks run, each in a worker of its own. */
export async function openBenchPage(scripts) {
  await requireBrowser();
  const site = await openSite({ '/': { body: PAGE, type: 'text/html' } });
  await bundle(scripts, site.folder);
  const browser = await launchChromium();
  const page = await browser.newPage();
  await page.goto(`${site.url}/`);
  await page.waitForFunction(() => 'bench' in globalThis && crossOriginIsolated);
  return {
    ...site,
    version: browser.version(),
    /** Makes a network ready; `turn` takes one of its turns. */
    async create(script, config) {
      const { id, logits, facts } = await page.evaluate(
        ([s, c]) => globalThis.bench.create(s, c),
        [`${script}.js`, config],
      );
      return {
        facts,
        run: () => Float32Array.from(logits),
        turn: (ms) => page.evaluate(([i, t]) => globalThis.bench.turn(i, t), [id, ms]),
        close: () => page.evaluate((i) => globalThis.bench.close(i), id),
      };
    },
    async close() {
      await browser.close();
      await site.close();
    },
  };
}
