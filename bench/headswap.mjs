import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { headFromLandmarks, landmarksFromFive } from '../dist/headswap/segment-landmarks.js';
import { POINTS, SIZE } from './headswap/scene.mjs';
import { python, startChild, torchVersion } from './lib/children.mjs';
import { machine, median, rounded } from './lib/measure.mjs';
import { filtered, positive } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';

export const summary = 'a head swap at 512 px: the aligner, the blender and what is around them, beside PyTorch';

export const options = {
  threads: { type: 'string', hint: 'N', default: '2', description: 'threads of each runtime' },
  runs: { type: 'string', hint: 'N', default: '5', description: 'swaps that are timed' },
  filter: { type: 'string', hint: 'TEXT', description: 'only runtimes whose name contains this; commas for several' },
  original: {
    type: 'boolean',
    description:
      'let PyTorch compute every level of the feature pyramid, as the original does, not only the one that is used',
  },
};

const RUNTIMES = ['ghostkit', 'pytorch', 'onnxruntime-node'];

/** What a runtime's time holds. ghostkit's own has the most in it. */
const COVERS = {
  ghostkit: 'the whole swap but detection',
  pytorch: 'the networks and the correlation',
  'onnxruntime-node': 'the networks',
};

const here = (name) => fileURLToPath(new URL(`headswap/${name}`, import.meta.url));

export async function run(values, log) {
  const threads = positive(values, 'threads');
  const runs = positive(values, 'runs');
  const asked = filtered(RUNTIMES, values.filter, (runtime) => runtime);
  const folder = await mkdtemp(join(tmpdir(), 'ghostkit-headswap-'));
  const processes = [];
  try {
    const labels = headFromLandmarks(landmarksFromFive(POINTS), SIZE, SIZE);
    await writeFile(join(folder, 'parsing.bin'), labels.data);
    for (const runtime of asked) {
      const command = await commandOf(runtime, { threads, folder, original: values.original }, log);
      if (!command) continue;
      const started = await startChild(...command);
      processes.push({ runtime, ...started, times: [], peakMemoryMB: 0 });
      log(`${runtime} is ready after ${rounded(started.ready.ms / 1000, 1)} s${noteOf(started.ready)}`);
    }
    if (processes.length === 0) return [];
    // In turns, so that the machine's moods hit all alike; the first round warms everything up.
    for (let round = -1; round < runs; round++) {
      for (const each of round % 2 ? [...processes].reverse() : processes) {
        const { ms, peakMemoryMB } = await each.ask('run');
        if (round >= 0) each.times.push(ms);
        each.peakMemoryMB = peakMemoryMB;
      }
      const last = processes.map(({ runtime, times }) => `${runtime} ${rounded(times.at(-1) ?? 0, 0)} ms`);
      if (round >= 0) log(`round ${round + 1} of ${runs}: ${last.join(', ')}`);
    }
    return processes.map(({ runtime, times, peakMemoryMB, ready }) => ({
      runtime,
      ...(ready.version && { version: ready.version }),
      threads,
      medianMs: rounded(median(times), 1),
      minMs: rounded(Math.min(...times), 1),
      runs: times.length,
      peakMemoryMB: rounded(peakMemoryMB, 0),
      covers: COVERS[runtime],
      machine,
    }));
  } finally {
    for (const each of processes) each.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const noteOf = ({ note }) => (note ? `: ${note}` : '');

/** The command that starts a runtime; undefined, and a line that says so, where it is not there. */
async function commandOf(runtime, { threads, folder, original }, log) {
  if (runtime === 'pytorch') {
    const version = await torchVersion();
    if (!version) {
      log(`pytorch is left out: ${python} has no torch (GHOSTKIT_PYTHON names another Python)`);
      return undefined;
    }
    const args = [here('networks.py'), '--threads', `${threads}`, '--parsing', join(folder, 'parsing.bin')];
    return [python, [...args, ...(original ? ['--original'] : [])]];
  }
  if (runtime === 'onnxruntime-node') await ensurePeers(log);
  return [process.execPath, [here('child.mjs'), runtime, `${threads}`]];
}
