import { findModel } from '../dist/models/registry.js';
import { enableRelaxedSimd, networkFor } from './lib/ghostkit.mjs';
import { machine, median, rounded, takeTurns } from './lib/measure.mjs';
import { filtered, positive } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';
import { simdPeakGmacPerSecond } from './lib/simd-peak.mjs';

export const summary = 'one image through a network in deploy form, beside onnxruntime and tfjs';

const MODELS = 'ghostnet_100,repghostnet_050,repghostnet_100';

export const options = {
  models: { type: 'string', hint: 'A,B', default: MODELS, description: 'the networks' },
  filter: {
    type: 'string',
    hint: 'TEXT',
    description: 'only runtimes whose name or threads (runtime/2) contain this; commas for several',
  },
  seconds: {
    type: 'string',
    hint: 'N',
    default: '75',
    description: 'time for the measuring itself, over all networks',
  },
  size: { type: 'string', hint: 'N', default: '224', description: 'height and width of the image' },
};

/**
 * Every runtime from a Float32Array to the logits in a Float32Array; each gets the picture in the layout that it wants. `load` returns
 * what creates a network, so that a peer is only loaded when it takes part.
 */
const RUNTIMES = [
  ghostkit(1),
  ghostkit(2),
  {
    runtime: 'onnxruntime-web',
    threads: 1,
    wasm: true,
    load: async () => {
      const { loadOrtWeb, createOrt } = await import('./peers/ort.mjs');
      const ort = await loadOrtWeb();
      return async ({ onnx, image, shape }) => {
        const session = await createOrt(ort, onnx(), { provider: 'wasm', threads: 1, shape });
        return { ...session, run: () => session.run(image) };
      };
    },
  },
  {
    runtime: 'tfjs-wasm',
    threads: 1,
    wasm: true,
    load: async () => {
      const { loadTfjs, createTfjs } = await import('./peers/tfjs.mjs');
      const tf = await loadTfjs();
      return async ({ plan: makePlan, imageNhwc }) => {
        const { plan, weights } = makePlan();
        const net = createTfjs(tf, plan, weights);
        return { ...net, run: () => net.run(imageNhwc) };
      };
    },
  },
  onnxruntimeNode(1),
  onnxruntimeNode(2),
];

function ghostkit(threads) {
  return {
    runtime: 'ghostkit',
    threads,
    wasm: true,
    load:
      async () =>
      async ({ compile, image }) => {
        const net = await compile(threads);
        return { run: () => net.run({ image }).logits.data, close: () => net.close() };
      },
  };
}

function onnxruntimeNode(threads) {
  return {
    runtime: 'onnxruntime-node',
    threads,
    wasm: false,
    // Its threads spin for 30 ms after a run. That makes its own next run faster, so it stays, but must not slow down who follows.
    settleMs: threads > 1 ? 60 : 0,
    load: async () => {
      const { loadOrtNode, createOrt } = await import('./peers/ort.mjs');
      const ort = await loadOrtNode();
      return async ({ onnx, image, shape }) => {
        const session = await createOrt(ort, onnx(), { provider: 'cpu', threads, shape });
        return { ...session, run: () => session.run(image) };
      };
    },
  };
}

export async function run(values, log) {
  const names = values.models.split(',').map((name) => findModel(name).name);
  const runtimes = filtered(RUNTIMES, values.filter, ({ runtime, threads }) => `${runtime}/${threads}`);
  const seconds = positive(values, 'seconds') / names.length;
  const size = positive(values, 'size');
  enableRelaxedSimd();
  if (runtimes.some(({ runtime }) => runtime !== 'ghostkit')) await ensurePeers(log);
  const loaded = [];
  for (const { load, ...runtime } of runtimes) loaded.push({ ...runtime, create: await load() });
  const rows = [];
  for (const name of names) rows.push(...(await measure(name, loaded, { seconds, size }, log)));
  return rows;
}

async function measure(name, runtimes, { seconds, size }, log) {
  const network = networkFor(name, size);
  const runners = [];
  for (const { create, ...runtime } of runtimes) runners.push({ ...runtime, ...(await create(network)) });
  await checkAgreement(name, runners, log);

  const peak = await simdPeakGmacPerSecond();
  log(
    `${name}: ${rounded(network.macs / 1e6, 0)} M multiply-accumulates; a thread of wasm does at most ${rounded(peak, 1)} G a second`,
  );
  // Warm: V8 has compiled its hot code, memory is there.
  await takeTurns(runners, { seconds: seconds / 8, turnMs: 100, minRounds: 2 });
  const times = await takeTurns(runners, { seconds });

  const rows = runners.map((runner) => {
    const ms = times.get(runner);
    const gmacPerSecond = network.macs / median(ms) / 1e6;
    const { runtime, threads, wasm } = runner;
    const limit = wasm ? peak * threads : undefined;
    return {
      model: name,
      runtime,
      threads,
      precision: 'fp32',
      medianMs: rounded(median(ms)),
      minMs: rounded(Math.min(...ms)),
      runs: ms.length,
      gmacPerSecond: rounded(gmacPerSecond, 2),
      simdPeakGmacPerSecond: limit && rounded(limit, 1),
      shareOfPeak: limit && rounded(gmacPerSecond / limit),
      machine,
    };
  });
  for (const runner of runners) await runner.close();
  for (const { runtime, threads, medianMs } of rows) log(`  ${runtime}/${threads}: ${medianMs} ms`);
  return rows;
}

/** All runtimes have to compute the same before any of them is timed. */
async function checkAgreement(name, runners, log) {
  const [first, ...others] = runners;
  // A copy: some return the memory that their next run writes to.
  const wanted = Float32Array.from(await first.run());
  const most = wanted.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  if (!(most > 0))
    throw new Error(`${name}: the logits of ${first.runtime}/${first.threads} are all zero or not numbers`);
  for (const { runtime, threads, run } of others) {
    const got = await run();
    const error = wanted.reduce((e, v, i) => Math.max(e, Math.abs(v - got[i])), 0);
    const line = `${name}: ${runtime}/${threads} differs from ${first.runtime}/${first.threads} by at most ${error.toExponential(1)} (logits up to ${most.toFixed(1)})`;
    log(line);
    if (!(error < 1e-3 * Math.max(1, most))) throw new Error(line);
  }
}
