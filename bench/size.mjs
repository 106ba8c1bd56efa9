import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { bundle, PEERS } from './lib/browser.mjs';
import { filtered } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';

export const summary = 'what a page downloads beside the weights, in bytes as they come compressed';

export const options = {
  filter: { type: 'string', hint: 'TEXT', description: 'only runtimes whose name contains this; commas for several' },
};

const dist = fileURLToPath(new URL('../dist/', import.meta.url));

/**
 * What each runtime's page loads, of the builds that differ the largest: ours in a worker with threads and relaxed SIMD; of
 * onnxruntime-web the smallest set that runs a model (its wasm-only bundle and the one binary there is); of tfjs the core and the wasm
 * backend, without the converter that would read a model's file.
 */
const RUNTIMES = [
  {
    runtime: 'ghostkit',
    files: async () =>
      ['runtime/web.js', 'runtime/model-worker.js', 'runtime/worker.js', 'kernels/build/relaxed-threads.wasm'].map(
        (file) => join(dist, file),
      ),
  },
  {
    runtime: 'onnxruntime-web',
    files: async () => ['ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm'].map((file) => join(PEERS.ort, file)),
  },
  {
    runtime: 'tfjs-wasm',
    files: async (folder) => {
      await bundle(['tfjs-wasm'], folder);
      return [join(folder, 'tfjs-wasm.js'), join(PEERS.tfjs, 'tfjs-backend-wasm-threaded-simd.wasm')];
    },
  },
];

export async function run(values, log) {
  const runtimes = filtered(RUNTIMES, values.filter, ({ runtime }) => runtime);
  if (runtimes.some(({ runtime }) => runtime !== 'ghostkit')) await ensurePeers(log);
  const folder = await mkdtemp(join(tmpdir(), 'ghostkit-size-'));
  try {
    return await Promise.all(
      runtimes.map(async ({ runtime, files }) => {
        const contents = await Promise.all((await files(folder)).map((file) => readFile(file)));
        const sum = (of) => contents.reduce((total, content) => total + of(content), 0);
        return {
          runtime,
          gzipBytes: sum((content) => gzipSync(content, { level: 9 }).length),
          bytes: sum((content) => content.length),
          files: contents.length,
        };
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
