import { describe, expect, it } from 'vitest';
import { labelsIn } from '../../src/formats/metadata.js';
import { exportOnnx } from '../../src/formats/onnx/export.js';
import { DeployedClassifier } from '../../src/models/deployed.js';
import { identify, loadedFrom } from '../../src/models/identify.js';
import { ImportedModel } from '../../src/models/imported.js';
import { readOnnx } from '../../src/models/read-onnx.js';
import { compile } from '../../src/nn/compile.js';
import { trace } from '../../src/nn/trace.js';
import { expectClose, noise, runOnnx } from '../formats/onnx/run.js';
import { ints, onnxFile, tensor } from '../support/onnx-files.mjs';

const random = (seed: number, ...shape: number[]) => tensor(shape, [...noise(shape, seed)]);

/** A small classifier for a batch and a size that are fixed, or not. */
function classifier({
  batch = 'N' as number | string,
  size = 16 as number | string,
  last = 'Softmax',
  flat = ints(0, -1),
} = {}) {
  const nodes = [
    {
      op: 'Conv',
      inputs: ['x', 'stem.weight', 'stem.bias'],
      outputs: ['a'],
      attributes: { pads: [1, 1, 1, 1], strides: [2, 2] },
    },
    {
      op: 'BatchNormalization',
      inputs: ['a', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'],
      outputs: ['b'],
    },
    { op: 'Relu', inputs: ['b'], outputs: ['c'] },
    { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['d'] },
    { op: 'Reshape', inputs: ['d', 'flat'], outputs: ['e'] },
    { op: 'Gemm', inputs: ['e', 'fc.weight', 'fc.bias'], outputs: ['f'], attributes: { transB: 1 } },
    ...(last !== 'none' ? [{ op: last, inputs: ['f'], outputs: ['scores'], attributes: { axis: 1 } }] : []),
  ];
  return onnxFile(
    {
      nodes,
      initializers: {
        ...{ 'stem.weight': random(1, 6, 3, 3, 3), 'stem.bias': random(2, 6) },
        ...{ 'bn.weight': random(3, 6), 'bn.bias': random(4, 6), 'bn.running_mean': random(5, 6) },
        'bn.running_var': tensor([6], [1, 2, 0.5, 1.5, 3, 1]),
        ...{ flat, 'fc.weight': random(6, 4, 6), 'fc.bias': random(7, 4) },
      },
      inputs: { x: [batch, 3, size, size] },
      outputs: { [last !== 'none' ? 'scores' : 'f']: [batch, 4] },
    },
    { metadata: { 'ghostkit.labels': '["a","b","c","d"]' } },
  );
}

/** A network gives the results of onnxruntime, which has `reference` to run where it is another file. */
async function expectSame(file: Uint8Array, reference = file) {
  const model = await readOnnx(file);
  const data = noise(model.input, 9);
  const { y: wanted } = await runOnnx(reference, { x: { shape: model.input, data } });
  const net = await compile(model, { input: model.input });
  const { logits } = net.run({ image: data });
  net.close();
  expectClose(logits.data, wanted.data);
  return { model, logits, wanted };
}

describe('a network from an ONNX file', () => {
  it('has its parameters and its statistics by their names, of which the latter are not learnt', async () => {
    const model = await readOnnx(classifier());
    expect([...model.stateShapes()]).toEqual([
      ['stem.weight', [6, 3, 3, 3]],
      ['stem.bias', [6]],
      ['bn.weight', [6]],
      ['bn.bias', [6]],
      ['bn.running_mean', [6]],
      ['bn.running_var', [6]],
      ['fc.weight', [4, 6]],
      ['fc.bias', [4]],
    ]);
    expect(model.parameterCount()).toBe(6 * 27 + 6 + 12 + 24 + 4);
    expect([...new DeployedClassifier(model).stateShapes().keys()]).toEqual([
      'stem.weight',
      'stem.bias',
      'fc.weight',
      'fc.bias',
    ]);
    expect(model).toMatchObject({
      inChannels: 3,
      inputSize: [16, 16],
      input: [1, 3, 16, 16],
      output: [1, 4],
      numClasses: 4,
    });
    expect(labelsIn(model.metadata, model.numClasses)).toEqual(['a', 'b', 'c', 'd']);
  });

  it.each(['Softmax', 'LogSoftmax', 'none'])('gives its scores in front of %s', async (last) => {
    const model = await readOnnx(classifier({ last }), { batch: 3 });
    expect(model.endsInSoftmax).toBe(last !== 'none');
    const shape = [3, 3, 16, 16];
    const data = noise(shape, 9);
    const { f: wanted } = await runOnnx(classifier({ last: 'none' }), { x: { shape, data } });
    const net = await compile(model, { input: model.input });
    expectClose(net.run({ image: data }).logits.data, wanted.data);
    net.close();
  });

  it.each([1, 3, 5])('that was written for one batch is made for %d, whatever its constants are', async (batch) => {
    const nodes = [
      { op: 'Reshape', inputs: ['numbers', 'shape'], outputs: ['scale'] },
      { op: 'Mul', inputs: ['x', 'scale'], outputs: ['y'] },
    ];
    const file = (n: number | string) =>
      onnxFile({
        nodes,
        initializers: { numbers: random(1, 3), shape: ints(1, -1, 1, 1) },
        inputs: { x: [n, 3, 4, 5] },
        outputs: { y: undefined },
      });
    const data = noise([batch, 3, 4, 5], 9);
    const { y: wanted } = await runOnnx(file('N'), { x: { shape: [batch, 3, 4, 5], data } });
    const net = await compile(await readOnnx(file(1)), { input: [batch, 3, 4, 5] });
    expectClose(net.run({ image: data }).logits.data, wanted.data);
    net.close();
  });

  it('that was written for one batch and one size is made for any', async () => {
    const model = await readOnnx(classifier({ batch: 1, flat: ints(1, 6) }));
    expect(model.input).toEqual([1, 3, 16, 16]);
    const shape = [5, 3, 24, 16];
    const data = noise(shape, 9);
    const { f: wanted } = await runOnnx(classifier({ size: 'S', last: 'none' }), { x: { shape, data } });
    const net = await compile(model, { input: shape });
    expectClose(net.run({ image: data }).logits.data, wanted.data);
    net.close();
    // For one picture it is exported as it was; for any, a fixed shape would stand in the way.
    expect(exportOnnx(trace(model, { input: shape }), { dynamicBatch: true }).length).toBeGreaterThan(100);
  });

  it('whose size is open takes the usual one', async () => {
    const model = await readOnnx(classifier({ size: 'side' }));
    expect(model.inputSize).toBeUndefined();
    expect(model.input).toEqual([1, 3, 224, 224]);
  });

  it('is trained on like any other: its parameters are what is changed', async () => {
    const model = await readOnnx(classifier());
    const [[, weight]] = model.namedParameters();
    weight.data = weight.data.map((v) => v * 2);
    const again = trace(model, { input: [2, 3, 16, 16] });
    expect(again.outputs.logits.shape).toEqual([2, 4]);
    expect(model.state().get('stem.weight')?.data[0]).toBeCloseTo(2 * noise([6, 3, 3, 3], 1)[0], 6);
  });

  it('is told from a checkpoint by its structure', async () => {
    const { checkpoint } = loadedFrom('small', await readOnnx(classifier()));
    const loaded = identify(checkpoint);
    expect(loaded?.model).toBeInstanceOf(ImportedModel);
    expect(loaded?.labels).toEqual(['a', 'b', 'c', 'd']);
    const broken = (metadata: string) => ({ ...checkpoint, metadata: { 'ghostkit.graph': metadata } });
    expect(() => identify(broken('*'))).toThrow('is not base64');
    expect(() => identify(broken(btoa('no file')))).toThrow(/ONNX file/);
    expect(() => identify({ ...checkpoint, state: new Map() })).toThrow(/stem\.weight/);
  });

  it('that is no classifier is compiled all the same, and has no classes', async () => {
    const file = onnxFile({
      nodes: [{ op: 'Sigmoid', inputs: ['x'], outputs: ['y'] }],
      inputs: { x: [1, 3, 8, 8] },
      outputs: { y: [1, 3, 8, 8] },
    });
    const model = await readOnnx(file);
    expect(() => model.numClasses).toThrow('this ONNX file is no classifier: its output is [1,3,8,8], not [N,classes]');
    const net = await compile(model, { input: model.input });
    expect(net.run({ image: new Float32Array(192) }).logits.data[0]).toBeCloseTo(0.5, 6);
    net.close();
  });

  /** Four scores for every pixel, through `last` over the channels. */
  const perPixel = (last: string | undefined, size: number) =>
    onnxFile({
      nodes: [
        { op: 'Conv', inputs: ['x', 'w'], outputs: [last ? 'scores' : 'y'] },
        ...(last ? [{ op: last, inputs: ['scores'], outputs: ['y'], attributes: { axis: 1 }, name: 'last' }] : []),
      ],
      initializers: { w: random(1, 4, 3, 2, 2) },
      inputs: { x: ['N', 3, size, size] },
      outputs: { y: undefined },
    });

  it('keeps a softmax of every pixel', async () => {
    const { model, logits, wanted } = await expectSame(perPixel('Softmax', 6));
    expect(model).toMatchObject({ endsInSoftmax: false, output: [1, 4, 5, 5] });
    expect(logits.shape).toEqual(wanted.shape);
    await expect(readOnnx(perPixel('LogSoftmax', 6))).rejects.toThrow(
      'node last (LogSoftmax): it is only supported for [N,classes]',
    );
  });

  it.each(['Softmax', 'LogSoftmax'])('leaves out the %s of a single pixel', async (last) => {
    const { model } = await expectSame(perPixel(last, 2), perPixel(undefined, 2));
    expect(model).toMatchObject({ endsInSoftmax: true, output: [1, 4] });
  });

  it("has the file's first output, whatever the outputs are called", async () => {
    const file = (outputs: string[]) =>
      onnxFile({
        nodes: [
          { op: 'Relu', inputs: ['x'], outputs: ['10'] },
          { op: 'MaxPool', inputs: ['x'], outputs: ['2'], attributes: { kernel_shape: [2, 2] } },
          { op: 'Sigmoid', inputs: ['x'], outputs: ['__proto__'] },
        ],
        inputs: { x: [1, 3, 8, 8] },
        outputs: outputs.map((name) => [name, undefined]),
      });
    expect((await readOnnx(file(['10', '2']))).output).toEqual([1, 3, 8, 8]);
    expect((await readOnnx(file(['2', '10']))).output).toEqual([1, 3, 7, 7]);
    await expect(readOnnx(file(['__proto__', '2']))).rejects.toThrow(/output/);
    await expect(readOnnx(file([]))).rejects.toThrow('this ONNX file has no output');
  });

  it('has one array for each factor by which a weight is scaled', async () => {
    const file = onnxFile({
      nodes: [
        { op: 'GlobalAveragePool', inputs: ['x'], outputs: ['a'] },
        { op: 'Flatten', inputs: ['a'], outputs: ['b'] },
        ...[0.5, 2, 0.5].map((alpha, i) => ({
          op: 'Gemm',
          inputs: ['b', 'w', 'bias'],
          outputs: [`g${i}`],
          attributes: { alpha: { float: alpha }, beta: { float: i === 0 ? 3 : 7 } },
        })),
        { op: 'Concat', inputs: ['g0', 'g1', 'g2'], outputs: ['y'], attributes: { axis: 1 } },
      ],
      initializers: { w: random(1, 3, 4), bias: random(2, 4) },
      inputs: { x: [1, 3, 2, 2] },
      outputs: { y: undefined },
    });
    const { model } = await expectSame(file);
    expect(model.stateShapes().size).toBe(4);
  });

  it('has one array for each order in which the dimensions of a constant stand', async () => {
    const nhwc = { perm: [0, 2, 3, 1] };
    const nchw = { perm: [0, 3, 1, 2] };
    const file = onnxFile({
      nodes: [
        { op: 'Transpose', inputs: ['x'], outputs: ['a'], attributes: nhwc },
        { op: 'Add', inputs: ['a', 'c'], outputs: ['a1'] },
        { op: 'Transpose', inputs: ['a1'], outputs: ['a2'], attributes: nchw },
        { op: 'Transpose', inputs: ['x'], outputs: ['b'], attributes: nchw },
        { op: 'Add', inputs: ['b', 'c'], outputs: ['b1'] },
        { op: 'Transpose', inputs: ['b1'], outputs: ['b2'], attributes: nhwc },
        { op: 'Concat', inputs: ['a2', 'b2'], outputs: ['y'], attributes: { axis: 1 } },
      ],
      initializers: { c: random(1, 3, 3, 3) },
      inputs: { x: [1, 3, 3, 3] },
      outputs: { y: undefined },
    });
    await expectSame(file);
  });
});
