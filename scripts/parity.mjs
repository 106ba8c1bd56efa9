// Compares ghostkit with what an original implementation printed, one golden file after another:
//   npm run parity -- FILE...
// One JSON line for each file, `{"file", "maxError", "bound", "ok"}`; exit code 1 if any is not ok. A golden file holds no
// weights: they and the input follow from their names (src/models/named-weights.ts).
import { readFileSync } from 'node:fs';
import { deploy } from '../dist/graph/passes/deploy.js';
import { ghostnet } from '../dist/models/ghostnet.js';
import { assignNamedWeights, namedInput } from '../dist/models/named-weights.js';
import { repghostnet } from '../dist/models/repghostnet.js';
import { graphStats } from '../dist/models/stats.js';
import { compile } from '../dist/nn/compile.js';
import { trace } from '../dist/nn/trace.js';
import { alignerKinds } from './parity/aligner.mjs';
import { blender, isBlender, isPseudoBackground, pseudo } from './parity/blender.mjs';
import { compareOutput, Worst } from './parity/compare.mjs';
import { crops, isCrops } from './parity/crops.mjs';
import { networkOf } from './parity/network.mjs';
import { isTraining, training } from './parity/training.mjs';

/** How far an element may be off, relative to the largest of its output (or to 1). */
const BOUND = 1e-4;

const FACTORIES = { ghostnet, repghostnet };

/** The kinds of golden files: the first whose `is` holds runs the file. */
const KINDS = [
  { is: isTraining, run: training },
  { is: (golden) => networkOf(golden) !== undefined && golden.outputs !== undefined, run: classification },
  { is: isCrops, run: crops },
  { is: isBlender, run: blender },
  { is: isPseudoBackground, run: pseudo },
  ...alignerKinds,
];

/** A classifier in evaluation mode: every output in training form and in deploy form, its size and its cost. */
async function classification(golden) {
  const { input, outputs, mode = 'eval' } = golden;
  if (mode !== 'eval')
    throw new Error(`mode ${JSON.stringify(mode)} is not known; a classifier is compared in eval mode`);
  if (typeof input?.name !== 'string' || !isImageShape(input.shape)) {
    throw new Error('input needs a name and a shape [N,C,H,W]');
  }
  if (input.then !== undefined) throw new Error(`input.then ${JSON.stringify(input.then)} is not known`);
  const { family, options } = networkOf(golden);
  const create = (more) => FACTORIES[family]({ inChannels: input.shape[1], ...options, ...more });
  const model = assignNamedWeights(create());
  const image = namedInput(input.name, input.shape).data;

  const worst = new Worst(BOUND);
  for (const form of ['training', 'deploy']) {
    const net = await compile(model, { input: input.shape, deploy: form === 'deploy', features: true });
    try {
      const results = net.run({ image });
      for (const [name, expected] of Object.entries(outputs)) {
        const which = nameIn(form, name);
        if (which !== undefined) compareOutput(worst, `${form} ${name}`, expected, results[which]);
      }
    } finally {
      net.close();
    }
  }
  if (worst.compared === 0) throw new Error('no output to compare');

  const training = trace(model, { input: input.shape });
  const { macs, parameters } = graphStats(training);
  const deployed = graphStats(deploy(training));
  worst.need('macs', golden.macs, macs);
  worst.need('parameters', golden.parameters, parameters);
  worst.need('deploy.macs', golden.deploy?.macs, deployed.macs);
  // The original's deploy form keeps the batch norms of primary convolutions, which ghostkit folds; where there is no branch
  // to merge, it keeps everything.
  const converted = options.reparam && options.reparam !== 'none' ? create({ reparam: 'merged' }) : model;
  worst.need('deploy.parameters', golden.deploy?.parameters, converted.parameterCount());
  return { ...worst.verdict(), macs, parameters, deploy: deployed };
}

/** The name of a golden output among the network's in this form: `deployLogits` are the logits, of the deploy form only. */
function nameIn(form, name) {
  const deployed = /^deploy[._]?(.+)$/.exec(name)?.[1];
  if (deployed === undefined) return name;
  return form === 'deploy' ? deployed[0].toLowerCase() + deployed.slice(1) : undefined;
}

function isImageShape(shape) {
  return Array.isArray(shape) && shape.length === 4 && shape.every((d) => Number.isInteger(d) && d > 0);
}

async function parity(file) {
  try {
    const golden = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof golden !== 'object' || golden === null) throw new Error('not a JSON object');
    const kind = KINDS.find(({ is }) => is(golden));
    if (!kind) throw new Error(`unknown kind of golden file (model ${JSON.stringify(golden.model)})`);
    return await kind.run(golden, file);
  } catch (error) {
    return { maxError: null, bound: BOUND, ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

const files = process.argv.slice(2);
if (files.length === 0 || files.some((file) => file === '--help' || file === '-h')) {
  console.error('usage: npm run parity -- FILE...');
  process.exit(files.length === 0 ? 1 : 0);
}
for (const file of files) {
  const result = await parity(file);
  console.log(JSON.stringify({ file, ...result }));
  if (!result.ok) process.exitCode = 1;
}
