import { describe, expect, it } from 'vitest';
import { readTfjsWeights, tfjsShards } from '../../src/formats/tfjs.js';
import { GhostkitError } from '../../src/tensor/error.js';

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const WEIGHTS = [
  { name: 'a/plain', shape: [2, 1], dtype: 'float32' },
  { name: 'a/bytes', shape: [3], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: -1 } },
  { name: 'words', shape: [2], dtype: 'float32', quantization: { dtype: 'uint16', scale: 0.25, min: 3 } },
  { name: 'halves', shape: [], dtype: 'float32', quantization: { dtype: 'float16' } },
];
const DATA = Uint8Array.from([
  ...bytesOf(Float32Array.of(1.5, -2)),
  ...[0, 2, 255],
  ...bytesOf(Uint16Array.of(4, 65535)),
  ...bytesOf(Uint16Array.of(0x3800)),
]);

const manifest = (weights: unknown = WEIGHTS, paths: unknown = ['one.bin', 'two.bin']) =>
  JSON.stringify([{ paths, weights }]);
/** Cut in the middle of a number. */
const shards = new Map([
  ['one.bin', DATA.subarray(0, 6)],
  ['two.bin', DATA.subarray(6)],
]);

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(GhostkitError);
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

describe('TensorFlow.js weights', () => {
  it('are read whatever their storage, from several files', () => {
    const tensors = readTfjsWeights(manifest(), shards);
    expect([...tensors].map(([name, { shape, data }]) => [name, shape, [...data]])).toEqual([
      ['a/plain', [2, 1], [1.5, -2]],
      ['a/bytes', [3], [-1, 0, 126.5]],
      ['words', [2], [4, 16386.75]],
      ['halves', [], [0.5]],
    ]);
    expect(tfjsShards(manifest())).toEqual(['one.bin', 'two.bin']);
  });

  it('may lie anywhere in a larger buffer, such as those of Node', () => {
    const buffer = Buffer.concat([Buffer.of(9), DATA]);
    const inside = new Map([['all.bin', buffer.subarray(1)]]);
    expect([...(readTfjsWeights(manifest(WEIGHTS, ['all.bin']), inside).get('a/plain')?.data ?? [])]).toEqual([
      1.5, -2,
    ]);
  });

  it.each<[string, () => unknown]>([
    ['not JSON', () => readTfjsWeights('{', shards)],
    ['it is not a list', () => readTfjsWeights('{}', shards)],
    ['a group of weights is not an object', () => readTfjsWeights('[3]', shards)],
    ['paths is not a list', () => readTfjsWeights(manifest(WEIGHTS, 'one.bin'), shards)],
    ['the file two.bin is missing', () => readTfjsWeights(manifest(), new Map([['one.bin', DATA]]))],
    ['a weight has no name', () => readTfjsWeights(manifest([{ shape: [1] }]), shards)],
    ['the shape of x', () => readTfjsWeights(manifest([{ name: 'x', shape: [-1], dtype: 'float32' }]), shards)],
    ['the shape of x', () => readTfjsWeights(manifest([{ name: 'x', shape: [1e9, 1e9], dtype: 'float32' }]), shards)],
    ['x has the type int32', () => readTfjsWeights(manifest([{ name: 'x', shape: [1], dtype: 'int32' }]), shards)],
    [
      'the quantization of x',
      () => {
        const quantization = { dtype: 'uint8', scale: 'a', min: 0 };
        return readTfjsWeights(manifest([{ name: 'x', shape: [1], dtype: 'float32', quantization }]), shards);
      },
    ],
    ['two weights are named a/plain', () => readTfjsWeights(manifest([WEIGHTS[0], WEIGHTS[0]]), shards)],
    [
      'ends beyond its 17 bytes',
      () => readTfjsWeights(manifest([...WEIGHTS, { ...WEIGHTS[0], name: 'more' }]), shards),
    ],
    ['17 bytes for 8', () => readTfjsWeights(manifest([WEIGHTS[0]]), shards)],
  ])('are refused in one line: %s', (message, run) => {
    const text = messageOf(run);
    expect(text).toMatch(/^not a valid TensorFlow\.js weights manifest: /);
    expect(text).toContain(message);
    expect(text).not.toContain('\n');
  });
});
