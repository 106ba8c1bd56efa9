import { mkdir, mkdtemp, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PbfWriter } from 'pbf';
import { describe, expect, it } from 'vitest';
import { decodeModel } from '../../../src/formats/onnx/decode.js';
import { externalFiles } from '../../../src/formats/onnx/file.js';
import { valuesOf } from '../../../src/graph/value.js';
import { ImportedModel } from '../../../src/models/imported.js';
import { readOnnx } from '../../../src/models/read-onnx.js';
import { compileGraph, macsOf } from '../../../src/nn/compile.js';
import { trace } from '../../../src/nn/trace.js';
import { GhostkitError } from '../../../src/tensor/error.js';
import { onnxCase, tryOnnx } from '../../support/fuzz-onnx.mjs';
import { ints, onnxFile, scalar, tensor } from '../../support/onnx-files.mjs';
import { makePipe, noPipes } from '../../support/special-files.js';

type Graph = Parameters<typeof onnxFile>[0];
type Nodes = [op: string, inputs: string, outputs: string][];

const picture = { x: [1, 3, 8, 8] };

function file(nodes: Nodes, initializers: Graph['initializers'] = {}, inputs: Graph['inputs'] = picture) {
  return onnxFile({
    nodes: nodes.map(([op, from, to]) => ({ op, inputs: from.split(' '), outputs: to.split(' '), name: `the ${op}` })),
    initializers,
    inputs,
    outputs: { y: undefined },
  });
}

const many = <T>(n: number, each: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => each(i));

/** What reading a file says in one line. */
async function complaint(bytes: Uint8Array, external?: Record<string, Uint8Array>): Promise<string> {
  try {
    await readOnnx(bytes, { external });
  } catch (error) {
    if (error instanceof GhostkitError && !error.message.includes('\n')) return error.message;
    throw error;
  }
  return 'nothing';
}

const relu: Nodes = [['Relu', 'x', 'y']];

describe('a hostile ONNX file', () => {
  it('cut off anywhere is damaged', async () => {
    const bytes = file(relu, { unused: tensor([4], [1, 2, 3, 4]) });
    expect(await complaint(bytes)).toBe('nothing');
    for (let length = 0; length < bytes.length; length++) {
      expect(await complaint(bytes.subarray(0, length)), `${length} bytes`).toMatch(
        /this ONNX file is damaged or cut off|this is no ONNX file|does not say which operators|is made by no node/,
      );
    }
  });

  it('is told from other files', async () => {
    for (const text of ['', 'PK\x03\x04 a zip archive', '<html>', '{"a": 1}', '\x89PNG\r\n']) {
      expect(await complaint(new TextEncoder().encode(text))).toMatch(/ONNX file/);
    }
  });

  it('with a cycle, a gap, or a name made twice says which node', async () => {
    expect(
      await complaint(
        file([
          ['Add', 'x b', 'a'],
          ['Relu', 'a', 'b'],
          ['Neg', 'b', 'y'],
        ]),
      ),
    ).toBe('node the Relu (Relu): it reads its own result, in a cycle');
    expect(await complaint(file([['Relu', 'y', 'y']]))).toMatch(/the Relu .* in a cycle/);
    expect(await complaint(file([['Relu', 'z', 'y']]))).toBe(
      'node the Relu (Relu): it reads z, which is no input and made by no node',
    );
    expect(
      await complaint(
        file([
          ['Relu', 'x', 'y'],
          ['Neg', 'x', 'y'],
        ]),
      ),
    ).toMatch(/node the Neg \(Neg\): y is made twice/);
    expect(await complaint(file([['Relu', 'x', 'z']]))).toBe('the output y is made by no node');
  });

  it('as deep as it is long is read', async () => {
    const nodes: Nodes = Array.from({ length: 20_000 }, (_, i) => ['Relu', i === 0 ? 'x' : `v${i}`, `v${i + 1}`]);
    nodes.push(['Neg', 'v20000', 'y']);
    expect(await complaint(file(nodes))).toBe('nothing');
  });

  it('whose constants grow without end is stopped', async () => {
    const doubling: Nodes = Array.from({ length: 60 }, (_, i) => ['Concat', `c${i} c${i}`, `c${i + 1}`]);
    const nodes = doubling.map(([op, from, to]) => ({
      op,
      inputs: from.split(' '),
      outputs: [to],
      attributes: { axis: 0 },
    }));
    const bytes = onnxFile({
      nodes: [...nodes, { op: 'Reshape', inputs: ['x', 'c60'], outputs: ['y'] }],
      initializers: { c0: ints(1, 2, 3) },
      inputs: picture,
      outputs: { y: undefined },
    });
    expect(await complaint(bytes)).toMatch(/node c\d+ \(Concat\): the constants that it would make are too large/);
    for (const [op, others] of [
      ['ConstantOfShape', { s: ints(1e6, 1e6) }],
      ['Expand', { s: scalar(0), t: ints(1e6, 1e6) }],
      ['Range', { s: scalar(0, 'int64'), t: scalar(1e15, 'int64'), u: scalar(1, 'int64') }],
    ] as const) {
      const nodes: Nodes = [
        [op, Object.keys(others).join(' '), 'k'],
        ['Mul', 'x k', 'y'],
      ];
      expect(await complaint(file(nodes, others))).toMatch(/too large|would be/);
    }
  });

  it('whose dimensions become more and more is stopped', async () => {
    const doubling: Nodes = Array.from({ length: 30 }, (_, i) => ['Gather', `c${i} c${i}`, `c${i + 1}`]);
    const one = tensor([1, 1], [0], 'int64');
    expect(await complaint(file([...doubling, ['Mul', 'x c30', 'y']], { c0: one }))).toBe(
      'node the Gather (Gather): its result has 9 dimensions, more than 8',
    );
    const many = { s: tensor([200_000], new Array(200_000).fill(1), 'int64') };
    for (const nodes of [
      [
        ['ConstantOfShape', 's', 'k'],
        ['Transpose', 'k', 'y'],
      ],
      [
        ['GlobalAveragePool', 'x', 'k'],
        ['Slice', 'k zero one one', 'k1'],
        ['Reshape', 'k1 s', 'k2'],
        ['Transpose', 'k2', 'y'],
      ],
    ] as Nodes[]) {
      expect(await complaint(file(nodes, { ...many, zero: ints(0), one: ints(1) }))).toMatch(
        /node the (ConstantOfShape|Reshape) .*: its result has 200000 dimensions, more than 8/,
      );
    }
  });

  it('with too much of anything says what', async () => {
    const named = (n: number, name: string) => many(n, (i) => `${name}${i}`);
    const sum = (n: number) => file([['Sum', new Array(n).fill('x').join(' '), 'y']]);
    expect(await complaint(sum(4096))).toBe('nothing');
    expect(await complaint(sum(4097))).toBe('node the Sum (Sum): it has 4097 inputs, more than 4096');
    expect(await complaint(file([['Relu', 'x', `y ${named(4096, 'o').join(' ')}`]]))).toBe(
      'node the Relu (Relu): it has 4097 outputs, more than 4096',
    );
    const attributes = Object.fromEntries(named(5000, 'a').map((name) => [name, 1]));
    const relu = { op: 'Relu', inputs: ['x'], outputs: ['y'], attributes };
    expect(await complaint(onnxFile({ nodes: [relu], inputs: picture, outputs: { y: undefined } }))).toBe(
      'node y (Relu): it has 5000 attributes, more than 4096',
    );
    const dead: Nodes = named(50_000, 'o').map((name) => ['Relu', 'x', name]);
    expect(await complaint(file(dead))).toBe('the output y is made by no node');
    expect(await complaint(file([...dead, ['Relu', 'x', 'y']]))).toBe('this ONNX file has more than 50000 nodes');
    const wide: Nodes = named(250, 'o').map((name) => ['Sum', new Array(4000).fill('x').join(' '), name]);
    expect(await complaint(file(wide))).toBe('this ONNX file has more than 1000000 inputs and outputs of nodes');
    const entries = onnxFile({ nodes: [], inputs: picture, outputs: new Array(100_001).fill(['y', undefined]) });
    expect(await complaint(entries)).toBe('this ONNX file has more than 100000 outputs');
    expect(await complaint(file([['Relu', 'x', 'y'.repeat(1001)]]))).toMatch(
      /^this ONNX file has a name of 1001 bytes, more than 1000: y{40}…$/,
    );
    expect(
      await complaint(file([['Relu', 'x', 'y']], {}, Object.fromEntries(named(100, 'x').map((x) => [x, [1]])))),
    ).toBe('only ONNX files with one input are supported, this one has x0, x1, x2, x3, x4, x5, x6, x7, …');
  });

  it('whose nodes become too many operations is stopped', async () => {
    const nodes: Nodes = many(12_000, (i) => ['HardSigmoid', i === 0 ? 'x' : `v${i}`, `v${i + 1}`]);
    expect(await complaint(file([...nodes, ['Relu', 'v12000', 'y']]))).toMatch(
      /^this ONNX file becomes a network of \d+ operations, more than 100000$/,
    );
  });

  it('that compares thousands of constants is read', async () => {
    const nodes: Nodes = [
      ['Max', many(4000, () => 'c').join(' '), 'k'],
      ['Mul', 'x k', 'y'],
    ];
    expect(await complaint(file(nodes, { c: scalar(2) }))).toBe('nothing');
  });

  it('that has the names which its nodes derive is read once, not for each node', async () => {
    const taken = many(900, (i) => [`b.scaled2${'_'.repeat(i)}`, scalar(0)] as const);
    const gemm = (from: string, to: string) => ({
      ...{ op: 'Gemm', inputs: [from, 'w', 'b'], outputs: [to], attributes: { beta: { float: 2 } } },
    });
    const bytes = onnxFile({
      nodes: [
        { op: 'Flatten', inputs: ['x'], outputs: ['v0'] },
        ...many(20_000, (i) => gemm(`v${i}`, `v${i + 1}`)),
        { op: 'Relu', inputs: ['v20000'], outputs: ['y'] },
      ],
      initializers: { ...Object.fromEntries(taken), w: tensor([2, 2], [1, 0, 0, 1]), b: tensor([2], [1, 2]) },
      inputs: { x: [1, 1, 1, 2] },
      outputs: { y: undefined },
    });
    const model = await readOnnx(bytes);
    expect([...model.state().keys()]).toEqual(['w.transposed', `b.scaled2${'_'.repeat(900)}`]);
  }, 15_000);

  it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty'])('has no operator %s', async (op) => {
    const nodes: Nodes = [
      [op, 'c', 'k'],
      ['Mul', 'x k', 'y'],
    ];
    expect(await complaint(file(nodes, { c: scalar(1) }))).toBe(
      `node the ${op} (${op}): this operator is not supported`,
    );
    expect(await complaint(file([[op, 'x', 'y']]))).toMatch(/this operator is not supported/);
  });

  it('with impossible shapes says so', async () => {
    for (const [shape, values] of [
      [[2, 2], [1]],
      [[2 ** 40], [1]],
      [[-1], []],
      [new Array(9).fill(1), [1]],
    ]) {
      expect(await complaint(file([['Add', 'x c', 'y']], { c: tensor(shape, values) }))).toMatch(/^c: it/);
    }
    expect(await complaint(file(relu, {}, { x: [1, 3, -5, 8] }))).toMatch(/the input x has the impossible shape/);
    expect(await complaint(file(relu, {}, { x: [1, 3, 1e9, 8] }))).toMatch(/impossible/);
    expect(await complaint(file(relu, {}, { x: [1, 3] }))).toMatch(
      /the input x is no batch of pictures: its shape is \[1,3\]/,
    );
    expect(await complaint(file(relu, {}, { x: [1, 3, 8, 8], z: [1] }))).toMatch(/with one input .* this one has x, z/);
    expect(await complaint(file(relu, { c: { ...scalar(1), type: 8 } as never }))).toMatch(
      /its type \(8\) is not supported/,
    );
  });

  it('that is too large for any memory says where', async () => {
    expect(await complaint(file(relu, {}, { x: [1, 3, 100_000, 100_000] }))).toBe(
      'node the Relu (Relu): its result [1,3,100000,100000] is larger than any memory',
    );
    const doubling = Array.from({ length: 40 }, (_, i) => ({
      ...{ op: 'Concat', inputs: [`v${i}`, `v${i}`], outputs: [`v${i + 1}`], attributes: { axis: 1 } },
    }));
    const nodes = [{ op: 'Relu', inputs: ['x'], outputs: ['v0'] }, ...doubling];
    const bytes = onnxFile({ nodes, inputs: { x: [1, 1, 1, 1] }, outputs: { v40: undefined } });
    expect(await complaint(bytes)).toMatch(
      /node v25 \(Concat\): its result \[1,33554432,1,1\] is larger than any memory/,
    );
  });

  it('has no names that change lines', async () => {
    const bytes = onnxFile({
      nodes: [{ op: 'Ein\nsum', inputs: ['x'], outputs: ['y'], name: 'a\u202eb\r' }],
      inputs: picture,
      outputs: { y: undefined },
    });
    expect(await complaint(bytes)).toBe('node a\\u{202e}b\\u{d} (Ein\\u{a}sum): this operator is not supported');
  });

  it('that needs functions, sparse weights or two graphs says so', async () => {
    const followedBy = (write: (pbf: PbfWriter) => void) => {
      const pbf = new PbfWriter();
      write(pbf);
      return Buffer.concat([file(relu), pbf.finish()]);
    };
    expect(await complaint(followedBy((pbf) => pbf.writeBytesField(25, new Uint8Array(2))))).toMatch(
      /defines operators of its own; inline them first/,
    );
    expect(await complaint(followedBy((pbf) => pbf.writeBytesField(7, new Uint8Array(0))))).toMatch(/two graphs/);
    const sparse = new PbfWriter();
    sparse.writeMessage(7, (_, graph) => graph.writeBytesField(15, new Uint8Array(0)), null);
    expect(await complaint(sparse.finish())).toMatch(/sparse weights/);
  });
});

describe('external data', () => {
  const outside = (external: object, shape = [1]) =>
    file([['Mul', 'x c', 'y']], { c: tensor(shape, [], 'float', { external }) });

  it('are read from what is given, and only from where they are said to be', async () => {
    const bytes = onnxFile({
      nodes: [
        { op: 'Conv', inputs: ['x', 'w'], outputs: ['a'] },
        { op: 'GlobalAveragePool', inputs: ['a'], outputs: ['y'] },
      ],
      initializers: {
        w: tensor([2, 3, 1, 1], [], 'float', { external: { location: 'w.bin', offset: 4, length: 24 } }),
      },
      inputs: picture,
      outputs: { y: undefined },
    });
    const external = { 'w.bin': new Uint8Array(Float32Array.of(9, 1, 2, 3, 4, 5, 6).buffer) };
    const model = await readOnnx(bytes, { external });
    expect([...(model.state().get('w')?.data ?? [])]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await complaint(bytes)).toBe('external data w.bin: it is needed beside the model and is not given');
    expect(await complaint(bytes, { 'w.bin': new Uint8Array(27) })).toMatch(/it has 27 bytes, too few for w/);
  });

  it.each(['../a.bin', 'a/../../b', '/etc/passwd', 'C:\\b', 'c:b', 'a\\..\\b', '\\\\host\\share', '..', '', 'a\0b'])(
    'are not read from %j',
    async (location) => {
      expect(await complaint(outside({ location }), { [location]: new Uint8Array(4) })).toMatch(
        /^c: its data are in .*, which is not inside the model's folder$/,
      );
    },
  );

  it('have sizes and places that are possible', async () => {
    expect(await complaint(outside({ location: 'a', offset: '-4' }))).toMatch(/is not a number/);
    expect(await complaint(outside({ location: 'a', offset: '1e3' }))).toMatch(/is not a number/);
    expect(await complaint(outside({ location: 'a', length: '9' }))).toMatch(/its data have 9 bytes, not 4/);
    expect(await complaint(outside({ location: 'a', offset: '99999999999' }), { a: new Uint8Array(8) })).toMatch(
      /8 bytes, too few/,
    );
  });

  /** A dense layer whose weight, of more elements than a file without weights may make, is turned while importing. */
  const dense = file(
    [
      ['Flatten', 'x', 'a'],
      ['Transpose', 'w', 'w1'],
      ['MatMul', 'a w1', 'y'],
    ],
    { w: tensor([6000, 192], [], 'float', { external: { location: 'w.bin' } }) },
  );

  it('count for what may be computed while importing once they are read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ghostkit-external-'));
    try {
      await writeFile(join(folder, 'm.onnx'), dense);
      await writeFile(join(folder, 'w.bin'), Buffer.alloc(6000 * 192 * 4));
      expect((await readOnnx(join(folder, 'm.onnx'))).output).toEqual([1, 6000]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('that are not there allow no more to be computed', () => {
    const nodes: Nodes = [
      ['ConstantOfShape', 's', 'k'],
      ['Mul', 'x k', 'y'],
    ];
    const w = tensor([2 ** 14, 2 ** 14], [], 'float', { external: { location: 'w.bin' } });
    expect(() => ImportedModel.restore(file(nodes, { s: ints(1, 3, 1e3, 1e3), w }))).toThrow(
      'node the ConstantOfShape (ConstantOfShape): the constants that it would make are too large',
    );
  });

  it('take no more memory than their file has, however many tensors are in it', async () => {
    const names = Array.from({ length: 64 }, (_, i) => `c${i}`);
    const bytes = onnxFile({
      nodes: relu.map(([op, x, y]) => ({ op, inputs: [x], outputs: [y] })),
      initializers: Object.fromEntries(
        names.map((name) => [name, tensor([1024], [], 'float', { external: { location: 'a' } })]),
      ),
      inputs: picture,
      outputs: { y: undefined },
    });
    expect(await complaint(bytes, { a: new Uint8Array(8192) })).toMatch(
      /external data a: it has 8192 bytes, too few for c2/,
    );
  });

  it('in files that claim any size are no more than a network can have', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ghostkit-external-'));
    try {
      // They are sparse: no disk is needed.
      for (const name of ['a', 'b']) {
        const file = await open(join(folder, name), 'w');
        await file.truncate(2 ** 36);
        await file.close();
      }
      const large = (location: string, rows: number) =>
        tensor([rows, 2 ** 20], [], 'float', { external: { location } });
      const files = {
        one: file([['Mul', 'x c', 'y']], { c: large('a', 2 ** 14) }),
        all: file([['Mul', 'x c', 'y']], { c: large('a', 1), d: large('b', 2 ** 9) }),
      };
      for (const [name, bytes] of Object.entries(files)) {
        const path = join(folder, `${name}.onnx`);
        await writeFile(path, bytes);
        const said = /external data [ab]: with it the model has more than 2 GiB, which is too much$/;
        await expect(readOnnx(path)).rejects.toThrow(said);
        await expect(externalFiles(path, decodeModel(bytes))).rejects.toThrow(said);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('in files lie in the folder of the model, links followed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ghostkit-external-'));
    try {
      const at = (name: string) => join(folder, 'model', name);
      await mkdir(at('data'), { recursive: true });
      await writeFile(join(folder, 'secret.bin'), Buffer.alloc(4));
      await symlink('../secret.bin', at('link.bin'));
      await writeFile(at('data/c.bin'), Buffer.from(Float32Array.of(2).buffer));
      const read = async (location: string) => {
        await writeFile(at('m.onnx'), outside({ location }));
        return readOnnx(at('m.onnx')).then(
          () => 'nothing',
          (error: Error) => error.message,
        );
      };
      expect(await read('data/c.bin')).toBe('nothing');
      expect(await read('link.bin')).toBe(
        `${at('m.onnx')}: external data link.bin: it is not inside the model's folder`,
      );
      expect(await read('none.bin')).toBe(`${at('m.onnx')}: external data none.bin: there is no such file`);
      expect(await read('data')).toMatch(/external data data: it is a folder/);
      if (!noPipes) {
        makePipe(at('pipe.bin'));
        expect(await read('pipe.bin')).toMatch(/external data pipe\.bin: it is a pipe, not a regular file$/);
      }
      expect((await readFile(at('m.onnx'))).length).toBeGreaterThan(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('decoding', () => {
  it('reads negative and large integers as they are', () => {
    const bytes = onnxFile({
      nodes: [{ op: 'Odd', inputs: [], outputs: ['y'], attributes: { a: -1, b: [-5, 2 ** 40, 7], c: { float: 0.5 } } }],
      inputs: {},
      outputs: {},
    });
    const [{ attributes }] = decodeModel(bytes).graph.nodes;
    expect(Object.fromEntries(attributes)).toEqual({ a: -1, b: [-5, 2 ** 40, 7], c: 0.5 });
  });
});

it('every damaged ONNX file ends in a network or in an error of one line', async () => {
  const modules = { readOnnx, trace, compileGraph, macsOf, valuesOf, GhostkitError };
  const wrong: string[] = [];
  let read = 0;
  for (let index = 0; index < 1000; index++) {
    const result = await tryOnnx(modules, onnxCase(7, index));
    if (result.wrong) wrong.push(`case ${index}: ${result.wrong}`);
    if (result.read) read++;
  }
  expect(wrong).toEqual([]);
  expect(read).toBeGreaterThan(100);
});
