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
import { compareOutput, Worst } from './parity/compare.mjs';
import { networkOf } from './parity/network.mjs';

const FACTORIES = { ghostnet, repghostnet };

/** The kinds of golden files: the first whose `is` holds runs the file. */
const KINDS = [
  { is: (golden) => networkOf(golden) !== undefined && golden.outputs !== undefined, run: classification },
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

  const bound = 1e-4;
  const worst = new Worst(bound);
  const forms = {};
  for (const form of ['training', 'deploy']) {
    const net = await compile(model, { input: input.shape, deploy: form === 'deploy', features: true });
    try {
      const results = net.run({ image });
      const before = worst.compared;
      for (const [name, expected] of Object.entries(outputs)) {
        const which = nameIn(form, name);
        if (which !== undefined) compareOutput(worst, `${form} ${name}`, expected, results[which]);
      }
      forms[form] = { compared: worst.compared - before };
    } finally {
      net.close();
    }
  }
  for (const [form, { compared }] of Object.entries(forms)) {
    if (compared === 0) throw new Error(`no output to compare in ${form} form`);
  }

  const graph = trace(model, { input: input.shape });
  const training = graphStats(graph);
  Object.assign(forms.training, training);
  Object.assign(forms.deploy, graphStats(deploy(graph)));
  const counts = [
    ['macs', golden.macs, training.macs],
    ['parameters', golden.parameters, training.parameters],
    ['deploy.macs', golden.deploy?.macs, forms.deploy.macs],
    // The original's deploy form keeps the batch norms of its primary convolutions; ghostkit folds those too.
    [
      'deploy.parameters',
      golden.deploy?.parameters,
      (convertible(options) ? create({ reparam: 'merged' }) : model).parameterCount(),
    ],
  ];
  for (const [name, expected, got] of counts) {
    if (expected !== undefined && expected !== got) worst.problems.push(`${name}: ${got}, expected ${expected}`);
  }
  return { ...worst.verdict(), macs: training.macs, parameters: training.parameters, forms };
}

/** Whether the original's conversion changes this network: without branches it leaves everything as it is. */
function convertible({ reparam = 'bn' }) {
  return reparam !== 'none';
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
    return await kind.run(golden);
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('usage: npm run parity -- FILE...');
  process.exitCode = 1;
}
for (const file of files) {
  const result = await parity(file);
  console.log(JSON.stringify({ file, ...result }));
  if (!result.ok) process.exitCode = 1;
}
