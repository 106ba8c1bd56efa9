import { link, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCalibration } from '../../src/cli/calibration.js';
import { IMAGENET } from '../../src/data/transform.js';
import { createModel } from '../../src/models/registry.js';
import { encoder, pattern } from '../support/pictures.js';
import { makeLinkedFolders, makePipe, noPipes } from '../support/special-files.js';
import { failure, run, writeCheckpoint } from './run.js';

let folder: string;
let weights: string;
let pictures: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-quantize-'));
  weights = await writeCheckpoint(at('small.safetensors'), 'repghostnet_100', { classes: 2 });
  pictures = at('pictures');
  for (const [i, name] of ['cat', 'dog'].entries()) {
    await mkdir(join(pictures, name), { recursive: true });
    for (let k = 0; k < 3; k++) {
      await encoder(pattern(60 + 9 * k, 50 + 13 * i))
        .png()
        .toFile(join(pictures, name, `${k}.png`));
    }
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('pictures for calibration', () => {
  const read = async () => {
    let err = '';
    const sink = { write: (text: string) => (err += text) };
    const model = createModel('repghostnet_050', { classes: 2 });
    const tensors = await readCalibration({ out: sink, err: sink }, at('linked'), model, { ...IMAGENET, size: 32 });
    return { shapes: tensors.map(({ shape }) => shape), err };
  };

  it('may be links, and are found in folders that are linked to', async () => {
    await mkdir(at('linked'));
    await symlink(pictures, at('linked/all'));
    await symlink(join(pictures, 'cat/0.png'), at('linked/one.png'));
    await symlink('.', at('linked/round'));
    expect(await read()).toEqual({ shapes: Array(7).fill([1, 3, 32, 32]), err: '' });
    if (!noPipes) {
      await symlink('/dev/zero', at('linked/endless.png'));
      await symlink(makePipe(at('pipe')), at('linked/pipe.png'));
      expect((await read()).shapes).toHaveLength(7);
    }
  });

  it('are not looked for in very many ways', async () => {
    makeLinkedFolders(at('linked'), 20);
    await expect(read()).rejects.toThrow(
      /linked: links lead to one folder in more than 16 ways, at last as (all\/)?d0\/a\//,
    );
  });
});

describe('ghostkit quantize', () => {
  it('says what is wrong before the work is done', async () => {
    // What it is calibrated on is not there either, and is looked at only later.
    const asked = ['--calibrate', at('nothing')];
    await link(weights, at('same.onnx'));
    for (const [output, more, message] of [
      [join(folder, 'none/x.ghost.safetensors'), [], 'none does not exist'],
      [at('x.ghost.safetensors'), ['--data', at('no data')], 'no data'],
      [at('x.onnx'), ['--threads', '2'], '--threads is for compiled models'],
      [at('x.onnx'), ['--size', '1'], 'It must be from 8 to 4096 pixels.'],
      [at('x.onnx'), ['--size', '100000'], 'It must be from 8 to 4096 pixels.'],
      [at('same.onnx'), [], 'the output would take the place of a file that it is made from'],
    ] as const) {
      const { code, err } = await run('quantize', weights, output, ...asked, ...more);
      expect(code).toBeGreaterThan(0);
      expect(err).toContain(message);
    }
  });

  it('says that there is not enough memory before a picture is read', async () => {
    // Each would be left out with a line.
    const broken = at('broken');
    await mkdir(broken, { recursive: true });
    for (let i = 0; i < 24; i++) await writeFile(join(broken, `${i}.png`), 'no picture');
    const out = at('never.ghost.safetensors');
    for (const args of [
      ['quantize', weights, out],
      ['convert', weights, out, '--int8'],
    ]) {
      expect(await failure(1, ...args, '--calibrate', broken, '--size', '4096')).toBe(
        '24 calibration pictures of [3,4096,4096] take 4608 MiB, more than 4096; take fewer or smaller ones',
      );
      expect(await failure(1, ...args, '--calibrate', broken, '--size', '3000')).toMatch(
        /^the model needs \d+ MiB for this input; at most 2048 can be addressed$/,
      );
    }
  });

  it('writes a compiled model that predict and eval take, and tells what it costs', async () => {
    const out = at('small.ghost.safetensors');
    const { code, out: text } = await run(
      ...['quantize', weights, out, '--calibrate', pictures, '--size', '32', '--data', pictures, '--json'],
    );
    expect(code).toBe(0);
    const report = JSON.parse(text);
    expect(report).toMatchObject({ path: out, format: 'compiled', input: [1, 3, 32, 32], calibrationPictures: 6 });
    expect(report.int8.bytes).toBe((await stat(out)).size);
    expect(report.int8.bytes).toBeLessThan(report.float32.bytes * 0.6);
    expect(report.int8.ms).toBeGreaterThan(0);
    expect(report.layers.length).toBeGreaterThan(50);

    const evaluated = JSON.parse((await run('eval', pictures, '--weights', out, '--json')).out);
    expect(evaluated).toMatchObject({ pictures: 6, top1: report.int8.top1 });
    const predicted = await run('predict', '--weights', out, join(pictures, 'cat', '0.png'), '--json');
    expect(predicted.code).toBe(0);
    expect(JSON.parse(predicted.out).predictions[0].top).toHaveLength(2);
  });

  it('writes ONNX with quantised tensors', async () => {
    const out = at('small.onnx');
    const args = [
      '--calibrate',
      pictures,
      '--size',
      '32',
      '--pictures',
      '3',
      '--per-tensor',
      '--float-layers',
      'conv_stem',
    ];
    const { code, out: text } = await run('quantize', weights, out, ...args, '--json');
    expect(code).toBe(0);
    const report = JSON.parse(text);
    expect(report).toMatchObject({ format: 'onnx', weights: 'per tensor', calibrationPictures: 3 });
    const inFloat = report.layers.filter((layer: { precision: string }) => layer.precision === 'float32');
    expect(inFloat.map((layer: { name: string }) => layer.name)).toEqual(['conv_stem']);
    expect((await readFile(out)).includes('QuantizeLinear')).toBe(true);
  });

  it('shows a table to a person, and every layer when asked', async () => {
    const args = [weights, at('shown.ghost.safetensors'), '--calibrate', pictures, '--size', '32', '--layers'];
    const { out } = await run('quantize', ...args);
    expect(out).toMatch(/size +[\d.]+ MB +[\d.]+ kB +[\d.]+x smaller/);
    expect(out).toMatch(/conv_stem +convolution +int8 +[\d.]+ k +[\d.]+ dB/);
    expect(out).not.toContain('top-1');
  });

  it('says in one line what is wrong', async () => {
    await mkdir(at('empty'), { recursive: true });
    const out = at('never.ghost.safetensors');
    expect(await failure(1, 'quantize', weights, out, '--calibrate', at('empty'))).toContain(
      'there is no picture for calibration that can be read',
    );
    expect(await failure(2, 'quantize', weights, at('x.safetensors'), '--calibrate', pictures)).toContain(
      'must end in .ghost.safetensors or .onnx',
    );
    expect(await failure(2, 'quantize', weights, out)).toContain('--calibrate');
    expect(
      await failure(1, 'quantize', weights, out, '--calibrate', pictures, '--size', '32', '--float-layers', 'stem'),
    ).toContain('there is no layer stem');
    await expect(stat(out)).rejects.toThrow('ENOENT');
  });
});
