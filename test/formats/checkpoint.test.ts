import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadState, parseCheckpoint } from '../../src/formats/checkpoint.js';
import { readCheckpoint } from '../../src/formats/checkpoint-file.js';
import { writeSafetensors } from '../../src/formats/safetensors.js';
import { float32, type Shape, type Tensor } from '../../src/tensor/tensor.js';
import { floats, Pickle, tensorOf, zipCheckpoint } from '../support/checkpoint-files.mjs';
import { makePipe, noPipes } from '../support/special-files.js';

const folder = mkdtempSync(join(tmpdir(), 'ghostkit-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const storages = { plain: floats(1), averaged: floats(2), zero: floats(0), nan: floats(Number.NaN) };
const from = (key: keyof typeof storages) => tensorOf({ key, length: 1, shape: [1] });
const file = (root: object) => zipCheckpoint(new Pickle().value(root).end(), storages);

async function read(root: object, prefer?: 'ema' | 'model') {
  const { state, source } = await parseCheckpoint(file(root), { prefer });
  return { source, state: Object.fromEntries([...state].map(([name, t]) => [name, Number(t.data[0])])) };
}

describe('which weights', () => {
  const both = { state_dict: { w: from('plain') }, state_dict_ema: { w: from('averaged') } };

  it('takes the plain ones, the averaged ones where asked', async () => {
    expect(await read(both)).toEqual({ source: 'state_dict', state: { w: 1 } });
    expect(await read(both, 'model')).toEqual({ source: 'state_dict', state: { w: 1 } });
    expect(await read(both, 'ema')).toEqual({ source: 'state_dict_ema', state: { w: 2 } });
  });

  it('takes the averaged ones when the plain ones are unusable or absent', async () => {
    for (const useless of ['zero', 'nan'] as const) {
      const root = { ...both, state_dict: { w: from(useless) } };
      expect(await read(root)).toEqual({ source: 'state_dict_ema', state: { w: 2 } });
      expect((await read(root, 'model')).source).toBe('state_dict');
    }
    expect(await read({ model_ema: { w: from('averaged') } }, 'model')).toEqual({
      source: 'model_ema',
      state: { w: 2 },
    });
    expect((await read({ state_dict: {}, ema: { w: from('averaged') } })).source).toBe('ema');
  });

  it('falls back to the plain ones when averaged ones are asked for and absent', async () => {
    expect((await read({ model: { w: from('plain') } }, 'ema')).source).toBe('model');
  });

  it('reads a bare state dict and a nested one, and ignores what is not a tensor', async () => {
    expect(await read({ w: from('plain'), epoch: 3, nothing: null })).toEqual({ source: 'root', state: { w: 1 } });
    expect((await read({ model: { state_dict: { w: from('plain') } } })).source).toBe('model.state_dict');
  });

  it('gives the numbers and strings beside the weights', async () => {
    const { metadata } = await parseCheckpoint(file({ epoch: 3, arch: 'ghostnet', __proto__x: true, ...both }));
    expect(metadata).toEqual({ epoch: '3', arch: 'ghostnet', __proto__x: 'true' });
  });
});

describe('names', () => {
  it.each([
    ['module.', ['module.a.w', 'module.b.w']],
    ['model.', ['model.a.w', 'model.b.w']],
    ['_orig_mod.', ['_orig_mod.a.w', '_orig_mod.b.w']],
    ['all of them', ['module.model._orig_mod.a.w', 'module.model._orig_mod.b.w']],
    ['a compiled part', ['a._orig_mod.w', 'b.w']],
    ['an average', ['module.a.w', 'module.b.w', 'n_averaged']],
  ])('lose %s', async (_, names) => {
    const root = Object.fromEntries(names.map((name) => [name, from('plain')]));
    expect(Object.keys((await read(root)).state)).toEqual(['a.w', 'b.w']);
    const tensors = new Map(names.map((name) => [name, float32([1], [1])]));
    expect([...(await parseCheckpoint(writeSafetensors(tensors))).state.keys()].sort()).toEqual(['a.w', 'b.w']);
  });

  it('keep a prefix that not all have', async () => {
    expect(Object.keys((await read({ 'model.w': from('plain'), w: from('plain') })).state)).toEqual(['model.w', 'w']);
  });
});

describe('what is not a checkpoint', () => {
  const tar = Buffer.alloc(512);
  tar.write('ustar', 257);
  it.each<[string, Buffer, RegExp]>([
    ['an empty file', Buffer.alloc(0), /empty/],
    ['a web page', Buffer.from('<!DOCTYPE html><html>'), /web page/],
    ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\n'), /git lfs pull/],
    ['a tar archive', tar, /tar archive/],
    ['a gzip archive', Buffer.from([0x1f, 0x8b, 8, 0]), /gzip/],
    ['some text', Buffer.from('some notes\n'), /neither safetensors nor a PyTorch checkpoint/],
    ['noise', Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), /neither/],
    ['a pickle of data', new Pickle().value({ a: 1 }).end(), /holds no weights, only a dict of a; save/],
    ['a pickled module', file((p: Pickle) => p.global('my', 'Net').op(')').op(0x81)), /only an object of my.Net/],
    ['a file without tensors', file({ epoch: 1, state_dict: { a: 1 } }), /only a dict of epoch, state_dict/],
    ['safetensors without tensors', Buffer.from(writeSafetensors(new Map())), /holds no tensors/],
  ])('%s', async (_, bytes, message) => {
    await expect(parseCheckpoint(bytes)).rejects.toThrow(message);
  });

  it('names the path', async () => {
    const missing = join(folder, 'none.pth');
    await expect(readCheckpoint(missing)).rejects.toThrow(`${missing}: there is no such file`);
    await expect(readCheckpoint(folder)).rejects.toThrow(`${folder}: it is a folder`);
    if (!noPipes) {
      const pipe = makePipe(join(folder, 'pipe.pth'));
      await expect(readCheckpoint(pipe)).rejects.toThrow(`${pipe}: it is a pipe, not a regular file`);
    }
    const noise = join(folder, 'noise.pth');
    writeFileSync(noise, 'noise');
    await expect(readCheckpoint(noise)).rejects.toThrow(`${noise}: the file is neither`);
  });
});

describe('loadState', () => {
  const expected = new Map<string, Shape>([
    ['blocks.3.0.se.conv_reduce.weight', [12, 36, 1, 1]],
    ['bn1.weight', [4]],
    ['bn1.num_batches_tracked', []],
  ]);
  const of = (shape: number[]): Tensor => float32(shape, new Float32Array(shape.reduce((n, d) => n * d, 1)));
  const good: [string, Tensor][] = [...expected].slice(0, 2).map(([key, shape]) => [key, of([...shape])]);

  it('gives what the model needs; the step counters of batch norm are neither required nor unexpected', () => {
    const state = new Map([...good, ['other.num_batches_tracked', of([])] as const]);
    expect([...loadState(expected, state).keys()]).toEqual(['blocks.3.0.se.conv_reduce.weight', 'bn1.weight']);
  });

  it('says in one line what does not fit', () => {
    const state = new Map(good);
    state.set('blocks.3.0.se.conv_reduce.weight', of([8, 36, 1, 1]));
    expect(() => loadState(expected, state, { hint: 'is this width 1.0?' })).toThrow(
      /^blocks\.3\.0\.se\.conv_reduce\.weight: the file has \[8,36,1,1\], the model needs \[12,36,1,1\]; is this width 1\.0\?$/,
    );
    state.delete('bn1.weight');
    for (const name of ['a', 'b', 'c', 'd\n']) state.set(name, of([1]));
    expect(() => loadState(expected, state)).toThrow(
      /needs \[12,36,1,1\]; 1 missing \(bn1\.weight\); 4 unexpected \(a, b, c, …\)$/,
    );
    expect(() => loadState(expected, new Map())).toThrow(
      /^the weights do not fit the model: 2 missing \(blocks\.3\.0\.se\.conv_reduce\.weight, bn1\.weight\)$/,
    );
  });

  it('lets optional keys be missing or unexpected, not misshapen', () => {
    const optional = () => true;
    expect(loadState(expected, new Map([['x', of([1])]]), { optional }).size).toBe(0);
    expect(() => loadState(expected, new Map([['bn1.weight', of([5])]]), { optional })).toThrow(/needs \[4\]/);
  });
});
