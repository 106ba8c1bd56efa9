import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { bundleForPages } from '../../scripts/bundle-pages.mjs';
import { ISOLATION, serve } from '../../scripts/lib/serve.mjs';
import { loadModel } from '../../src/classify/model-source.js';
import { preprocessingIn, preprocessingMetadata } from '../../src/data/preprocessing.js';
import { IMAGENET, type Preprocessing } from '../../src/data/transform.js';
import { METADATA } from '../../src/formats/metadata.js';
import { SHIPPED_WEIGHTS } from '../../src/hub/shipped.js';
import { assignNamedWeights, namedInput } from '../../src/models/named-weights.js';
import { createModel } from '../../src/models/registry.js';
import { compileGraphToBytes, compileToBytes } from '../../src/nn/compile.js';
import { quantizeModel } from '../../src/quantize/quantize.js';
import { encoder, pattern } from '../support/pictures.js';
import { plainPage } from './page.js';

const source = (path: string) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url));

export const PREPROCESSING: Preprocessing = { ...IMAGENET, size: 96 };
export const LABELS = Array.from({ length: 20 }, (_, i) => `thing ${i}`);

/** As strict as a page with models can be. */
const CSP =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src 'self' blob:";

/** A small network with labels and preprocessing, as `ghostkit convert` writes it. */
export function smallModel(options: { floats?: 'float16'; metadata?: Record<string, string> } = {}): Uint8Array {
  const model = assignNamedWeights(createModel('repghostnet_050', { classes: LABELS.length }));
  const { size } = PREPROCESSING;
  const metadata = {
    ...preprocessingMetadata(PREPROCESSING),
    [METADATA.labels]: JSON.stringify(LABELS),
    ...options.metadata,
  };
  return compileToBytes(model, { input: [1, 3, size, size], threads: 2, floats: options.floats }, metadata);
}

/** The network that comes with the package, with its own labels and preprocessing. */
export async function shippedModel() {
  const { model, labels = [], checkpoint } = await loadModel(SHIPPED_WEIGHTS);
  const preprocessing = preprocessingIn(checkpoint.metadata) as Preprocessing;
  const metadata = { ...preprocessingMetadata(preprocessing), [METADATA.labels]: JSON.stringify(labels) };
  const input = [1, 3, preprocessing.size, preprocessing.size];
  return { bytes: compileToBytes(model, { input, threads: 2, floats: 'float16' }, metadata), labels, preprocessing };
}

/** One in 8 bits, every layer, without labels. */
export async function int8Model(): Promise<Uint8Array> {
  const model = assignNamedWeights(createModel('repghostnet_050', { width: 0.3, classes: LABELS.length }));
  const { size } = PREPROCESSING;
  const calibration = [0, 1].map((i) => namedInput(`calibration ${i}`, [1, 3, size, size]));
  const { graph } = await quantizeModel(model, { calibration, floatLayers: [] });
  return compileGraphToBytes(graph, { deploy: false, threads: 2 }, preprocessingMetadata(PREPROCESSING));
}

/** What pages load, as the package has it. */
export function writeRuntime(folder: string): void {
  mkdirSync(join(folder, 'runtime'), { recursive: true });
  bundleForPages(join(folder, 'runtime'));
  cpSync(source('runtime/worker.js'), join(folder, 'runtime/worker.js'));
  cpSync(source('kernels/build'), join(folder, 'kernels/build'), { recursive: true });
}

/** A page whose script Vite has bundled with its defaults, ghostkit in it. */
export async function buildWithVite(root: string, runtime: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  writeFileSync(
    join(root, 'index.html'),
    '<!doctype html><title>test</title><script type="module" src="./main.ts"></script>',
  );
  writeFileSync(
    join(root, 'main.ts'),
    `import * as ghostkit from ${JSON.stringify(join(runtime, 'runtime/web.js'))};\nObject.assign(globalThis, { ghostkit });\n`,
  );
  await build({ root, base: './', logLevel: 'error', configFile: false });
}

/**
 * A site with every page of the tests: under `/open`, `/isolated` and `/strict` (a Content-Security-Policy), each with `page.html`,
 * `vite/index.html`, the models and the pictures.
 */
export async function startSite() {
  const root = mkdtempSync(join(tmpdir(), 'ghostkit-page-'));
  const runtime = join(root, 'ghostkit');
  writeRuntime(runtime);
  await buildWithVite(join(root, 'vite'), runtime);
  const pictures = {
    'large.png': await encoder(pattern(401, 303)).png().toBuffer(),
    'small.png': await encoder(pattern(50, 70)).png().toBuffer(),
    'exact.png': await encoder(pattern(109, 109)).png().toBuffer(),
  };
  const model = smallModel();
  const names = ['open', 'isolated', 'strict'];
  const bytes: Record<string, Uint8Array> = {
    'model.ghost.safetensors': model,
    'half.ghost.safetensors': smallModel({ floats: 'float16' }),
    ...pictures,
  };
  const files: Record<
    string,
    { body: string | Uint8Array; type?: string; status?: number; headers?: Record<string, string> }
  > = {};
  for (const name of names) {
    files[`/${name}/page.html`] = { body: name === 'strict' ? strictPage(name) : plainPage(`/${name}`) };
    files[`/${name}/example.html`] = { body: readFileSync(new URL('../../examples/page/index.html', import.meta.url)) };
    files[`/${name}/main.js`] = {
      body: `import * as ghostkit from './ghostkit/runtime/web.js'; globalThis.ghostkit = ghostkit;`,
    };
    for (const [file, body] of Object.entries(bytes)) files[`/${name}/${file}`] = { body };
  }
  const folders = Object.fromEntries(
    names.flatMap((name) => [
      [`/${name}/ghostkit/`, runtime],
      [`/${name}/vite/`, join(root, 'vite/dist')],
    ]),
  );
  const headers = (path: string): Record<string, string> => {
    if (path.startsWith('/isolated/')) return ISOLATION;
    return path.startsWith('/strict/') ? { 'Content-Security-Policy': CSP } : {};
  };
  const server = await serve({ folders, files, headers });
  const close = async () => {
    await server.close();
    rmSync(root, { recursive: true, force: true });
  };
  return { url: server.url, requests: server.requests, files, folders, runtime, root, model, pictures, close };
}

const strictPage = (name: string) =>
  `<!doctype html><title>test</title><script type="module" src="/${name}/main.js"></script>`;
