import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensorsHeader } from '../../src/formats/safetensors.js';
import { encoder, pattern } from '../support/pictures.js';
import { SHAPES, writeShapes } from '../support/shapes.js';
import { failure, run, writeCheckpoint } from './run.js';

let folder: string;
let weights: string;
let model: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-compiled-'));
  weights = await writeCheckpoint(at('weights.safetensors'), 'repghostnet_100', { classes: 3 });
  await writeFile(at('labels.txt'), SHAPES.join('\n'));
  await encoder(pattern(90, 70)).png().toFile(at('a.png'));
  await encoder(pattern(70, 90)).png().toFile(at('b.png'));
  await writeShapes(at('shapes'), 2);
  model = at('model.ghost.safetensors');
  const { code, out, err } = await run('convert', weights, model, '--size', '64', '--labels', at('labels.txt'));
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/model\.ghost\.safetensors: repghostnet at width 0\.3, compiled for 64 x 64 pixels, \d.* MB\n$/);
});
afterAll(() => rm(folder, { recursive: true }));

interface Answer {
  predictions: { top: { class: number; label: string; probability: number }[] }[];
}

async function predict(path: string, ...options: string[]): Promise<Answer> {
  const { code, out } = await run('predict', '--json', '--weights', path, at('a.png'), at('b.png'), ...options);
  expect(code).toBe(0);
  return JSON.parse(out);
}

function expectSame(got: Answer, wanted: Answer, digits: number): void {
  for (const [i, { top }] of wanted.predictions.entries()) {
    expect(got.predictions[i].top.map(({ label }) => label)).toEqual(top.map((guess) => SHAPES[guess.class]));
    for (const [k, { probability }] of top.entries())
      expect(got.predictions[i].top[k].probability).toBeCloseTo(probability, digits);
  }
}

describe('a compiled model', () => {
  it('predicts what its weights do, on any number of threads', async () => {
    const wanted = await predict(weights, '--size', '64');
    expectSame(await predict(model), wanted, 6);
    expectSame(await predict(model, '--threads', '3'), wanted, 6);
  });

  it('is not called another network, and takes nothing to calibrate on in float', async () => {
    expect(await failure(1, 'predict', '--weights', model, 'ghostnet_100', at('a.png'))).toMatch(
      /a compiled model says what its network is; leave ghostnet_100 out$/,
    );
    const output = at('float.ghost.safetensors');
    expect(await failure(2, 'convert', weights, output, '--calibrate', at('shapes'))).toBe('--calibrate is for --int8');
  });

  it('prepares pictures as it is told', async () => {
    const other = at('other.ghost.safetensors');
    await run('convert', weights, other, '--size', '64', '--mean', '0.5,0.5,0.5', '--std', '0.25,0.25,0.25');
    const { metadata } = JSON.parse((await run('info', other, '--json')).out);
    expect(JSON.parse(metadata['ghostkit.preprocessing'])).toMatchObject({
      mean: [0.5, 0.5, 0.5],
      std: [0.25, 0.25, 0.25],
    });
  });

  it('takes half the space with --half, and predicts nearly the same', async () => {
    const half = at('half.ghost.safetensors');
    const { out } = await run(
      'convert',
      weights,
      half,
      '--size',
      '64',
      '--labels',
      at('labels.txt'),
      '--half',
      '--json',
    );
    expect(JSON.parse(out)).toMatchObject({ compiled: true, floats: 'float16', input: [1, 3, 64, 64], threads: 4 });
    const [small, large] = await Promise.all([half, model].map(async (path) => (await readFile(path)).length));
    expect(small / large).toBeLessThan(0.55);
    const { entries } = readSafetensorsHeader(await readFile(half));
    expect(entries.map(({ name, stored }) => `${name} ${stored}`)).toEqual(['program I32', 'weights.0 F16']);
    expectSame(await predict(half), await predict(weights, '--size', '64'), 2);
  });

  it('is quantised with --int8, and predicts nearly the same', async () => {
    const int8 = at('int8.ghost.safetensors');
    const convert = ['convert', weights, int8, '--size', '64', '--labels', at('labels.txt'), '--int8'];
    const { out, err } = await run(...convert, '--calibrate', at('shapes'));
    expect(err).toBe('');
    expect(out).toMatch(/compiled for 64 x 64 pixels, \d+ layers in 8 bits( but for \d+)?, \d.* (kB|MB)\n$/);
    const info = JSON.parse((await run('info', int8, '--json')).out);
    expect(info.weights.I8).toBeGreaterThan(info.weights.F32);
    const [got, wanted] = [await predict(int8), await predict(weights, '--size', '64')];
    for (const [i, { top }] of wanted.predictions.entries()) {
      for (const { class: number, probability } of top) {
        const guess = got.predictions[i].top.find((each) => each.class === number);
        expect(Math.abs((guess?.probability ?? 0) - probability)).toBeLessThan(0.1);
      }
    }
    expect(await failure(2, ...convert)).toBe('--int8 needs pictures to calibrate on: --calibrate FOLDER');
    await mkdir(at('empty'), { recursive: true });
    expect(await failure(1, ...convert, '--calibrate', at('empty'))).toBe(
      `${at('empty')}: there is no picture for calibration that can be read`,
    );
    expect(await failure(2, 'convert', weights, at('plain.safetensors'), '--int8')).toMatch(
      /^--int8 and --calibrate are/,
    );
  });

  it('is evaluated as its weights are', async () => {
    const evaluate = async (path: string, ...options: string[]) => {
      const { code, out } = await run('eval', at('shapes'), '--weights', path, '--json', ...options);
      expect(code).toBe(0);
      return JSON.parse(out);
    };
    const [got, wanted] = [await evaluate(model), await evaluate(weights, '--size', '64')];
    expect(got).toMatchObject({ pictures: 6, top1: wanted.top1, form: 'deploy', preprocessing: { size: 64 } });
    expect(got.loss).toBeCloseTo(wanted.loss, 5);
  });

  it('tells what it is', async () => {
    const { out } = await run('info', model);
    expect(out).toContain('compiled model');
    expect(out).toContain('image [1,3,64,64]');
    expect(out).toContain('at most 4 threads');
    const info = JSON.parse((await run('info', model, '--json')).out);
    expect(info).toMatchObject({ format: 'compiled', model: 'repghostnet_100', inputs: { image: [1, 3, 64, 64] } });
    expect(info.weights.F32).toBe(info.memory.weights);
    expect(info.metadata['ghostkit.version']).toMatch(/^\d+\.\d+\.\d+$/);
    expect(JSON.parse(info.metadata['ghostkit.preprocessing'])).toMatchObject({ size: 64, interpolation: 'bicubic' });
  });

  it('says in one line what it cannot', async () => {
    const picture = at('a.png');
    expect(await failure(1, 'predict', '--weights', model, picture, '--size', '96')).toBe(
      `${model}: this compiled model takes pictures of 64 pixels; convert again for others`,
    );
    expect(await failure(1, 'convert', model, at('back.safetensors'))).toMatch(
      /: this is a compiled model, which predict,/,
    );
    expect(await failure(1, 'eval', at('shapes'), '--weights', model, '--form', 'training')).toMatch(/no way back$/);
    expect(await failure(2, 'convert', weights, at('plain.safetensors'), '--size', '64')).toMatch(
      /^--size and --threads are for compiled models/,
    );
    expect(await failure(1, 'convert', weights, at('many.ghost.safetensors'), '--threads', '65')).toMatch(
      /^threads: a number/,
    );
    const bytes = await readFile(model);
    const cut = at('cut.ghost.safetensors');
    await writeFile(cut, bytes.subarray(0, bytes.length - 5));
    expect(await failure(1, 'predict', '--weights', cut, picture)).toBe(
      `${cut}: this compiled model is cut off: ${bytes.length - 5} of ${bytes.length} bytes`,
    );
    bytes[bytes.length - 900] ^= 4;
    await writeFile(cut, bytes);
    expect(await failure(1, 'predict', '--weights', cut, picture)).toMatch(/does not have its checksum; get it again$/);
  });
});
