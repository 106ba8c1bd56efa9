import { writeFile } from 'node:fs/promises';
import { runCli } from '../../src/cli/program.js';
import { writeSafetensors } from '../../src/formats/safetensors.js';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { createModel, type ModelOptions } from '../../src/models/registry.js';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process. */
export async function run(...args: string[]): Promise<Ran> {
  let out = '';
  let err = '';
  const code = await runCli(args, {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
  });
  return { code, out, err };
}

/** What a command says when it fails: one line, and nothing on the standard output. */
export async function failure(code: number, ...args: string[]): Promise<string> {
  const ran = await run(...args);
  const lines = ran.err.split('\n');
  if (ran.code !== code || ran.out !== '' || lines.length !== 2 || !lines[0].startsWith('error: ')) {
    throw new Error(`expected one line and exit code ${code} of ${args.join(' ')}, got ${JSON.stringify(ran)}`);
  }
  return lines[0].slice('error: '.length);
}

/** Writes a checkpoint of a small network with weights from their names, and returns its path. */
export async function writeCheckpoint(path: string, name: string, options: ModelOptions = {}): Promise<string> {
  const model = assignNamedWeights(createModel(name, { width: 0.3, classes: 10, ...options }));
  await writeFile(path, writeSafetensors(model.state()));
  return path;
}

/** Like {@link writeCheckpoint}, with `value` for the bias of the first class. */
export async function writeBroken(
  path: string,
  name: string,
  value: number,
  options: ModelOptions = {},
): Promise<string> {
  const model = assignNamedWeights(createModel(name, { width: 0.3, classes: 10, ...options }));
  const state = model.state();
  const bias = state.get('classifier.bias');
  if (!bias) throw new Error(`${name} has no bias in its classifier`);
  bias.data[0] = value;
  await writeFile(path, writeSafetensors(state));
  return path;
}
