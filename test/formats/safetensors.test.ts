import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { float32, type Tensor, tensor } from '../../src/tensor/tensor.js';
import { floats, safetensorsFile } from '../support/checkpoint-files.mjs';

const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
const size = (shape: number[]) => shape.reduce((n, d) => n * d, 1);

const tensors: fc.Arbitrary<Tensor> = shapes.chain((shape) => {
  const n = size(shape);
  const of = <T>(element: fc.Arbitrary<T>) => fc.array(element, { minLength: n, maxLength: n });
  return fc.oneof(
    of(fc.float()).map((v) => float32(shape, v)),
    of(fc.double()).map((v) => tensor('float64', shape, Float64Array.from(v))),
    of(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })).map((v) => tensor('int64', shape, BigInt64Array.from(v))),
    of(fc.integer()).map((v) => tensor('int32', shape, Int32Array.from(v))),
    of(fc.integer({ min: -128, max: 127 })).map((v) => tensor('int8', shape, Int8Array.from(v))),
    of(fc.nat(255)).map((v) => tensor('uint8', shape, Uint8Array.from(v))),
    of(fc.nat(1)).map((v) => tensor('bool', shape, Uint8Array.from(v))),
  );
});

const names = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', '0', 'a.b', 'é'));

describe('writing and reading', () => {
  it('gives back every tensor and all metadata', () => {
    const states = fc.array(fc.tuple(names, tensors), { maxLength: 6 }).map((entries) => new Map(entries));
    fc.assert(
      fc.property(states, fc.dictionary(names, fc.string()), (state, metadata) => {
        const bytes = writeSafetensors(state, { metadata });
        const back = readSafetensors(bytes);
        expect(new Map(back.tensors)).toEqual(state);
        expect(Object.entries(back.metadata).sort()).toEqual(Object.entries(metadata).sort());
      }),
      { numRuns: 200 },
    );
  });

  it('aligns every tensor to its element', () => {
    const state = new Map<string, Tensor>([
      ['a', tensor('uint8', [3], Uint8Array.of(1, 2, 3))],
      ['b', tensor('float64', [1], Float64Array.of(4))],
      ['c', float32([1], [5])],
    ]);
    const bytes = writeSafetensors(state);
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)));
    expect(headerBytes % 8).toBe(0);
    expect(header.b.data_offsets).toEqual([0, 8]);
    expect(header.c.data_offsets).toEqual([8, 12]);
    expect(header.a.data_offsets).toEqual([12, 15]);
  });

  it('does not depend on the order of the tensors', () => {
    const entries: [string, Tensor][] = [
      ['b', float32([1], [1])],
      ['a', float32([1], [2])],
    ];
    expect(writeSafetensors(new Map(entries))).toEqual(writeSafetensors(new Map(entries.reverse())));
  });

  it('stores floats at half size when asked', () => {
    const values = [1, 0.1, -3.5, 65504];
    const state = new Map<string, Tensor>([
      ['w', float32([4], values)],
      ['n', tensor('int64', [], BigInt64Array.of(7n))],
    ]);
    const half = readSafetensors(writeSafetensors(state, { floats: 'float16' })).tensors;
    expect(half.get('w')?.data).toEqual(Float32Array.of(1, 0.0999755859375, -3.5, 65504));
    expect(half.get('n')).toEqual(state.get('n'));
    const brain = readSafetensors(writeSafetensors(state, { floats: 'bfloat16' })).tensors;
    expect(brain.get('w')?.data).toEqual(Float32Array.of(1, 0.10009765625, -3.5, 65536));
  });

  it('reads data at any position in memory', () => {
    const bytes = writeSafetensors(new Map([['w', float32([2], [1, 2])]]));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(readSafetensors(shifted.subarray(3)).tensors.get('w')).toEqual(float32([2], [1, 2]));
  });

  it('refuses to write what could not be read', () => {
    expect(() => writeSafetensors(new Map([['__metadata__', float32([1], [1])]]))).toThrow('__metadata__');
    const broken = { dtype: 'float32', shape: [3], data: new Float32Array(2) } as const;
    expect(() => writeSafetensors(new Map([['w', broken]]))).toThrow('w: 2 elements do not make [3]');
    const long = { metadata: { text: 'a'.repeat(1e8) } };
    expect(() => writeSafetensors(new Map(), long)).toThrow(/header has at most 100000000 bytes, this takes 100000/);
  });
});

describe('malformed files', () => {
  const data = floats(1, 2);
  const w = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  const cases: [string, Buffer, RegExp][] = [
    ['empty', Buffer.alloc(0), /it has 0 bytes/],
    ['a header longer than the file', safetensorsFile({ w }, data, 5000), /claims 5000 bytes of a file of/],
    ['an absurd header length', safetensorsFile({ w }, data, 2n ** 63n), /the limit is 100000000/],
    ['a header that is not JSON', safetensorsFile('{"w"', data), /not JSON/],
    ['a header nested beyond reason', safetensorsFile(`{"w":${'['.repeat(1e5)}`, data), /nested too deeply/],
    ['a header that ends in a string', safetensorsFile('{"w": "', data), /not JSON/],
    ['a header that is a list', safetensorsFile('[]', data), /does not begin with/],
    ['a header that is not UTF-8', safetensorsFile('{}', data).fill(0xff, 9, 10), /not UTF-8/],
    ['data beyond the tensors', safetensorsFile({ w }, floats(1, 2, 3)), /take 8 bytes, the file has 12/],
    ['truncated data', safetensorsFile({ w }, floats(1)), /take 8 bytes, the file has 4/],
    ['a hole', safetensorsFile({ w: { ...w, data_offsets: [4, 12] } }, floats(1, 2, 3)), /begins at 4/],
    ['an overlap', safetensorsFile({ w, v: { ...w, data_offsets: [4, 12] } }, floats(1, 2, 3)), /v begins at 4/],
    ['two tensors in one place', safetensorsFile({ w, v: w }, data), /begins at 0/],
    ['a negative size', safetensorsFile({ w: { ...w, shape: [-2] } }, data), /shape of w/],
    ['a fractional size', safetensorsFile({ w: { ...w, shape: [1.5] } }, data), /shape of w/],
    ['a product beyond all bounds', safetensorsFile({ w: { ...w, shape: [2 ** 40, 2 ** 40] } }, data), /too large/],
    [
      'sizes that do not match',
      safetensorsFile({ w: { ...w, shape: [3] } }, data),
      /has 8 bytes, but F32 \[3\] takes 12/,
    ],
    ['reversed offsets', safetensorsFile({ w: { ...w, data_offsets: [8, 0] } }, data), /has -8 bytes/],
    ['an unknown dtype', safetensorsFile({ w: { ...w, dtype: 'F7' } }, data), /dtype "F7", which is not supported/],
    ['a dtype of Object.prototype', safetensorsFile({ w: { ...w, dtype: 'toString' } }, data), /not supported/],
    ['no description', safetensorsFile({ w: null }, data), /w is not described/],
    ['metadata that is not text', safetensorsFile({ __metadata__: { a: 1 } }, Buffer.alloc(0)), /metadata a is not/],
    [
      'more tensors than can be',
      safetensorsFile(`{${Array.from({ length: 100_001 }, (_, i) => `"${i}":0`)}}`, data),
      /more than 100000 entries/,
    ],
    ['a list of more than can be', safetensorsFile(`{"w":[${'{},'.repeat(1e6)}{}]}`, data), /too many values/],
    ['a shape of more than can be', safetensorsFile(`{"w":{"shape":[${'1,'.repeat(2e6)}1]}}`, data), /too many values/],
    [
      'more metadata than can be',
      safetensorsFile({ __metadata__: Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [i, ''])) }, data),
      /more than 10000 metadata/,
    ],
    ['a key twice', safetensorsFile(`{"w":${JSON.stringify(w)},"\\u0077":${JSON.stringify(w)}}`, data), /key w twice/],
    ['a name with a new line', safetensorsFile({ 'a\nb': null }, data), /a\\u\{a\}b is not described/],
  ];

  it.each(cases)('%s', (_, bytes, message) => {
    let error: unknown;
    try {
      readSafetensors(bytes);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(GhostkitError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toMatch(/\n/);
  });

  it('keeps a tensor named __proto__ a tensor', () => {
    const file = safetensorsFile(`{"__proto__":${JSON.stringify(w)}}`, data);
    expect([...readSafetensors(file).tensors.keys()]).toEqual(['__proto__']);
  });
});
