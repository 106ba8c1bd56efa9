import { findModel } from '../dist/models/registry.js';
import { checkAgreement } from './lib/agreement.mjs';
import { enableFastSimd, networkFor } from './lib/ghostkit.mjs';
import { machine, median, rounded, takeTurns } from './lib/measure.mjs';
import { filtered, positive } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';
import { ghostkit, ghostkitInt8, onnxruntimeNode, onnxruntimeWeb, tfjsWasm } from './lib/runtimes.mjs';
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
  int8: { type: 'boolean', description: 'ghostkit in 8 bits too; quantising takes its time before' },
  size: { type: 'string', hint: 'N', default: '224', description: 'height and width of the image' },
};

const RUNTIMES = [ghostkit(1), ghostkit(2), onnxruntimeWeb, tfjsWasm, onnxruntimeNode(1), onnxruntimeNode(2)];

export const runtimesInNode = ({ int8 }) => (int8 ? [...RUNTIMES, ghostkitInt8(1), ghostkitInt8(2)] : RUNTIMES);

export async function run(values, log) {
  const names = values.models.split(',').map((name) => findModel(name).name);
  const runtimes = filtered(runtimesInNode(values), values.filter, ({ runtime, threads }) => `${runtime}/${threads}`);
  const seconds = positive(values, 'seconds') / names.length;
  const size = positive(values, 'size');
  return measureInNode(names, runtimes, { seconds, size }, log);
}

/** The rows of several networks; `seconds` for each. */
export async function measureInNode(names, runtimes, { seconds, size }, log) {
  await enableFastSimd();
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
  for (const { create, ...runtime } of runtimes) {
    const { reason, ...made } = await create(network);
    if (reason) log(`${name} is not measured in ${runtime.precision}: ${reason}`);
    else runners.push({ ...runtime, ...made });
  }
  await checkAgreement(
    name,
    runners.filter(({ precision }) => precision !== 'int8'),
    log,
  );

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
    const { runtime, threads, wasm, precision = 'fp32' } = runner;
    // Of floats: int8 has another limit.
    const limit = wasm && precision === 'fp32' ? peak * threads : undefined;
    return {
      model: name,
      runtime,
      threads,
      precision,
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
  for (const { runtime, threads, precision, medianMs } of rows)
    log(`  ${runtime}/${threads}/${precision}: ${medianMs} ms`);
  return rows;
}
