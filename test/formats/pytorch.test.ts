import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCheckpoint } from '../../src/formats/checkpoint.js';
import { unpickle } from '../../src/formats/pytorch/pickle.js';
import { GlobalName, Placeholder } from '../../src/formats/pytorch/values.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { toFloat32 } from '../../src/tensor/tensor.js';
import { floats, legacyCheckpoint, Pickle, tensorOf, zip, zipCheckpoint } from '../support/checkpoint-files.mjs';

const six = floats(0, 1, 2, 3, 4, 5);
const whole = { key: '0', length: 6, shape: [2, 3] };

/** The one tensor of a checkpoint in the zip format. */
async function readOne(tensor: object, storage: Buffer = six, options = {}) {
  const pickle = new Pickle().value({ w: tensorOf({ ...whole, ...tensor }) }).end();
  const { state } = await parseCheckpoint(zipCheckpoint(pickle, { 0: storage }, options));
  const w = state.get('w');
  if (!w) throw new Error('no tensor');
  return { dtype: w.dtype, shape: w.shape, values: [...toFloat32(w)] };
}

describe('tensors', () => {
  it('reads whole, sliced, transposed, expanded, scalar and empty views', async () => {
    expect((await readOne({})).values).toEqual([0, 1, 2, 3, 4, 5]);
    expect((await readOne({ shape: [3, 2], strides: [1, 3] })).values).toEqual([0, 3, 1, 4, 2, 5]);
    expect((await readOne({ shape: [2, 2], strides: [3, 1], offset: 1 })).values).toEqual([1, 2, 4, 5]);
    expect((await readOne({ shape: [2, 2], strides: [0, 1], offset: 4 })).values).toEqual([4, 5, 4, 5]);
    expect((await readOne({ shape: [], offset: 5 })).values).toEqual([5]);
    expect(await readOne({ shape: [0, 3], strides: [3, 1] })).toEqual({ dtype: 'float32', shape: [0, 3], values: [] });
  });

  it('reads any strided view as indexing does', () => {
    const dimension = fc.record({ size: fc.integer({ min: 1, max: 4 }), stride: fc.integer({ min: 0, max: 5 }) });
    const views = fc.record({ offset: fc.nat(5), dimensions: fc.array(dimension, { maxLength: 4 }) });
    const storage = Float32Array.from({ length: 100 }, (_, i) => i);
    return fc.assert(
      fc.asyncProperty(views, async ({ offset, dimensions }) => {
        let expected = [offset];
        for (const { size, stride } of dimensions) {
          expected = expected.flatMap((at) => Array.from({ length: size }, (_, i) => at + i * stride));
        }
        const shape = dimensions.map((d) => d.size);
        const strides = dimensions.map((d) => d.stride);
        const read = await readOne({ length: 100, shape, strides, offset }, Buffer.from(storage.buffer));
        expect(read.values).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['DoubleStorage', 'float64', Float64Array.of(1, -2)],
    ['LongStorage', 'int64', BigInt64Array.of(1n, -2n)],
    ['IntStorage', 'int32', Int32Array.of(1, -2)],
    ['ShortStorage', 'int32', Int16Array.of(1, -2)],
    ['CharStorage', 'int8', Int8Array.of(1, -2)],
    ['HalfStorage', 'float32', Uint16Array.of(0x3c00, 0xc000)],
    ['BFloat16Storage', 'float32', Uint16Array.of(0x3f80, 0xc000)],
  ])('reads %s as %s', async (type, dtype, data) => {
    const little = Buffer.from(data.buffer);
    const read = await readOne({ type, length: 2, shape: [2] }, little);
    expect(read).toEqual({ dtype, shape: [2], values: [1, -2] });
    const big = Buffer.from(little);
    for (let i = 0; i < big.length; i += data.BYTES_PER_ELEMENT) big.subarray(i, i + data.BYTES_PER_ELEMENT).reverse();
    expect(await readOne({ type, length: 2, shape: [2] }, big, { byteOrder: 'big' })).toEqual(read);
  });

  it('reads bytes and booleans', async () => {
    const bytes = Buffer.from([0, 200]);
    expect(await readOne({ type: 'ByteStorage', length: 2, shape: [2] }, bytes)).toMatchObject({ values: [0, 200] });
    expect(await readOne({ type: 'BoolStorage', length: 2, shape: [2] }, bytes)).toMatchObject({ values: [0, 1] });
  });

  it('reads a deflated, a zip64 and a checksum-free archive', async () => {
    for (const options of [{ deflate: true }, { zip64: true }, { deflate: true, zip64: true }, { checksum: false }]) {
      expect((await readOne({}, six, options)).values).toEqual([0, 1, 2, 3, 4, 5]);
    }
  });

  it('reads the legacy format, two views of one storage included', async () => {
    const view = { key: '94', length: 6, legacy: true };
    const pickle = new Pickle()
      .value({ w: tensorOf({ ...view, shape: [6] }), v: tensorOf({ ...view, shape: [2], offset: 4 }) })
      .end();
    const { state, format } = await parseCheckpoint(legacyCheckpoint(pickle, [['94', 6, six]]));
    expect(format).toBe('pytorch-legacy');
    expect([...state].map(([name, t]) => [name, [...toFloat32(t)]])).toEqual([
      ['w', [0, 1, 2, 3, 4, 5]],
      ['v', [4, 5]],
    ]);
  });

  it('reads parameters', async () => {
    const parameter = (p: Pickle) => {
      const hooks = (q: Pickle) => q.global('collections', 'OrderedDict').op(')').reduce();
      p.global('torch._utils', '_rebuild_parameter').tuple(tensorOf(whole), true, hooks).reduce();
    };
    const pickle = new Pickle().value({ w: parameter }).end();
    expect((await parseCheckpoint(zipCheckpoint(pickle, { 0: six }))).state.get('w')?.shape).toEqual([2, 3]);
  });
});

describe('what cannot be a tensor', () => {
  it.each<[string, object, RegExp]>([
    ['a huge expansion', { shape: [1e6, 1e6], strides: [0, 0] }, /\[1000000,1000000\] expands a storage of 6 elements/],
    ['an expansion beyond numbers', { shape: [2 ** 52, 2 ** 52, 2 ** 52], strides: [0, 0, 0] }, /expands/],
    ['a view past the end', { shape: [3, 3] }, /\[3,3\] overruns its storage of 6/],
    ['an offset past the end', { shape: [], offset: 6 }, /overruns/],
    ['a negative size', { shape: [-1], strides: [1] }, /no valid offset, shape and strides/],
    ['a negative stride', { shape: [2], strides: [-1], offset: 3 }, /no valid offset/],
    ['a rank beyond 64', { shape: new Array(65).fill(1) }, /no valid offset/],
    ['a storage larger than its entry', { length: 7 }, /m\/data\/0 has 24 bytes, 7 elements of float32 do not fit/],
    ['a storage that is not there', { key: '1' }, /no entry m\/data\/1/],
    ['a storage of an unknown type', { type: 'ComplexFloatStorage' }, /storages of torch.ComplexFloatStorage/],
  ])('%s', async (_, tensor, message) => {
    await expect(readOne(tensor)).rejects.toThrow(message);
    await expect(readOne(tensor)).rejects.toBeInstanceOf(GhostkitError);
  });

  it('many large views of one storage', async () => {
    const n = 2 ** 22;
    const entries = Array.from({ length: 64 }, (_, i) => [`w${i}`, tensorOf({ ...whole, shape: [n], strides: [0] })]);
    const file = zipCheckpoint(new Pickle().value(Object.fromEntries(entries)).end(), { 0: six });
    await expect(parseCheckpoint(file)).rejects.toThrow(/unpacks to far more than its size/);
  });
});

describe('zip archives', () => {
  const pickle = new Pickle().value({ w: tensorOf(whole) }).end();
  const good = zipCheckpoint(pickle, { 0: six });

  it('notices a damaged tensor', async () => {
    const bytes = Buffer.from(good);
    bytes[bytes.indexOf(six) + 5] ^= 1;
    await expect(parseCheckpoint(bytes)).rejects.toThrow(/w: the archive's entry m\/data\/0 is damaged: its checksum/);
  });

  it.each<[string, Buffer, RegExp]>([
    ['truncated', good.subarray(0, good.length - 30), /damaged or truncated/],
    ['no data.pkl', zip([['a.txt', Buffer.from('hi')]]), /not a PyTorch checkpoint/],
    [
      'two data.pkl',
      zip([...['a', 'b'].map((f): [string, Buffer] => [`${f}/data.pkl`, pickle])]),
      /2 entries data.pkl/,
    ],
    ['the same entry twice', zip([...['m', 'm'].map((f): [string, Buffer] => [`${f}/data.pkl`, pickle])]), /twice/],
    [
      'TorchScript',
      zip([...['data', 'constants'].map((f): [string, Buffer] => [`m/${f}.pkl`, pickle])]),
      /TorchScript/,
    ],
  ])('%s', async (_, bytes, message) => {
    await expect(parseCheckpoint(bytes)).rejects.toThrow(message);
  });

  it('does not unpack a bomb', async () => {
    const bomb = Buffer.alloc(2 ** 27);
    const tensor = tensorOf({ key: '0', length: 2 ** 25, shape: [1] });
    const file = zipCheckpoint(
      new Pickle().value({ w: tensor }).end(),
      { 0: bomb },
      { deflate: true, checksum: false },
    );
    expect(file.length).toBeLessThan(2 ** 18);
    await expect(parseCheckpoint(file)).rejects.toThrow(/unpacks to far more than its size/);
  });

  it('does not unpack more than an entry claims', async () => {
    const file = zip(
      [
        ['m/data.pkl', pickle],
        ['m/data/0', Buffer.alloc(2 ** 20), 24],
      ],
      { deflate: true, checksum: false },
    );
    await expect(parseCheckpoint(file)).rejects.toThrow(/m\/data\/0 is damaged/);
  });
});

describe('pickles', () => {
  const read = (p: Pickle) => unpickle(p.end()).value;

  it('reads plain data', () => {
    const value = { a: 1, b: -5, c: 0.5, d: 'é', e: null, f: [true, [false]], g: 2 ** 40 };
    expect(read(new Pickle().value(value))).toEqual(new Map<string, unknown>(Object.entries(value)));
    expect(read(new Pickle().op(0x8a, Buffer.from([10]), Buffer.from('6cfc9c46f9206aa85019', 'hex')))).toBe(
      0x1950a86a20f9469cfc6cn,
    );
    const text = new Pickle(0).raw("(I01\nI-7\nL12L\nF0.5\nS'hi'\nVho\nt");
    expect(read(text)).toEqual([true, -7, 12, 0.5, 'hi', 'ho']);
  });

  it('makes objects of unknown classes placeholders', () => {
    const namespace = new Pickle().global('argparse', 'Namespace').op(')').op(0x81).value({ lr: 0.1 }).op('b');
    const placeholder = read(namespace) as Placeholder;
    expect(placeholder).toBeInstanceOf(Placeholder);
    expect(placeholder).toMatchObject({ className: 'argparse.Namespace', args: [], state: new Map([['lr', 0.1]]) });
    const path = read(new Pickle(4).stackGlobal('pathlib', 'PosixPath').tuple('/', 'tmp').reduce());
    expect(path).toMatchObject({ className: 'pathlib.PosixPath', args: ['/', 'tmp'] });
    const member = read(new Pickle().global('my.config', 'Config.Mode').tuple(2).reduce());
    expect(member).toMatchObject({ className: 'my.config.Config.Mode', args: [2] });
    const old = new Pickle().global('copy_reg', '_reconstructor');
    old.tuple(
      (p: Pickle) => p.global('a', 'B'),
      (p: Pickle) => p.global('__builtin__', 'object'),
      null,
    );
    expect(read(old.reduce())).toMatchObject({ className: 'a.B' });
  });

  it('reads sets, ordered and default dicts, sizes and numpy scalars', () => {
    const list = (p: Pickle) => p.op(']').op('(').int(1).int(2).op('e');
    expect(read(new Pickle().global('builtins', 'set').tuple(list).reduce())).toEqual(new Set([1, 2]));
    expect(read(new Pickle().global('torch', 'Size').tuple([2, 3]).reduce())).toEqual([2, 3]);
    const defaults = new Pickle()
      .global('collections', 'defaultdict')
      .tuple((p: Pickle) => p.global('builtins', 'dict'));
    expect(read(defaults.reduce().str('k').int(1).op('s'))).toEqual(new Map([['k', 1]]));
    const dtype = (p: Pickle) => {
      p.global('numpy', 'dtype').tuple('f8', false, true).reduce();
      p.tuple(3, '<', null, null, null, -1, -1, 0).op('b');
    };
    const bytes = (p: Pickle) => {
      const latin1 = Buffer.from(Float64Array.of(66.95).buffer).toString('latin1');
      p.global('_codecs', 'encode').tuple(latin1, 'latin1').reduce();
    };
    expect(read(new Pickle().global('numpy.core.multiarray', 'scalar').tuple(dtype, bytes).reduce())).toBe(66.95);
  });

  it('keeps a function that is only mentioned as a name', () => {
    const value = read(new Pickle().global('torch.nn.functional', 'relu'));
    expect(value).toBeInstanceOf(GlobalName);
    expect(value).toMatchObject({ name: 'torch.nn.functional.relu', call: undefined });
  });

  it('survives cycles, depth, and keys of Object.prototype', () => {
    const cycle = read(
      new Pickle()
        .op('}')
        .op('q', Buffer.from([0]))
        .str('me')
        .op('h', Buffer.from([0]))
        .op('s'),
    );
    expect((cycle as Map<string, unknown>).get('me')).toBe(cycle);
    const deep = new Pickle().raw(Buffer.alloc(200_000, ')')).raw(Buffer.alloc(199_999, 0x86));
    expect(read(deep)).toHaveLength(2);
    const proto = read(new Pickle().op('}').str('__proto__').value({ polluted: 1 }).op('s')) as Map<string, unknown>;
    expect([...proto.keys()]).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it.each<[string, Buffer, RegExp]>([
    ['ends early', new Pickle().str('abc').end().subarray(0, 6), /cannot be read, at byte 2: it ends too early/],
    ['a length past the end', new Pickle().raw([0x58, 255, 255, 255, 255]).end(), /ends too early/],
    ['a 64-bit length', new Pickle().raw([0x8d, 0, 0, 0, 0, 0, 0, 0, 255]).end(), /ends too early/],
    ['no item', new Pickle().op('a').end(), /stack is empty/],
    ['no mark', new Pickle().op('t').end(), /no mark/],
    ['an item below a mark', new Pickle().int(1).op('(').op('0').op('(').op('2').end(), /stack is empty/],
    ['no memo', new Pickle().op('h', Buffer.from([9])).end(), /no entry 9/],
    ['an unknown operation', new Pickle().raw([0xff]).end(), /no operation 0xff/],
    ['a protocol to come', Buffer.from([0x80, 9, 0x4e, 0x2e]), /newer than 5/],
    ['a key without a value', new Pickle().op('}').op('(').int(1).op('u').end(), /key without a value/],
    ['millions of dicts', new Pickle().raw(Buffer.alloc(3_000_000, '}')).end(), /too many objects|too deep/],
    ['a stack of millions', new Pickle().raw(Buffer.alloc(3_000_000, 'N')).end(), /too deep/],
  ])('refuses one with %s', (_, bytes, message) => {
    expect(() => unpickle(bytes)).toThrow(message);
    expect(() => unpickle(bytes)).toThrow(GhostkitError);
  });

  it('bounds copies of one long list', () => {
    const p = new Pickle()
      .op(']')
      .op('(')
      .raw(Buffer.alloc(10_000, 'N'))
      .op('e')
      .op('q', Buffer.from([0]));
    p.global('builtins', 'tuple').op('q', Buffer.from([1]));
    const copy = Buffer.concat(['h\x01h\0\x85R0'].map((s) => Buffer.from(s, 'latin1')));
    expect(() => read(p.raw(Buffer.concat(new Array(1000).fill(copy))))).toThrow(/too many objects/);
  });
});
