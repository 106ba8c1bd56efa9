// A process with one runtime: node child.mjs RUNTIME THREADS. It prints a line of JSON when it is ready, and one for each line on its
// standard input: {"ms","peakMemoryMB"} of a swap.
import { createInterface } from 'node:readline';
import { enableFastSimd } from '../lib/ghostkit.mjs';
import { detector, picture } from './scene.mjs';

const [runtime, threads] = process.argv.slice(2);
const count = Number(threads);
const peakMemoryMB = () => process.resourceUsage().maxRSS / 1024;

const starts = {
  /** A swap from two pictures to one, with networks that are kept. */
  async ghostkit() {
    await enableFastSimd();
    const [{ swapHead }, { SwapNetworks }, { NAMED_WEIGHTS }] = await Promise.all([
      import('../../dist/headswap/pipeline.js'),
      import('../../dist/headswap/networks.js'),
      import('../../dist/headswap/weights.js'),
    ]);
    const weights = new SwapNetworks(NAMED_WEIGHTS, { threads: count, keep: true });
    for (const name of ['embedder', 'generator', 'blender']) await weights[name](async () => {});
    const [source, target] = [picture(0), picture(2)];
    const plugins = { detector: async () => detector };
    return { run: () => swapHead({ source, target, weights, plugins, threads: count }) };
  },

  /** The same graphs as ONNX, without what is between them: the features of two pictures, no correlation. */
  async 'onnxruntime-node'() {
    const [{ onnxNetworks }, { loadOrtNode }] = await Promise.all([import('./onnx.mjs'), import('../peers/ort.mjs')]);
    return onnxNetworks(await loadOrtNode(), count);
  },
};

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const before = performance.now();
const { run, version } = await starts[runtime]();
print({ ms: performance.now() - before, version });
for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  await run();
  print({ ms: performance.now() - start, peakMemoryMB: peakMemoryMB() });
}
process.exit(0);
