import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { METADATA } from '../../src/formats/metadata.js';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.js';
import { onnxFile, scalar, tensor } from '../support/onnx-files.mjs';
import { encoder, pattern } from '../support/pictures.js';
import { failure, run, writeCheckpoint } from './run.js';

let folder: string;
let weights: string;
let photo: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-onnx-'));
  weights = await writeCheckpoint(at('small.safetensors'), 'repghostnet_100');
  photo = at('photo.jpg');
  await encoder(pattern(300, 200)).jpeg().toFile(photo);
  await writeFile(at('ten.txt'), Array.from({ length: 10 }, (_, i) => `thing ${i}\n`).join(''));
  await expectDone('convert', weights, at('small.onnx'), '--labels', at('ten.txt'), '--size', '96');
});
afterAll(() => rm(folder, { recursive: true }));

async function expectDone(...args: string[]) {
  const ran = await run(...args);
  expect(ran).toMatchObject({ code: 0, err: '' });
  return ran.out;
}

interface Guess {
  class: number;
  label?: string;
  probability: number;
}

async function guesses(...args: string[]): Promise<Guess[]> {
  const { predictions } = JSON.parse(await expectDone('predict', '--json', '--top', '10', ...args, photo));
  return predictions[0].top;
}

/** Equal but for what float32 leaves open. */
function expectSame(actual: Guess[], wanted: Guess[]) {
  const of = (list: Guess[], i: number) => list.find((guess) => guess.class === i) as Guess;
  for (let i = 0; i < 10; i++) {
    expect(of(actual, i).probability).toBeCloseTo(of(wanted, i).probability, 4);
    expect(of(actual, i).label).toBe(of(wanted, i).label);
  }
}

const size = ['--size', '96', '--labels'];
const labelled = () => guesses('--weights', weights, ...size, at('ten.txt'));

describe('ONNX files on the command line', () => {
  it('are written with labels and preprocessing, and predicted from alike', async () => {
    const wanted = await labelled();
    const plain = at('small.onnx');
    expectSame(await guesses('--weights', plain), wanted);
    const deployed = at('deployed.onnx');
    const out = await expectDone('convert', plain, deployed, '--deploy');
    expect(out).toMatch(/deployed\.onnx: small, deploy form, ONNX for N x 3 x 96 x 96/);
    expectSame(await guesses('--weights', deployed), wanted);
  });

  it('run in onnxruntime too, as does any checkpoint', async () => {
    const wanted = await labelled();
    expectSame(await guesses('--weights', at('small.onnx'), '--backend', 'onnx'), wanted);
    expectSame(
      await guesses('--weights', weights, ...size, at('ten.txt'), '--backend', 'onnx', '--providers', 'cpu'),
      wanted,
    );
  });

  it('become safetensors with their structure, in both forms, and compiled models', async () => {
    const wanted = await labelled();
    for (const flags of [[], ['--deploy']]) {
      const saved = at('imported.safetensors');
      await expectDone('convert', at('small.onnx'), saved, ...flags);
      expectSame(await guesses('--weights', saved), wanted);
      expect(await expectDone('info', saved)).toMatch(
        new RegExp(`model +small, from an ONNX file, ${flags.length > 0 ? 'deploy' : 'training'} form`),
      );
      const back = at('back.onnx');
      await expectDone('convert', saved, back);
      expectSame(await guesses('--weights', back), wanted);
    }
    const compiled = at('small.ghost.safetensors');
    await expectDone('convert', at('small.onnx'), compiled);
    expectSame(await guesses('--weights', compiled), wanted);
  });

  it('move no cursor by what they call things', async () => {
    const evil = '\u001b]0;title\u0007\u009b31m\u202e\n';
    await expectDone('convert', at('small.onnx'), at('named.safetensors'));
    const { tensors, metadata } = readSafetensors(await readFile(at('named.safetensors')));
    const labels = JSON.stringify(Array.from({ length: 10 }, (_, i) => `${evil}${i}`));
    const said = { ...metadata, [METADATA.model]: evil, [METADATA.labels]: labels, [evil]: evil };
    await writeFile(at('evil.safetensors'), writeSafetensors(tensors, { metadata: said }));
    for (const args of [
      ['info', at('evil.safetensors')],
      ['info', '--json', at('evil.safetensors')],
      ['predict', '--weights', at('evil.safetensors'), photo, photo],
      ['convert', at('evil.safetensors'), at('evil.onnx')],
      ['convert', at('evil.safetensors'), at('evil.ghost.safetensors')],
      ['info', at('evil.ghost.safetensors')],
      ['predict', '--json', '--weights', at('evil.ghost.safetensors'), photo],
      ['convert', at('evil.safetensors'), at('evil2.safetensors'), '--deploy'],
      ['eval', '--weights', at('evil.safetensors'), at(evil)],
      ['info', at(evil), '--debug'],
    ]) {
      const { out, err } = await run(...args);
      expect(out + err).toMatch(/title/);
      expect((out + err).replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }
  });

  it('are described', async () => {
    const out = await expectDone('info', at('small.onnx'));
    expect(out).toMatch(/format +ONNX, opset 17, by ghostkit/);
    expect(out).toMatch(/inputs +image N x 3 x 96 x 96/);
    expect(out).toMatch(/parameters/);
    const info = JSON.parse(await expectDone('info', '--json', at('small.onnx')));
    expect(info).toMatchObject({ format: 'onnx', opset: 17, network: { output: [1, 10], endsInSoftmax: false } });
    expect(info.operators.Conv).toBeGreaterThan(50);
  });

  it('are evaluated by either backend', async () => {
    for (const name of ['a', 'b']) {
      await mkdir(at(`data/${name}`), { recursive: true });
      for (let i = 0; i < 3; i++)
        await encoder(pattern(90 + i, 80))
          .png()
          .toFile(at(`data/${name}/${i}.png`));
    }
    const two = at('two.onnx');
    const small = await writeCheckpoint(at('two.safetensors'), 'repghostnet_100', { classes: 2 });
    await expectDone('convert', small, two, '--size', '96');
    const results = [];
    for (const flags of [[], ['--backend', 'onnx']]) {
      results.push(
        JSON.parse(await expectDone('eval', at('data'), '--weights', two, '--workers', '0', '--json', ...flags)),
      );
    }
    expect(results[0].pictures).toBe(6);
    expect(results[1].top1).toBe(results[0].top1);
    expect(results[1].loss).toBeCloseTo(results[0].loss, 4);
  });

  it('in NHWC and with a softmax give the same probabilities by either backend', async () => {
    const file = at('keras.onnx');
    const values = Array.from({ length: 4 * 3 * 9 }, (_, i) => Math.sin(i));
    await writeFile(
      file,
      onnxFile({
        nodes: [
          { op: 'Transpose', inputs: ['in'], outputs: ['a'], attributes: { perm: [0, 3, 1, 2] } },
          { op: 'Conv', inputs: ['a', 'w'], outputs: ['b'], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] } },
          { op: 'Relu', inputs: ['b'], outputs: ['c'] },
          { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['d'] },
          { op: 'Flatten', inputs: ['d'], outputs: ['e'] },
          { op: 'Softmax', inputs: ['e'], outputs: ['f'] },
          { op: 'Identity', inputs: ['f'], outputs: ['out'] },
        ],
        initializers: { w: tensor([4, 3, 3, 3], values) },
        inputs: { in: ['N', 32, 32, 3] },
        outputs: { out: ['N', '?'] },
      }),
    );
    const options = ['--mean', '0.5,0.5,0.5', '--std', '0.5,0.5,0.5'];
    const own = await guesses('--weights', file, ...options);
    const other = await guesses('--weights', file, ...options, '--backend', 'onnx');
    expect(own).toHaveLength(4);
    for (const [i, { probability }] of own.entries()) expect(other[i].probability).toBeCloseTo(probability, 5);
    expect(await guesses('--weights', file)).not.toEqual(own);
  });

  it('have their weights in another file, for either backend', async () => {
    const file = at('outside.onnx');
    const external = { location: 'weights/w.bin', offset: 8 };
    await mkdir(at('weights'), { recursive: true });
    await writeFile(at('weights/w.bin'), Buffer.from(Float32Array.from({ length: 32 }, (_, i) => Math.cos(i)).buffer));
    await writeFile(
      file,
      onnxFile({
        nodes: [
          { op: 'Conv', inputs: ['in', 'w'], outputs: ['a'] },
          { op: 'GlobalAveragePool', inputs: ['a'], outputs: ['b'] },
          { op: 'Flatten', inputs: ['b'], outputs: ['out'] },
        ],
        initializers: { w: tensor([10, 3, 1, 1], [], 'float', { external }) },
        inputs: { in: ['N', 3, 32, 32] },
        outputs: { out: ['N', 10] },
      }),
    );
    expectSame(await guesses('--weights', file, '--backend', 'onnx'), await guesses('--weights', file));
    await rm(at('weights'), { recursive: true });
    const missing = `${file}: external data weights/w.bin: there is no such file`;
    expect(await failure(1, 'predict', '--weights', file, photo)).toBe(missing);
    expect(await failure(1, 'predict', '--weights', file, '--backend', 'onnx', photo)).toBe(missing);
  });

  it('say in one line what is wrong with them', async () => {
    const strange = at('strange.onnx');
    const node = (op: string, ...inputs: string[]) => ({ op, inputs, outputs: ['y'], name: 'head/Odd' });
    const file = (op: string, initializers = {}, ...inputs: string[]) =>
      onnxFile({
        nodes: [node(op, 'x', ...inputs)],
        initializers,
        inputs: { x: [1, 3, 8, 8] },
        outputs: { y: [1, 3, 8, 8] },
      });
    await writeFile(strange, file('Einsum'));
    expect(await failure(1, 'predict', '--weights', strange, photo)).toBe(
      `${strange}: node head/Odd (Einsum): this operator is not supported`,
    );
    expect(await expectDone('info', strange)).toMatch(/ghostkit +cannot run it: node head\/Odd \(Einsum\)/);

    await writeFile(
      strange,
      file('Mul', { c: tensor([], [0], 'float', { external: { location: '../secret' } }) }, 'c'),
    );
    expect(await failure(1, 'info', strange)).toBe(
      `${strange}: c: its data are in ../secret, which is not inside the model's folder`,
    );
    await symlink('/etc/passwd', at('link.bin'));
    await writeFile(strange, file('Mul', { c: tensor([], [0], 'float', { external: { location: 'link.bin' } }) }, 'c'));
    expect(await failure(1, 'predict', '--weights', strange, photo)).toBe(
      `${strange}: external data link.bin: it is not inside the model's folder`,
    );
    await writeFile(strange, file('Mul', { c: scalar(1) }, 'c'));
    expect(await failure(1, 'predict', '--weights', strange, photo)).toMatch(/this ONNX file is no classifier/);
    await writeFile(strange, 'no onnx file');
    expect(await failure(1, 'info', strange)).toMatch(/strange\.onnx: this (ONNX file is damaged|is no ONNX file)/);
    expect(await failure(1, 'predict', '--weights', at('none.onnx'), photo)).toMatch(/there is no such file/);
    expect(
      await failure(1, 'predict', '--weights', at('small.onnx'), '--backend', 'onnx', '--providers', 'abacus', photo),
    ).toMatch(/small\.onnx cannot be opened in onnxruntime-\w+ on abacus: /);
    expect(await failure(2, 'predict', '--weights', at('small.onnx'), '--providers', 'cuda', photo)).toMatch(
      /--backend onnx/,
    );
    expect(await failure(2, 'convert', weights, at('x.onnx'), '--half')).toMatch(/--half/);
    expect(await failure(2, 'predict', '--weights', weights, '--std', '1,0,1', photo)).toMatch(/positive/);
  });

  it('say how to install onnxruntime where it is missing', async () => {
    vi.resetModules();
    for (const name of ['onnxruntime-node', 'onnxruntime-web']) {
      vi.doMock(name, () => {
        throw new Error('not installed');
      });
    }
    const { runCli } = await import('../../src/cli/program.js');
    let err = '';
    const io = { out: { write: () => {} }, err: { write: (text: string) => (err += text) } };
    expect(await runCli(['predict', '--weights', at('small.onnx'), '--backend', 'onnx', photo], io)).toBe(1);
    expect(err).toMatch(/^error: .*small\.onnx needs onnxruntime; npm install onnxruntime-node .*\n$/);
    vi.doUnmock('onnxruntime-node');
    vi.doUnmock('onnxruntime-web');
    vi.resetModules();
  });
});
