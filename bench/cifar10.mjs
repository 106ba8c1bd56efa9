import { readdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createLoader } from '../dist/data/loader/loader.js';
import { openDataset } from '../dist/data/open-dataset.js';
import { preprocessingIn } from '../dist/data/preprocessing.js';
import { readCheckpoint } from '../dist/formats/checkpoint-file.js';
import { deploy } from '../dist/graph/passes/deploy.js';
import { DeployedClassifier } from '../dist/models/deployed.js';
import { identify } from '../dist/models/identify.js';
import { namedInput } from '../dist/models/named-weights.js';
import { compile, macsOf } from '../dist/nn/compile.js';
import { trace } from '../dist/nn/trace.js';
import { EVALUATION_BATCH, evaluate } from '../dist/train/evaluate.js';
import { enableFastSimd } from './lib/ghostkit.mjs';
import { machine, median, rounded, takeTurns } from './lib/measure.mjs';
import { positive, UsageError } from './lib/options.mjs';
import { ensurePeers } from './lib/peers.mjs';

export const summary = 'small networks that were trained alike on CIFAR-10: accuracy against latency, work and size';

export const options = {
  data: {
    type: 'string',
    hint: 'DIR',
    description: 'CIFAR-10, to count the accuracy on its 10,000 test pictures (needed)',
  },
  seconds: { type: 'string', hint: 'N', default: '20', description: 'time for measuring the latency' },
  plot: { type: 'string', hint: 'FILE', description: 'write the plot (SVG) to this file' },
};

const WEIGHTS = new URL('cifar10/', import.meta.url);

const FAMILIES = { repghostnet: 'RepGhostNet', ghostnet: 'GhostNet', mobilenetv3_small: 'MobileNetV3 Small' };

const familyOf = (name) => FAMILIES[Object.keys(FAMILIES).find((prefix) => name.startsWith(prefix))] ?? name;

export async function run(values, log) {
  const seconds = positive(values, 'seconds');
  if (!values.data) throw new UsageError('--data: name the folder of CIFAR-10 (train/ and test/, or its binary files)');
  if (values.plot) await ensurePeers(log);
  await enableFastSimd();
  const files = (await readdir(WEIGHTS)).filter((file) => file.endsWith('.safetensors')).sort();
  const { train, val } = await openDataset(values.data);
  const networks = [];
  for (const file of files) networks.push(await networkIn(file, val ?? train, log));
  const times = await takeTurns(networks, { seconds });
  const rows = networks.map((network) => {
    const { net, run: _, ...facts } = network;
    net.close();
    const ms = times.get(network);
    return { ...facts, latencyMs: rounded(median(ms)), minMs: rounded(Math.min(...ms)), threads: 1, machine };
  });
  if (values.plot) {
    // Loaded now: it draws with what the bench installs for itself.
    const { cifarPlot } = await import('./cifar10/plot.mjs');
    await writeFile(values.plot, cifarPlot(rows));
    log(`wrote ${values.plot}`);
  }
  return rows;
}

/** A trained network in deploy form: what it gets right, what it takes, and one that is ready for a single picture. */
async function networkIn(file, dataset, log) {
  const checkpoint = await readCheckpoint(fileURLToPath(new URL(file, WEIGHTS)));
  const { model, entry } = identify(checkpoint);
  const preprocessing = preprocessingIn(checkpoint.metadata);
  const { size } = preprocessing;
  const input = [1, 3, size, size];
  const graph = deploy(trace(model, { input }));
  const parameters = [...new DeployedClassifier(model).namedParameters()].reduce(
    (sum, [, { data }]) => sum + data.length,
    0,
  );
  const top1 = await accuracyOf(model, preprocessing, dataset);
  log(`${file}: ${(100 * top1).toFixed(2)} %`);
  const net = await compile(model, { input, threads: 1, deploy: true });
  const image = namedInput('image', input).data;
  return {
    ...{ model: entry.name, family: familyOf(entry.name), size },
    ...{ top1: rounded(100 * top1, 2), pictures: dataset.length, macs: macsOf(graph), parameters },
    net,
    run: () => net.run({ image }),
  };
}

async function accuracyOf(model, preprocessing, dataset) {
  const { size } = preprocessing;
  const loader = await createLoader(dataset, { batchSize: EVALUATION_BATCH, preprocessing, mode: 'eval', workers: 1 });
  const net = await compile(model, { input: [EVALUATION_BATCH, 3, size, size], threads: 2, deploy: true });
  try {
    return (await evaluate(net, loader)).top1;
  } finally {
    net.close();
    await loader.close();
  }
}
