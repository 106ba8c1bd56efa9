import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.js';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { createModel, listModels } from '../../src/models/registry.js';
import { float32 } from '../../src/tensor/tensor.js';
import { encoder, pattern } from '../support/pictures.js';
import { failure, run, writeCheckpoint } from './run.js';

let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-convert-'));
  await encoder(pattern(80, 60)).png().toFile(at('picture.png'));
  await writeFile(at('labels.txt'), Array.from({ length: 10 }, (_, i) => `thing ${i}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true }));

async function probabilities(weights: string): Promise<Record<number, number>> {
  const { out } = await run(
    'predict',
    '--json',
    '--weights',
    weights,
    at('picture.png'),
    '--size',
    '64',
    '--top',
    '10',
  );
  const [{ top }] = JSON.parse(out).predictions as { top: { class: number; probability: number }[] }[];
  return Object.fromEntries(top.map(({ class: i, probability }) => [i, probability]));
}

async function expectSame(a: string, b: string, digits: number): Promise<void> {
  const [x, y] = [await probabilities(a), await probabilities(b)];
  for (const i of Object.keys(x)) expect(y[Number(i)]).toBeCloseTo(x[Number(i)], digits);
}

async function info(path: string) {
  const { code, out } = await run('info', '--json', path);
  expect(code).toBe(0);
  return JSON.parse(out);
}

describe('convert', () => {
  it.each([
    ['ghostnet_100', {}],
    ['repghostnet_100', {}],
    ['repghostnet_100', { reparam: 'merged' }],
    ['mobilenetv3_small_100', { width: 0.5 }],
  ] as const)('writes the deploy form of %s %j, which predicts the same', async (name, options) => {
    const original = await writeCheckpoint(at('original.safetensors'), name, options);
    const deployed = at('deployed.safetensors');
    const { code, out, err } = await run('convert', original, deployed, '--deploy');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('deploy form');
    const { tensors } = readSafetensors(await readFile(deployed));
    expect([...tensors.keys()].filter((key) => key.includes('running_mean'))).toEqual([]);
    expect((await info(deployed)).model).toMatchObject({ name, form: 'deploy', classes: 10 });
    await expectSame(original, deployed, 5);
    // Once more changes nothing.
    await run('convert', deployed, at('again.safetensors'), '--deploy');
    expect(readSafetensors(await readFile(at('again.safetensors'))).tensors).toEqual(tensors);
  });

  it('keeps with --half what 16 bits have no room for', async () => {
    const values = { small: [1, 2, 3], large: [1, 1e5, -3] };
    const state = new Map(Object.entries(values).map(([name, list]) => [name, float32([3], Float32Array.from(list))]));
    await writeFile(at('wide.safetensors'), writeSafetensors(state));
    const { out } = await run('convert', at('wide.safetensors'), at('narrow.safetensors'), '--half');
    expect(out).toContain('2 tensors (1 in 32 bits, for which 16 have no room)');
    const { tensors, storedTypes } = readSafetensors(await readFile(at('narrow.safetensors')));
    for (const [name, list] of Object.entries(values)) expect([...(tensors.get(name)?.data ?? [])]).toEqual(list);
    expect([...storedTypes].sort()).toEqual(['F16', 'F32']);
  });

  it('tells of a folder that is not there, and of too many threads, before anything is read', async () => {
    const nowhere = at('nowhere/model.ghost.safetensors');
    expect(await failure(1, 'convert', at('none.safetensors'), nowhere, '--int8')).toContain('nowhere');
    expect(await failure(1, 'convert', at('none.safetensors'), at('x.ghost.safetensors'), '--threads', '65')).toContain(
      'threads: a number from 1 to 64',
    );
  });

  it('halves the size with --half', async () => {
    const original = await writeCheckpoint(at('original.safetensors'), 'ghostnet_100');
    const { out } = await run('convert', '--json', original, at('half.safetensors'), '--half');
    const result = JSON.parse(out);
    expect(result).toMatchObject({ floats: 'float16', model: { name: 'ghostnet_100', width: 0.3, form: 'training' } });
    expect((await info(at('half.safetensors'))).dtypes).toEqual({ F16: result.tensors });
    expect(result.bytes).toBeLessThan((await readFile(original)).length * 0.55);
    await expectSame(original, at('half.safetensors'), 1);
  });

  it('puts labels in, and predict uses them', async () => {
    const original = await writeCheckpoint(at('original.safetensors'), 'ghostnet_100');
    await run('convert', original, at('labelled.safetensors'), '--deploy', '--labels', at('labels.txt'));
    const { out } = await run('predict', '--weights', at('labelled.safetensors'), at('picture.png'), '--size', '64');
    expect(out).toMatch(/^( *\d+\.\d % {2}thing \d\n){5}$/);
  });

  it('copies the weights of a network that it does not know', async () => {
    const tensors = new Map([['a.weight', float32([2, 2], [1, 2, 3, 4])]]);
    await writeFile(at('other.safetensors'), writeSafetensors(tensors));
    const { code, out } = await run('convert', at('other.safetensors'), at('copy.safetensors'));
    expect(code).toBe(0);
    expect(out).toContain('not a known network');
    expect(readSafetensors(await readFile(at('copy.safetensors'))).tensors).toEqual(tensors);
    expect(await failure(1, 'convert', at('other.safetensors'), at('copy.safetensors'), '--deploy')).toContain(
      'not the weights of a known network',
    );
    expect(await failure(1, 'predict', '--weights', at('other.safetensors'), at('picture.png'))).toContain(
      'not the weights of a network that ghostkit knows',
    );
  });

  it('does not put what it makes in the place of what it is made from', async () => {
    const original = await writeCheckpoint(at('once.safetensors'), 'repghostnet_050');
    const before = await readFile(original);
    await symlink('once.safetensors', at('link.safetensors'));
    const names = [original, `${folder}/./once.safetensors`, at('link.safetensors'), relative('.', original)];
    for (const name of names) {
      const message = `${name}: the output would take the place of a file that it is made from; give it another name`;
      expect(await failure(2, 'convert', original, name, '--half', '--deploy')).toBe(message);
    }
    expect(await failure(2, 'convert', at('link.safetensors'), original)).toContain('would take the place');
    expect(await readFile(original)).toEqual(before);
  });

  it('leaves nothing behind when it fails', async () => {
    const original = await writeCheckpoint(at('original.safetensors'), 'ghostnet_100');
    const before = await readdir(folder);
    expect(await failure(1, 'convert', original, at('none/out.safetensors'))).toContain('does not exist');
    expect(await failure(2, 'convert', original, at('out.bin'))).toContain('must end in .safetensors');
    expect(await failure(1, 'convert', original, at('out.safetensors'), '--model', 'ghostnet_050')).toContain(
      'these are the weights of ghostnet at width 0.3',
    );
    expect(await failure(1, 'convert', at('none.pth'), at('out.safetensors'))).toContain('there is no such file');
    expect(await readdir(folder)).toEqual(before);
  });

  it.each([
    ['options', '{"width":1e9}', 'the metadata ghostkit.options is not valid'],
    ['options', '{"classes":9}', 'the metadata ghostkit.options is not valid'],
    ['labels', '[1]', 'the metadata ghostkit.labels is not a JSON list of names'],
    ['labels', '["cat"]', 'its metadata has 1 labels for 10 classes'],
  ])('does not believe metadata: %s %s', async (key, value, message) => {
    const model = assignNamedWeights(createModel('ghostnet_050', { classes: 10 }));
    const metadata = { 'ghostkit.model': 'ghostnet_050', [`ghostkit.${key}`]: value };
    await writeFile(at('lies.safetensors'), writeSafetensors(model.state(), { metadata }));
    expect(await failure(1, 'predict', '--weights', at('lies.safetensors'), at('picture.png'))).toContain(message);
  });
});

describe('info', () => {
  it('tells what a checkpoint holds', async () => {
    const path = await writeCheckpoint(at('w.safetensors'), 'ghostnet_100', { width: 1 });
    const { code, out } = await run('info', path);
    expect(code).toBe(0);
    expect(out).toMatch(/^model +ghostnet_100, training form, 10 classes$/m);
    expect(out).toMatch(/^tensors +432 \(432 F32\)/m);
  });

  it('tells what a network is made of', async () => {
    const { out } = await run('info', '--json', 'repghostnet_0_5x');
    const { name, training, stages } = JSON.parse(out);
    expect(name).toBe('repghostnet_050');
    expect(training).toEqual({ parameters: 2313968, macs: 43314720 });
    const sum = (of: 'parameters' | 'macs') =>
      stages.reduce((a: number, stage: Record<string, number>) => a + stage[of], 0);
    expect({ parameters: sum('parameters'), macs: sum('macs') }).toEqual(training);
    expect((await run('info', 'repghostnet_050')).out).toMatch(/^blocks\.9 +480 x 7 x 7/m);
  });

  it('knows a file from a name', async () => {
    expect(await failure(1, 'info', at('none.pth'))).toContain('there is no such file');
    expect(await failure(1, 'info', 'gostnet_100')).toBe('unknown model gostnet_100; did you mean ghostnet_100?');
    await writeFile(at('text.pth'), 'no checkpoint');
    expect(await failure(1, 'info', at('text.pth'))).toContain('neither safetensors nor a PyTorch checkpoint');
  });
});

describe('models and bench', () => {
  it('lists every model, in 80 columns', async () => {
    const { out } = await run('models');
    const lines = out.split('\n');
    for (const { name } of listModels()) expect(lines.some((line) => line.startsWith(`${name} `))).toBe(true);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    const models = JSON.parse((await run('models', '--json')).out) as { name: string; training: unknown }[];
    expect(models).toHaveLength(listModels().length);
    expect(models.find(({ name }) => name === 'repghostnet_050')?.training).toEqual({
      parameters: 2313968,
      macs: 43314720,
    });
  });

  it('measures a model', async () => {
    const args = ['bench', 'ghostnet_050', '--size', '64', '--runs', '3', '--profile'];
    const { out } = await run(...args, '--json');
    expect(JSON.parse(out)).toMatchObject({ model: 'ghostnet_050', form: 'deploy', input: [1, 3, 64, 64], runs: 3 });
    expect((await run(...args, '--form', 'training')).out).toMatch(/^conv2d.* ms +\d+\.\d %$/m);
    expect(await failure(2, 'bench', 'ghostnet_050', '--form', 'fast')).toContain(
      'Allowed choices are deploy, training',
    );
  });
});
