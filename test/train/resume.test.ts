import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/formats/safetensors.js';
import { uniformStream } from '../../src/nn/random.js';
import { run } from '../cli/run.js';
import { writeShapes } from '../support/shapes.js';

let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-resume-'));
  await writeShapes(at('shapes'), 9);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const SETTINGS = [
  ...['--epochs', '3', '--batch', '4', '--size', '32', '--threads', '2', '--workers', '1'],
  // Every kind of state that there is: mixing, dropout, moments, averages.
  ...['width=0.15', 'mixing={"mixup":0.2,"cutmix":1}', 'optimizer={"kind":"adamw","lr":0.002}'].flatMap((s) => [
    '--set',
    s,
  ]),
  ...['--set', 'saveEverySteps=1'],
];

const argsFor = (output: string) => ['train', at('shapes'), '-o', output, '--resume', ...SETTINGS];

/** Trains in this process until the end; resolves to how long it took. */
async function trainHere(output: string): Promise<number> {
  const began = performance.now();
  expect(await run(...argsFor(output))).toMatchObject({
    code: 0,
    err: expect.stringMatching(/^(\S+: there is no checkpoint yet; the training begins anew\n)?$/),
  });
  return performance.now() - began;
}

/** Trains in a process of its own, which is killed `after` milliseconds into its training; whether it was, and did not end before. */
function trainAndKill(output: string, after: number): Promise<boolean> {
  const command = ['--import', path('../support/typescript-process.mjs'), path('../../src/cli/main.ts')];
  const child = spawn(process.execPath, [...command, ...argsFor(output)], { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), after));
  child.stdout.resume();
  return new Promise((resolve) => {
    child.on('close', (_, signal) => resolve(signal === 'SIGKILL'));
  });
}

/** The tensors of a file as bytes, by name: what is written about where and when it ran does not count. */
function tensorsOf(file: string): Map<string, Buffer> {
  const { tensors } = readSafetensors(readFileSync(file));
  return new Map([...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer)]));
}

/** Kills a training at random moments, resumes it each time, and compares what comes out with one that was left alone. */
async function killAndCompare(name: string, kills: number, seed: number): Promise<void> {
  const alone = await trainHere(at(`${name}-alone`));
  const uniform = uniformStream(seed);
  const output = at(`${name}-killed`);
  let killed = 0;
  for (let i = 0; i < kills; i++) {
    // So that on the average a good part is left for the last one. The first comes at once: how fast the machine is just then must not decide
    // whether any comes in time.
    if (await trainAndKill(output, i === 0 ? 0 : (uniform() * 1.5 * alone) / kills)) killed++;
    for (const file of await readdir(output)) {
      // A file under its own name is whole at every moment.
      if (/^[^.].*\.safetensors$/.test(file)) expect(tensorsOf(join(output, file)).size).toBeGreaterThan(100);
    }
  }
  expect(killed).toBeGreaterThan(0);
  await trainHere(output);
  expect((await readdir(output)).sort()).toEqual(
    ['best.safetensors', 'last.safetensors', 'metrics.jsonl', 'model.safetensors', 'report.html'].sort(),
  );
  for (const file of ['last.safetensors', 'model.safetensors']) {
    const expected = tensorsOf(join(at(`${name}-alone`), file));
    const actual = tensorsOf(join(output, file));
    expect([...actual.keys()]).toEqual([...expected.keys()]);
    const different = [...expected].filter(([key, bytes]) => !actual.get(key)?.equals(bytes)).map(([key]) => key);
    expect(different).toEqual([]);
  }
  const losses = (run: string) =>
    readFileSync(join(at(run), 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => {
        const { trainLoss, valLoss, emaLoss } = JSON.parse(line);
        return [trainLoss, valLoss, emaLoss];
      });
  expect(losses(`${name}-killed`)).toEqual(losses(`${name}-alone`));
}

describe('a training that is killed', () => {
  it('ends with the same weights, bit for bit', () => killAndCompare('few', 2, 5), 60_000);

  // Ten kills start ten processes, which takes from half a minute to two, so they only run when GHOSTKIT_SLOW_TESTS is set.
  it.runIf(process.env.GHOSTKIT_SLOW_TESTS)(
    'ends with the same weights after ten kills',
    () => killAndCompare('many', 10, 6),
    300_000,
  );
});
