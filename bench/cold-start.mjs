import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findModel } from '../dist/models/registry.js';
import { compileToBytes } from '../dist/nn/compile.js';
import { whyNoBrowser } from '../scripts/lib/chromium.mjs';
import { COLD_STARTS, measureColdStart, titleOf } from './cold-start/browser.mjs';
import { networkFor } from './lib/ghostkit.mjs';
import { machine, median, rounded } from './lib/measure.mjs';
import { filtered, positive, UsageError } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';

export const summary =
  'to the first result: from import in a new process of Node, from navigation in a new page of Chromium';

export const options = {
  model: { type: 'string', hint: 'NAME', default: 'repghostnet_100', description: 'the network' },
  runs: { type: 'string', hint: 'N', default: '15', description: 'processes or pages of each runtime' },
  where: { type: 'string', hint: 'A,B', default: 'node,chromium', description: 'where to start them' },
  filter: { type: 'string', hint: 'TEXT', description: 'only runtimes whose name contains this; commas for several' },
};

const RUNTIMES = ['ghostkit', 'onnxruntime-web', 'tfjs-wasm', 'onnxruntime-node'].map((runtime) => ({
  ...{ runtime, where: 'node', precision: 'fp32' },
}));

const child = fileURLToPath(new URL('cold-start/child.mjs', import.meta.url));
const execute = promisify(execFile);

export async function run(values, log) {
  const model = findModel(values.model).name;
  const runs = positive(values, 'runs');
  const places = filtered(['node', 'chromium'], values.where, (where) => where);
  // A runtime may be there in one place only.
  const chosen = filtered(
    places.flatMap((where) => (where === 'node' ? RUNTIMES : COLD_STARTS)),
    values.filter,
    titleOf,
  );
  const inNode = chosen.filter(({ where }) => where === 'node');
  const inPage = chosen.filter(({ where }) => where === 'chromium');
  const missing = inPage.length > 0 ? await whyNoBrowser() : undefined;
  if (missing && inNode.length === 0) throw new UsageError(missing);
  if (missing) log(`not measured in Chromium: ${missing}`);
  if (chosen.some(({ runtime }) => runtime !== 'ghostkit')) await ensurePeers(log);
  const rows = inNode.length > 0 ? await measureInNode(model, inNode, runs, log) : [];
  if (inPage.length > 0 && !missing) rows.push(...(await measureColdStart(model, inPage, runs, log)));
  return rows;
}

async function measureInNode(model, runtimes, runs, log) {
  const folder = await mkdtemp(join(tmpdir(), 'ghostkit-cold-start-'));
  try {
    await writeNetwork(model, folder);
    const names = runtimes.map(({ runtime }) => runtime);
    const times = await startInTurns(names, folder, runs, log);
    return runtimes.map(({ runtime, where, precision }) => {
      const ms = times.get(runtime);
      return {
        ...{ model, runtime, where, threads: 1, precision },
        medianMs: rounded(median(ms), 1),
        minMs: rounded(Math.min(...ms), 1),
        runs: ms.length,
        machine,
      };
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The network on disk in every runtime's form, with the same picture for all. */
async function writeNetwork(name, folder) {
  const { model, shape, image, imageNhwc, onnx, plan: makePlan } = networkFor(name);
  const { plan, weights } = makePlan();
  const files = {
    'network.json': JSON.stringify({ shape }),
    'model.ghost.safetensors': compileToBytes(model, { input: shape }),
    'model.onnx': onnx(),
    'plan.json': JSON.stringify(plan),
    'weights.bin': weights,
    'image.bin': image,
    'image-nhwc.bin': imageNhwc,
  };
  await Promise.all(Object.entries(files).map(([file, content]) => writeFile(join(folder, file), content)));
}

async function startInTurns(runtimes, folder, runs, log) {
  const times = new Map(runtimes.map((runtime) => [runtime, []]));
  let wanted;
  // The first round only fills the system's file cache.
  for (let round = -1; round < runs; round++) {
    for (const runtime of round % 2 ? [...runtimes].reverse() : runtimes) {
      const { stdout } = await execute(process.execPath, [child, runtime, folder]);
      // The last line: some runtimes greet on standard output.
      const { ms, logits } = JSON.parse(stdout.trim().split('\n').at(-1));
      wanted ??= logits;
      const error = logits.reduce((e, v, i) => Math.max(e, Math.abs(v - wanted[i])), 0);
      if (!(error < 1e-3 * Math.max(1, ...wanted))) throw new Error(`${runtime}: its logits differ by ${error}`);
      if (round >= 0) times.get(runtime).push(ms);
    }
    if (round >= 0)
      log(
        `round ${round + 1} of ${runs}: ${runtimes.map((r) => `${r} ${times.get(r).at(-1).toFixed(0)} ms`).join(', ')}`,
      );
  }
  return times;
}
