import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { findModel } from '../dist/models/registry.js';
import { checkAgreement } from './lib/agreement.mjs';
import { openBenchPage, writeNetwork } from './lib/browser.mjs';
import { networkFor } from './lib/ghostkit.mjs';
import { machine, median, rounded, takeTurns } from './lib/measure.mjs';
import { filtered, positive } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';
import { onnxruntimeNode } from './lib/runtimes.mjs';

export const summary =
  'one image through a network in Chromium, beside onnxruntime-web and tfjs, and onnxruntime natively';

export const options = {
  models: { type: 'string', hint: 'A,B', default: 'repghostnet_100', description: 'the networks' },
  filter: {
    type: 'string',
    hint: 'TEXT',
    description: 'only runtimes whose title (ghostkit/1/relaxed/fp32) contains this; commas for several',
  },
  seconds: {
    type: 'string',
    hint: 'N',
    default: '60',
    description: 'time for the measuring itself, over all networks',
  },
  size: { type: 'string', hint: 'N', default: '224', description: 'height and width of the image' },
};

/** Those of the page run in a worker each; `config` is what it gets. */
const inPage = (script, runtime, threads, { precision = 'fp32', kernels, config = {}, settleMs = 0 } = {}) => ({
  ...{ runtime, threads, precision, kernels, where: 'chromium', wasm: true, settleMs, script },
  load: async (page) => (network) => page.create(script, { ...network.pageConfig, ...config, threads }),
});

const MODELS = { fp32: 'model.ghost.safetensors', int8: 'model-int8.ghost.safetensors' };

const ghostkit = (threads, kernels, precision) =>
  inPage('ghostkit', 'ghostkit', threads, {
    ...{ precision, kernels },
    config: { model: MODELS[precision], relaxed: kernels === 'relaxed' },
  });

const ort = (threads) =>
  inPage('onnxruntime-web', 'onnxruntime-web', threads, {
    config: { model: 'model.onnx', wasm: '/ort/' },
    settleMs: threads > 1 ? 60 : 0,
  });

const tfjs = (threads) => inPage('tfjs-wasm', 'tfjs-wasm', threads, { config: { wasm: '/tfjs/' } });

const native = (threads) => ({ ...onnxruntimeNode(threads), precision: 'fp32', where: 'node' });

const SEVERAL = availableParallelism() > 1;

/** Who takes part: on one thread everybody in every way, on two the best of each. */
export const BROWSER_RUNTIMES = [
  ...['fp32', 'int8'].flatMap((precision) => [
    ghostkit(1, 'relaxed', precision),
    ghostkit(1, 'simd', precision),
    ...(SEVERAL ? [ghostkit(2, 'relaxed', precision)] : []),
  ]),
  ...[ort(1), tfjs(1), native(1)],
  ...(SEVERAL ? [ort(2), tfjs(2)] : []),
];

export const titleOf = ({ runtime, threads, kernels, precision }) =>
  [runtime, threads, kernels, precision].filter(Boolean).join('/');

export async function run(values, log) {
  const names = values.models.split(',').map((name) => findModel(name).name);
  const runtimes = filtered(BROWSER_RUNTIMES, values.filter, titleOf);
  const seconds = positive(values, 'seconds') / names.length;
  const size = positive(values, 'size');
  return measureInBrowser(names, runtimes, { seconds, size }, log);
}

export async function measureInBrowser(names, runtimes, { seconds, size }, log) {
  if (runtimes.some(({ runtime }) => runtime !== 'ghostkit')) await ensurePeers(log);
  const page = await openBenchPage([...new Set(runtimes.flatMap(({ script }) => script ?? []))]);
  try {
    const rows = [];
    for (const name of names) rows.push(...(await measure(name, page, runtimes, { seconds, size }, log)));
    return rows;
  } finally {
    await page.close();
  }
}

async function measure(name, page, runtimes, { seconds, size }, log) {
  const network = networkFor(name, size);
  const int8 = runtimes.some(({ precision }) => precision === 'int8') ? await network.int8() : undefined;
  if (int8?.reason) log(`${name} is not measured in int8: ${int8.reason}`);
  const folder = join(page.folder, name);
  mkdirSync(folder);
  writeNetwork(folder, network, {
    [MODELS.fp32]: network.compiled(2),
    ...(int8?.compiled && { [MODELS.int8]: int8.compiled(2) }),
  });
  const at = (file) => `/${name}/${file}`;
  const pageConfig = {
    ...{ image: at('image.bin'), imageNhwc: at('image-nhwc.bin'), plan: at('plan.json'), weights: at('weights.bin') },
    shape: network.shape,
  };
  const inFolder = { ...network, pageConfig };
  const runners = [];
  let peak;
  for (const { load, ...runtime } of runtimes) {
    if (runtime.precision === 'int8' && !int8.compiled) continue;
    const create = await load(withModelsIn(page, at, peak === undefined));
    const runner = { ...runtime, ...(await create(inFolder)) };
    peak ??= runner.facts?.peak;
    runners.push(runner);
  }
  const inPrecision = (wanted) => runners.filter(({ precision }) => precision === wanted);
  await checkAgreement(name, inPrecision('fp32'), log);
  const node = { runtime: 'ghostkit in Node', precision: 'int8', run: () => int8.logits };
  if (inPrecision('int8').length > 0) await checkAgreement(name, [node, ...inPrecision('int8')], log);
  // Warm: V8 has compiled its hot code, memory is there.
  await takeTurns(runners, { seconds: seconds / 6, turnMs: 100, minRounds: 2 });
  const times = await takeTurns(runners, { seconds });
  const rows = runners.map((runner) => {
    const { runtime, threads, precision, kernels, where, wasm } = runner;
    const ms = times.get(runner);
    const gmacPerSecond = network.macs / median(ms) / 1e6;
    // Of floats: int8 has another limit.
    const limit = wasm && precision === 'fp32' && peak ? peak * threads : undefined;
    return {
      ...{ model: name, runtime, where, threads, precision, kernels },
      medianMs: rounded(median(ms)),
      minMs: rounded(Math.min(...ms)),
      runs: ms.length,
      gmacPerSecond: rounded(gmacPerSecond, 2),
      simdPeakGmacPerSecond: limit && rounded(limit, 1),
      shareOfPeak: limit && rounded(gmacPerSecond / limit),
      browser: `Chromium ${page.version}`,
      machine,
    };
  });
  for (const runner of runners) await runner.close();
  for (const row of rows) log(`  ${row.where} ${titleOf(row)}: ${row.medianMs} ms`);
  return rows;
}

/** The page, with the places of this network's models; the first of ghostkit's workers also measures what SIMD can do. */
const withModelsIn = (page, at, peak) => ({
  create: (script, { model, ...config }) =>
    page.create(script, { ...config, model: model && at(model), peak: peak && script === 'ghostkit' }),
});
