import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readSafetensors } from '../../dist/formats/safetensors.js';
import { input } from '../../dist/graph/leaves.js';
import { namedInput } from '../../dist/models/named-weights.js';
import { compileGraph } from '../../dist/nn/compile.js';
import { averagePool } from '../../dist/ops/index.js';

/**
 * The inputs that a golden file describes, by their names. One is either `{name, shape, then}`, where `then` says what becomes of the
 * values ("the same" repeats the last), or `FILE:KEY`, a tensor of a safetensors file in the golden file's folder.
 *
 * @param {Record<string, any>} described
 * @param {string} file the golden file
 */
export async function goldenInputs(described, file) {
  const inputs = {};
  let then;
  for (const [name, what] of Object.entries(described)) {
    if (typeof what === 'string') {
      inputs[name] = tensorIn(what, dirname(file));
      continue;
    }
    if (typeof what?.name !== 'string' || !Array.isArray(what.shape)) {
      throw new Error(`input ${name} needs a name and a shape`);
    }
    then = what.then === 'the same' ? then : what.then;
    inputs[name] = await following(namedInput(what.name, what.shape), then);
  }
  return inputs;
}

/** The tensor behind `FILE:KEY`. */
function tensorIn(reference, folder) {
  const [, name, key] = /^([^/\\]+\.safetensors):(.+)$/.exec(reference) ?? [];
  if (!name) throw new Error(`input ${JSON.stringify(reference)} is not FILE.safetensors:KEY`);
  const tensor = readSafetensors(readFileSync(join(folder, name))).tensors.get(key);
  if (!tensor) throw new Error(`${name} has no ${key}`);
  return tensor;
}

const NUMBER = String.raw`(-?\d+(?:\.\d+)?)`;

/** The steps that a description may have, in its order; each returns what its text makes of a tensor. */
const STEPS = [
  [
    /^average pooling (\d+)x\1,? \(?stride (\d+), zero padding (\d+) (?:counted|\(padding counted\))\)?/,
    async (x, kernel, stride, padding) => {
      const value = input('x', x.shape);
      const outputs = { y: averagePool(value, +kernel, { stride: +stride, padding: +padding }) };
      const net = await compileGraph({ inputs: { x: value }, outputs });
      try {
        return net.run({ x }).y;
      } finally {
        net.close();
      }
    },
  ],
  [new RegExp(`^times ${NUMBER}`), async (x, factor) => ({ ...x, data: x.data.map((v) => v * +factor) })],
  [
    new RegExp(String.raw`^clamped to \[${NUMBER},\s*${NUMBER}\]`),
    async (x, low, high) => ({ ...x, data: x.data.map((v) => Math.min(Math.max(v, +low), +high)) }),
  ],
];

async function following(tensor, then = '') {
  let result = tensor;
  for (let rest = then; rest !== ''; ) {
    const step = STEPS.find(([pattern]) => pattern.test(rest));
    if (!step) throw new Error(`then: ${JSON.stringify(rest)} is not known`);
    const [text, ...numbers] = step[0].exec(rest);
    result = await step[1](result, ...numbers);
    rest = rest.slice(text.length).replace(/^[\s,]+/, '');
  }
  return result;
}
