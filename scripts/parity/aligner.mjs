import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readSafetensors } from '../../dist/formats/safetensors.js';
import { Aligner, alignerGraph, discriminatorGraph } from '../../dist/models/ghost2/aligner.js';
import { Discriminator } from '../../dist/models/ghost2/discriminator.js';
import { assignNamedWeights } from '../../dist/models/named-weights.js';
import { compileGraph } from '../../dist/nn/compile.js';
import { compareOutput, Worst } from './compare.mjs';
import { goldenInputs } from './inputs.mjs';

/** How far embeddings, scores and features may be off, relative to the largest of their output (or to 1), and pictures. */
const BOUND = 1e-3;
const PICTURE_BOUND = 5e-4;
const PICTURES = ['fake_rgbs', 'fake_segm'];

/** The vectors of spectral norm: they do not follow from their names. */
const VECTORS = 'aligner-spectral-norm.safetensors';

export const alignerKinds = [
  { is: (golden) => golden.inputs?.['source.face_wide'] !== undefined && golden.outputs !== undefined, run: aligner },
  { is: (golden) => golden.inputs?.x !== undefined && golden.outputs?.score !== undefined, run: discriminator },
];

async function aligner({ inputs, outputs, parameters = {} }, file) {
  const model = withVectors(assignNamedWeights(new Aligner()), file, '');
  const given = withoutViews(inputs);
  const shapes = Object.fromEntries(Object.entries(given).map(([name, { shape }]) => [name, shape]));
  const result = await compare(alignerGraph(model, shapes), await goldenInputs(given, file), outputs);
  const { por_encoder, id_encoder, pose_encoder } = model.embedder;
  return withCounts(result, parameters, { por_encoder, id_encoder, pose_encoder, gen: model.gen });
}

async function discriminator({ inputs, outputs, parameters = {} }, file) {
  const model = withVectors(assignNamedWeights(new Discriminator(), 'disc.'), file, 'disc.');
  const result = await compare(discriminatorGraph(model, inputs.x.shape), await goldenInputs(inputs, file), outputs);
  return withCounts(result, typeof parameters === 'number' ? { disc: parameters } : parameters, { disc: model });
}

/** Pictures `[N, views, C, H, W]` as the same ones without a dimension for views. */
function withoutViews(inputs) {
  const flat = (shape) => (shape?.length === 5 ? [shape[0] * shape[1], ...shape.slice(2)] : shape);
  return Object.fromEntries(Object.entries(inputs).map(([name, what]) => [name, { ...what, shape: flat(what.shape) }]));
}

function withVectors(model, file, prefix) {
  const path = join(dirname(file), VECTORS);
  if (!existsSync(path)) throw new Error(`${path} is missing: the vectors of spectral norm stand there`);
  const { tensors } = readSafetensors(readFileSync(path));
  model.assign(new Map([...tensors].map(([key, tensor]) => [key.slice(prefix.length), tensor])));
  return model;
}

async function compare(graph, inputs, outputs) {
  const net = await compileGraph(graph, { threads: 2 });
  try {
    const results = net.run(inputs);
    const worst = { values: new Worst(BOUND), pictures: new Worst(PICTURE_BOUND) };
    for (const [name, expected] of Object.entries(outputs)) {
      compareOutput(PICTURES.includes(name) ? worst.pictures : worst.values, name, expected, results[name]);
    }
    if (worst.values.compared + worst.pictures.compared === 0) throw new Error('no output to compare');
    return worst;
  } finally {
    net.close();
  }
}

/** Both verdicts as one: the numbers are those of the output that is nearest to its bound. */
function withCounts(worst, expected, networks) {
  for (const [name, network] of Object.entries(networks)) {
    worst.values.need(`parameters.${name}`, expected[name], network.parameterCount());
  }
  const verdicts = Object.values(worst).map((w) => w.verdict());
  const share = ({ maxError, bound }) => (maxError === null ? Number.POSITIVE_INFINITY : maxError / bound);
  const [first] = verdicts.toSorted((a, b) => share(b) - share(a));
  const errors = verdicts.flatMap(({ error }) => error ?? []);
  const ok = errors.length === 0;
  return { ...first, ok, ...(ok ? {} : { error: errors.join('; ') }) };
}
