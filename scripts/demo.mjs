// What ghostkit is for, on a real photograph: GhostNet and RepGhostNet as they are trained and as they are shipped, side by
// side in one run. `npm run demo -- [picture] [--weights FILE] [--json]`; it runs what is built in dist/.
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { loadModel, preprocessingFor } from '../dist/classify/model-source.js';
import { median } from '../dist/cli/bench.js';
import { formatBytes, formatCount, formatMs, formatPercent, formatTable, styleFor } from '../dist/cli/output.js';
import { SHIPPED_WEIGHTS } from '../dist/hub/shipped.js';
import {
  assignNamedWeights,
  compileGraph,
  createModel,
  deploy,
  GhostkitError,
  graphStats,
  IMAGENET,
  loadImage,
  toTensor,
  trace,
} from '../dist/index.js';
import { titleOf } from '../dist/models/identify.js';

const USAGE = `usage: npm run demo -- [PICTURE] [--weights FILE] [--json]

What is on a picture, in training form and deploy form: as ghostkit's own weights or those of FILE say.
`;

const ROUNDS = 40;
const WARM_UP = 5;
const THREADS = [1, 2];
/** Both forms compute the same function; this is what rounding in another order may make of it. */
const TOLERANCE = 1e-5;

/** A photograph of a mandrill that is in the public domain. */
function samplePicture() {
  const uri = createRequire(import.meta.url)('baboon-image-uri');
  return Buffer.from(uri.slice(uri.indexOf(',') + 1), 'base64');
}

async function trained(weights) {
  const loaded = await loadModel(weights);
  const { model, form, labels } = loaded;
  if (form === 'deploy')
    throw new GhostkitError(`${weights}: the demo compares both forms, these weights have only one`);
  return { name: titleOf(loaded), model, labels, trained: true, preprocessing: preprocessingFor(loaded, {}) };
}

/** The network of the weights; without any, the one that ghostkit comes with and, for their times alone, the papers' larger ones. */
async function networks(weights) {
  if (weights) return [await trained(weights)];
  const untrained = ['ghostnet', 'repghostnet'].map((family) => ({
    name: `${family}_100`,
    model: assignNamedWeights(createModel(`${family}_100`)),
    trained: false,
    // Each as its paper's code evaluates.
    preprocessing: { ...IMAGENET, interpolation: family === 'ghostnet' ? 'bilinear' : 'bicubic' },
  }));
  return [await trained(SHIPPED_WEIGHTS), ...untrained];
}

async function prepare({ model, preprocessing, ...network }, image) {
  const input = toTensor(image, preprocessing);
  const training = trace(model, { input: input.shape });
  const forms = [];
  for (const [form, graph] of Object.entries({ training, deploy: deploy(training) })) {
    const nets = [];
    for (const threads of THREADS) nets.push(await compileGraph(graph, { deploy: false, threads }));
    forms.push({ ...network, form, input, nets, ...graphStats(graph), times: THREADS.map(() => []) });
  }
  return forms;
}

/** In turns, so that whatever else the machine does hits all alike. */
function measure(columns) {
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const { nets, input, times } of columns) {
      for (const [i, net] of nets.entries()) {
        const before = performance.now();
        net.run({ image: input });
        const ms = performance.now() - before;
        if (round >= 0) times[i].push(ms);
      }
    }
  }
}

function relativeDifference(a, b) {
  let scale = 0;
  let difference = 0;
  for (let i = 0; i < a.length; i++) {
    scale = Math.max(scale, Math.abs(a[i]));
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
  }
  return difference / scale;
}

function probabilities(logits) {
  const highest = Math.max(...logits);
  const powers = Array.from(logits, (v) => Math.exp(v - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

function summarize({ name, form, labels, trained, input, nets, parameters, macs, times }) {
  const { data: logits } = nets[0].run({ image: input }).logits;
  const shares = probabilities(logits);
  const best = shares.indexOf(Math.max(...shares));
  return {
    model: name,
    form,
    size: input.shape.at(-1),
    parameters,
    macs,
    ms: Object.fromEntries(THREADS.map((threads, i) => [threads, median(times[i])])),
    activations: nets[0].memory.activations,
    weights: nets[0].memory.weights,
    best: trained ? { class: best, label: labels?.[best], probability: shares[best] } : null,
    logits,
  };
}

/** The first of a class's names. */
const nameOf = ({ class: number, label }) => label?.split(',')[0] ?? `class ${number}`;

function show(results, { picture, weights, variant }) {
  const style = styleFor(process.stdout);
  const write = (text = '') => process.stdout.write(`${text}\n`);
  write(`${style('bold', 'Picture')}  ${picture}`);
  write(
    `${style('bold', 'Weights')}  ${weights ?? "the first network's come with ghostkit; the others have none and are here for their times"}`,
  );
  write(`${style('bold', 'Machine')}  ${cpus()[0].model.trim()}, kernels: ${variant}`);
  write();
  const rows = [
    ['network', ...results.map(({ model }, i) => (i % 2 ? '' : model))],
    ['form', ...results.map(({ form }) => form)],
    ['picture', ...results.map(({ size }) => `${size} px`)],
    ['parameters', ...results.map(({ parameters }) => formatCount(parameters))],
    ['multiply-accumulates', ...results.map(({ macs }) => formatCount(macs))],
    ...THREADS.map((n) => [`time, ${n} thread${n > 1 ? 's' : ''}`, ...results.map(({ ms }) => formatMs(ms[n]))]),
    ['memory, activations', ...results.map(({ activations }) => formatBytes(activations))],
    ['memory, weights', ...results.map(({ weights: bytes }) => formatBytes(bytes))],
    ['sees', ...results.map(({ best }) => (best ? nameOf(best) : ''))],
    ['its probability', ...results.map(({ best }) => (best ? formatPercent(best.probability) : ''))],
    ['difference of forms', ...results.map(({ difference }) => difference?.toExponential(1) ?? '')],
  ];
  const columns = rows[0].map((_, i) => ({ title: '', align: i ? 'right' : 'left' }));
  write(
    formatTable(
      columns,
      rows.map(([title, ...cells]) => [style('dim', title), ...cells]),
    ),
  );
  write(`Times are medians of ${ROUNDS} runs in turns. The difference of the forms is the`);
  write('largest of all logits, over the largest logit.');
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { weights: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return process.stdout.write(USAGE);
  const image = await loadImage(positionals[0] ?? samplePicture());
  const columns = (
    await Promise.all((await networks(values.weights)).map((network) => prepare(network, image)))
  ).flat();
  measure(columns);
  const results = columns.map(summarize);
  for (const [i, result] of results.entries()) {
    if (i % 2) result.difference = relativeDifference(results[i - 1].logits, result.logits);
  }
  const { variant } = columns[0].nets[0];
  for (const { nets } of columns) for (const net of nets) net.close();
  const size = `${image.width} x ${image.height}`;
  const picture = `${positionals[0] ?? 'a mandrill, in the public domain'}, ${size}`;
  if (values.json) {
    const rows = results.map(({ logits: _, ...result }) => result);
    console.log(
      JSON.stringify({ picture, weights: values.weights ?? SHIPPED_WEIGHTS, kernels: variant, results: rows }, null, 2),
    );
  } else {
    show(results, { picture, weights: values.weights, variant });
  }
  const worst = Math.max(...results.map(({ difference = 0 }) => difference));
  if (!(worst <= TOLERANCE)) {
    throw new GhostkitError(`the forms differ by ${worst.toExponential(1)}, more than ${TOLERANCE}`);
  }
}

try {
  await main();
} catch (error) {
  process.exitCode = 1;
  console.error(
    error instanceof GhostkitError || error?.code?.startsWith('ERR_PARSE_ARGS') ? `error: ${error.message}` : error,
  );
}
