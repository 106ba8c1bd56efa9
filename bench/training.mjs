import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSafetensors } from '../dist/formats/safetensors.js';
import { namedInput } from '../dist/models/named-weights.js';
import { createModel, findModel } from '../dist/models/registry.js';
import { python, startChild, torchVersion } from './lib/children.mjs';
import { machine, median, rounded, sleep } from './lib/measure.mjs';
import { newestNode } from './lib/newest-node.mjs';
import { filtered, positive, UsageError } from './lib/options.mjs';

export const summary = 'a full training step, beside PyTorch (eager)';

export const options = {
  models: {
    type: 'string',
    hint: 'A,B',
    default: 'repghostnet_050,repghostnet_100,ghostnet_050',
    description: 'the networks: of GhostNet and RepGhostNet',
  },
  filter: { type: 'string', hint: 'TEXT', description: 'only runtimes whose name contains this; commas for several' },
  threads: { type: 'string', hint: 'N', default: '2', description: 'threads; PyTorch may also choose its own number' },
  batch: { type: 'string', hint: 'N', default: '32', description: 'pictures in a step' },
  size: { type: 'string', hint: 'N', default: '128', description: 'height and width of the pictures' },
  nodes: {
    type: 'string',
    hint: 'A,B',
    default: 'own,newest',
    description: 'in what ghostkit runs: own is the Node that runs the bench, newest the one of bench/node',
  },
  rounds: { type: 'string', hint: 'N', default: '12', description: 'turns that each process has' },
};

const RUNTIMES = ['ghostkit', 'pytorch'];

/** Steps in a turn, the first of which is not counted: the others have emptied the caches. */
const TURN = 4;
/** Steps before anything is counted; their losses have to agree. */
const WARM_UP = 3;
/** How far the first loss may be from the other runtime's, and the others ten times that of the one before: rounding grows with every step. */
const TOLERANCE = 1e-4;
const CLASSES = 1000;
const OPTIMIZER = { learningRate: 0.01, momentum: 0.9, nesterov: true, weightDecay: 1e-5 };

const here = (name) => fileURLToPath(new URL(`training/${name}`, import.meta.url));

export async function run(values, log) {
  const names = values.models.split(',').map((name) => findModel(name).name);
  const asked = filtered(RUNTIMES, values.filter, (runtime) => runtime);
  const wanted = nodeNames(values.nodes);
  const settings = Object.fromEntries(['threads', 'batch', 'size', 'rounds'].map((k) => [k, positive(values, k)]));
  const other = names.find((name) => findModel(name).family === 'mobilenetv3');
  if (other) throw new UsageError(`${other}: only the Ghost family is written for PyTorch here`);
  const torch = asked.includes('pytorch') ? await torchVersion() : undefined;
  if (asked.includes('pytorch') && !torch) {
    log(`pytorch is left out: ${python} has no torch (GHOSTKIT_PYTHON names another Python)`);
  }
  log('a step: forward, cross-entropy, backward, update (SGD, Nesterov), statistics; no dropout, no averaging');
  const nodes = asked.includes('ghostkit') ? await nodesFor(wanted, log) : [];
  log("ghostkit's kernels are wide, with vectors of 256 bits, in Node 24 to 26 on x64 with AVX2");
  log("a row is the faster of ghostkit's Nodes, and of PyTorch's memory layouts and numbers of threads");
  log('peakMemoryMB: the whole process at its largest, runtime, compiler and all');
  const rows = [];
  const folder = await mkdtemp(join(tmpdir(), 'ghostkit-training-'));
  try {
    for (const name of names) {
      const scene = join(folder, `${name}.safetensors`);
      await writeFile(scene, sceneOf(name, settings));
      const commands = commandsFor(scene, settings, { nodes, torch });
      rows.push(...(await measure(name, commands, settings, log)));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return rows;
}

/** A network's weights, a batch and its targets, the same for every runtime. */
function sceneOf(name, { batch, size }) {
  const { family, width } = findModel(name);
  const model = createModel(name, { classes: CLASSES, dropout: 0 });
  const targets = new Float32Array(batch * CLASSES).fill(0.1 / CLASSES);
  for (let i = 0; i < batch; i++) targets[i * CLASSES + ((37 * i) % CLASSES)] += 0.9;
  const tensors = new Map(model.state());
  tensors.set('bench.images', namedInput('image', [batch, 3, size, size]));
  tensors.set('bench.targets', { dtype: 'float32', shape: [batch, CLASSES], data: targets });
  return writeSafetensors(tensors, {
    metadata: { bench: JSON.stringify({ model: name, family, width, ...OPTIMIZER }) },
  });
}

function nodeNames(list) {
  const names = list.split(',');
  const unknown = names.find((name) => name !== 'own' && name !== 'newest');
  if (unknown !== undefined) throw new UsageError(`--nodes: own or newest, got ${unknown}`);
  return names;
}

async function nodesFor(wanted, log) {
  const newest = wanted.includes('newest') ? await newestNode(log) : undefined;
  // Where there is no newer one, it is the newest itself.
  return [...(wanted.includes('own') || !newest ? [process.execPath] : []), ...(newest ? [newest] : [])];
}

/** The processes that take part: of ghostkit one for each Node, of PyTorch one for each memory layout, with the threads asked for and with its own number. */
function commandsFor(scene, { threads }, { nodes, torch }) {
  const child = [here('child.mjs'), scene, `${threads}`];
  const commands = nodes.map((node) => ({ runtime: 'ghostkit', command: [node, child] }));
  for (const layout of torch ? ['contiguous', 'channels_last'] : []) {
    for (const own of [false, true]) {
      const args = [here('networks.py'), scene, '--layout', layout, ...(own ? [] : ['--threads', `${threads}`])];
      commands.push({ runtime: 'pytorch', layout, own, command: [python, args] });
    }
  }
  return commands;
}

async function measure(name, commands, settings, log) {
  const { threads, batch, rounds } = settings;
  const processes = [];
  try {
    for (const { command, ...about } of commands) {
      const child = await startChild(...command);
      // Its own number of threads is the one asked for: that is measured already.
      if (about.own && child.ready.threads === threads) child.stop();
      else processes.push({ ...about, ...child, times: [] });
    }
    await checkAgreement(name, processes, log);
    for (let round = 0; round < rounds; round++) {
      for (const each of round % 2 ? [...processes].reverse() : processes) {
        const { ms, peakMemoryMB } = await each.ask(TURN);
        each.times.push(...ms.slice(1));
        each.peakMemoryMB = peakMemoryMB;
        // Threads of a pool spin for a while behind a step.
        await sleep(30);
      }
    }
  } finally {
    for (const each of processes) each.stop();
  }
  const variants = processes.map(({ runtime, layout, ready, times, peakMemoryMB }) => ({
    model: name,
    runtime,
    threads: ready.threads,
    imagesPerSecond: rounded((batch * 1000) / median(times), 1),
    peakMemoryMB: rounded(peakMemoryMB, 0),
    medianMs: rounded(median(times), 1),
    minMs: rounded(Math.min(...times), 1),
    steps: times.length,
    ...(layout && { layout }),
    ...(ready.kernels && { kernels: ready.kernels }),
    version: ready.version,
    machine,
  }));
  for (const { runtime, layout, version, threads: used, imagesPerSecond } of variants) {
    log(`  ${runtime}/${used} ${layout ?? `in Node ${version}`}: ${imagesPerSecond} pictures/s`);
  }
  return RUNTIMES.flatMap((runtime) => {
    const best = variants
      .filter((row) => row.runtime === runtime)
      .sort((a, b) => b.imagesPerSecond - a.imagesPerSecond)[0];
    return best ? [best] : [];
  });
}

/** All have to learn the same from the first steps before any of them is timed. */
async function checkAgreement(name, processes, log) {
  const losses = [];
  for (const each of processes) losses.push((await each.ask(WARM_UP)).losses);
  log(`${name}: the first losses are ${losses[0].map((loss) => loss.toFixed(4)).join(', ')}`);
  for (const [i, row] of losses.entries()) {
    const agrees = row.every((loss, k) => Math.abs(loss / losses[0][k] - 1) < TOLERANCE * 10 ** k);
    const { runtime, layout } = processes[i];
    if (!agrees) {
      throw new Error(
        `${name}: ${runtime} ${layout ?? ''} has the losses ${row.join(', ')}, not those of ${processes[0].runtime}`,
      );
    }
  }
}
