import { describe, expect, it } from 'vitest';
import { decodeModel } from '../../../src/formats/onnx/decode.js';
import { importGraph } from '../../../src/formats/onnx/import/graph.js';
import { Flow } from '../../../src/formats/onnx/import/tensors.js';
import { evaluate } from '../../../src/graph/evaluate.js';
import { input } from '../../../src/graph/leaves.js';
import { deploy } from '../../../src/graph/passes/deploy.js';
import { countOps } from '../../../src/graph/value.js';
import { compileGraph } from '../../../src/nn/compile.js';
import type { Shape } from '../../../src/tensor/tensor.js';
import { ints, onnxFile, scalar, tensor } from '../../support/onnx-files.mjs';
import { expectClose, noise, runOnnx } from './run.js';

type Tensor = ReturnType<typeof tensor>;
type Attribute = number | string | readonly number[] | { float: number } | { floats: readonly number[] } | Tensor;

/** One node behind `x`: its operator, its attributes, its other inputs as constants. */
interface Case {
  readonly x: Shape;
  readonly op: string;
  readonly attributes?: Record<string, Attribute>;
  readonly others?: readonly (Tensor | undefined)[];
  readonly outputs?: number;
  readonly opset?: number;
  /** Which input `x` is. */
  readonly at?: number;
}

const random = (seed: number, ...shape: number[]) => tensor(shape, [...noise(shape, seed)]);
const positive = (seed: number, ...shape: number[]) =>
  tensor(
    shape,
    [...noise(shape, seed)].map((v) => 1.5 + v),
  );

function fileOf({ x, op, attributes = {}, others = [], outputs = 1, opset, at = 0 }: Case) {
  const names = others.map((other, i) => (other ? `c${i}` : ''));
  names.splice(at, 0, 'x');
  const results = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const graph = {
    nodes: [{ op, inputs: names, outputs: results, attributes, name: 'it' }],
    initializers: Object.fromEntries(others.flatMap((other, i) => (other ? [[`c${i}`, other]] : []))),
    inputs: { x },
    outputs: Object.fromEntries(results.map((name) => [name, undefined])),
  };
  return onnxFile(graph, { opset });
}

/** A file's graph for inputs that all have fixed shapes. */
function importFile(file: Uint8Array) {
  const model = decodeModel(file);
  const inputs = Object.fromEntries(
    model.graph.inputs.map(({ name, shape }) => [name, new Flow(input(name, shape as number[]))]),
  );
  return importGraph(model, { inputs });
}

/** The imported graph gives the results of onnxruntime: by its plain definition and, in deploy form, on the kernels. */
async function expectImported(file: Uint8Array, scale = 3) {
  const graph = importFile(file);
  const inputs = Object.fromEntries(
    Object.entries(graph.inputs).map(([name, { shape }], i) => [
      name,
      { shape, data: noise(shape, 77 + i).map((v) => v * scale) },
    ]),
  );
  const wanted = await runOnnx(file, inputs);
  const exact = evaluate(
    graph,
    Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Float64Array.from(data)])),
  );
  const net = await compileGraph(graph);
  const computed = net.run(Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data])));
  net.close();
  expect(Object.keys(exact)).toEqual(Object.keys(wanted));
  for (const [name, { shape, data }] of Object.entries(wanted)) {
    expect(exact[name].shape, name).toEqual([...shape]);
    expectClose(exact[name].data, data);
    expectClose(computed[name].data, data);
  }
  return graph;
}

const image: Shape = [2, 6, 7, 9];
const statistics = [positive(1, 6), random(2, 6), random(3, 6), positive(4, 6)];

const CASES: Record<string, Case> = {
  'Conv with everything': {
    x: image,
    op: 'Conv',
    attributes: { group: 3, strides: [2, 1], pads: [1, 2, 0, 1], dilations: [1, 2], kernel_shape: [3, 2] },
    others: [random(1, 9, 2, 3, 2), random(2, 9)],
  },
  'Conv without attributes': { x: image, op: 'Conv', others: [random(1, 4, 6, 3, 3)] },
  'Conv SAME_UPPER': {
    x: image,
    op: 'Conv',
    attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] },
    others: [random(1, 4, 6, 3, 4)],
  },
  'Conv SAME_LOWER': {
    x: image,
    op: 'Conv',
    attributes: { auto_pad: 'SAME_LOWER', strides: [1, 2] },
    others: [random(1, 4, 6, 2, 3)],
  },
  'Conv VALID': { x: image, op: 'Conv', attributes: { auto_pad: 'VALID' }, others: [random(1, 4, 6, 3, 3)] },
  'Conv depthwise': { x: image, op: 'Conv', attributes: { group: 6 }, others: [random(1, 12, 1, 3, 3)] },
  BatchNormalization: {
    x: image,
    op: 'BatchNormalization',
    attributes: { epsilon: { float: 1e-3 } },
    others: statistics,
  },
  'BatchNormalization of vectors': { x: [4, 6], op: 'BatchNormalization', others: statistics },
  InstanceNormalization: { x: image, op: 'InstanceNormalization', others: [random(1, 6), random(2, 6)] },
  Relu: { x: image, op: 'Relu' },
  Sigmoid: { x: image, op: 'Sigmoid' },
  Tanh: { x: image, op: 'Tanh' },
  Neg: { x: image, op: 'Neg' },
  Abs: { x: image, op: 'Abs' },
  LeakyRelu: { x: image, op: 'LeakyRelu' },
  'LeakyRelu of another slope': { x: image, op: 'LeakyRelu', attributes: { alpha: { float: 0.2 } } },
  'HardSigmoid as Keras has it': { x: image, op: 'HardSigmoid' },
  'HardSigmoid as PyTorch has it': {
    x: image,
    op: 'HardSigmoid',
    attributes: { alpha: { float: 1 / 6 }, beta: { float: 0.5 } },
  },
  HardSwish: { x: image, op: 'HardSwish' },
  'PRelu by channel': { x: image, op: 'PRelu', others: [random(1, 6, 1, 1)] },
  'PRelu with one slope': { x: image, op: 'PRelu', others: [random(1, 1)] },
  'Clip to 0 and 6': { x: image, op: 'Clip', others: [scalar(0), scalar(6)] },
  'Clip to -1 and 1': { x: image, op: 'Clip', others: [scalar(-1), scalar(1)] },
  'Clip from above only': { x: image, op: 'Clip', others: [undefined, scalar(0.5)] },
  'Clip from below only': { x: image, op: 'Clip', others: [scalar(-0.5)] },
  'Clip by attributes': { x: image, op: 'Clip', attributes: { min: { float: 0 }, max: { float: 2 } }, opset: 6 + 3 },
  'Clip to nothing': { x: image, op: 'Clip' },
  'Clip to one number': { x: image, op: 'Clip', others: [scalar(2), scalar(2)] },
  'Max of a number': { x: image, op: 'Max', others: [scalar(0.25)] },
  'Min of a number': { x: image, op: 'Min', others: [scalar(0.25)], at: 1 },
  'Add by channel': { x: image, op: 'Add', others: [random(1, 6, 1, 1)] },
  'Sub from a number': { x: image, op: 'Sub', others: [scalar(2)], at: 1 },
  'Mul by pixel': { x: image, op: 'Mul', others: [random(1, 7, 9)] },
  'Div by image and channel': { x: image, op: 'Div', others: [positive(1, 2, 6, 1, 1)] },
  'Add to a higher rank': { x: [9], op: 'Add', others: [random(1, 2, 6, 7, 9)] },
  'Sum of three': { x: image, op: 'Sum', others: [random(1, ...image), random(2, 1, 6, 1, 1)] },
  GlobalAveragePool: { x: image, op: 'GlobalAveragePool' },
  GlobalMaxPool: { x: image, op: 'GlobalMaxPool' },
  'MaxPool with uneven pads': {
    x: image,
    op: 'MaxPool',
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [0, 1, 1, 2] },
  },
  'MaxPool, rounded up': {
    x: image,
    op: 'MaxPool',
    attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 },
  },
  'MaxPool SAME_UPPER': {
    x: [1, 3, 8, 8],
    op: 'MaxPool',
    attributes: { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' },
  },
  'AveragePool, pads do not count': {
    x: image,
    op: 'AveragePool',
    attributes: { kernel_shape: [3, 2], strides: [1, 2], pads: [1, 1, 1, 1] },
  },
  'AveragePool, pads count': {
    x: image,
    op: 'AveragePool',
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
  },
  'AveragePool, rounded up': {
    x: image,
    op: 'AveragePool',
    attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 },
  },
  'ReduceMean of pixels': { x: image, op: 'ReduceMean', attributes: { axes: [2, 3], keepdims: 0 } },
  'ReduceMean, negative axes as an input': { x: image, op: 'ReduceMean', others: [ints(-1, -2)], opset: 18 },
  'ReduceMean of rows': { x: image, op: 'ReduceMean', attributes: { axes: [2], keepdims: 1 } },
  'ReduceMean of columns': { x: image, op: 'ReduceMean', attributes: { axes: [3], keepdims: 0 } },
  'ReduceMean of the last of three': { x: [2, 5, 12], op: 'ReduceMean', attributes: { axes: [-1], keepdims: 0 } },
  'ReduceMax of pixels': { x: image, op: 'ReduceMax', attributes: { axes: [2, 3], keepdims: 1 } },
  'Concat of channels': { x: image, op: 'Concat', attributes: { axis: 1 }, others: [random(1, 2, 3, 7, 9)] },
  'Concat of rows': { x: image, op: 'Concat', attributes: { axis: 2 }, others: [random(1, 2, 6, 2, 9)] },
  'Concat of columns': { x: image, op: 'Concat', attributes: { axis: -1 }, others: [random(1, 2, 6, 7, 1)], at: 1 },
  'Concat of images': { x: image, op: 'Concat', attributes: { axis: 0 }, others: [random(1, 1, 6, 7, 9)] },
  'Concat of vectors': { x: [2, 5], op: 'Concat', attributes: { axis: 0 }, others: [random(1, 3, 5)] },
  'Slice of channels': { x: image, op: 'Slice', others: [ints(1), ints(4), ints(1)] },
  'Slice of everything': { x: image, op: 'Slice', others: [ints(1, 0, -4, 2), ints(2, 9, 9223372036854775000, -1)] },
  'Slice by attributes': { x: image, op: 'Slice', attributes: { starts: [1], ends: [5], axes: [3] }, opset: 9 },
  'Split by sizes': { x: image, op: 'Split', attributes: { axis: 1 }, others: [ints(1, 2, 3)], outputs: 3 },
  'Split evenly': { x: image, op: 'Split', attributes: { axis: 1 }, outputs: 2, opset: 13 },
  Flatten: { x: image, op: 'Flatten' },
  'Flatten from another axis': { x: image, op: 'Flatten', attributes: { axis: 2 } },
  'Reshape with 0 and -1': { x: image, op: 'Reshape', others: [ints(0, -1)] },
  'Reshape to more dimensions': { x: image, op: 'Reshape', others: [ints(2, 3, 2, 63)] },
  'Squeeze of listed': { x: [2, 6, 1, 1], op: 'Squeeze', others: [ints(2, 3)] },
  'Squeeze of all': { x: [2, 6, 1, 1], op: 'Squeeze' },
  'Squeeze by attributes': { x: [2, 6, 1, 1], op: 'Squeeze', attributes: { axes: [-1] }, opset: 11 },
  Unsqueeze: { x: [2, 6], op: 'Unsqueeze', others: [ints(1, -1)] },
  'Transpose to NHWC': { x: image, op: 'Transpose', attributes: { perm: [0, 2, 3, 1] } },
  'Transpose of everything': { x: image, op: 'Transpose', attributes: { perm: [3, 1, 0, 2] } },
  'Transpose without an order': { x: [3, 4, 5], op: 'Transpose' },
  'Transpose of a matrix': { x: [3, 5], op: 'Transpose', attributes: { perm: [1, 0] } },
  Identity: { x: image, op: 'Identity' },
  Dropout: { x: image, op: 'Dropout' },
  'Cast to float': { x: image, op: 'Cast', attributes: { to: 1 } },
  'Expand of no effect': { x: image, op: 'Expand', others: [ints(1, 6, 1, 1)] },
  'Gemm as PyTorch has it': {
    x: [3, 10],
    op: 'Gemm',
    attributes: { transB: 1 },
    others: [random(1, 4, 10), random(2, 4)],
  },
  'Gemm with factors': {
    x: [3, 10],
    op: 'Gemm',
    attributes: { alpha: { float: 0.5 }, beta: { float: 2 } },
    others: [random(1, 10, 4), random(2, 1, 4)],
  },
  'Gemm with one bias': { x: [3, 10], op: 'Gemm', others: [random(1, 10, 4), scalar(0.5)] },
  'Gemm without bias': { x: [3, 10], op: 'Gemm', others: [random(1, 10, 4)] },
  MatMul: { x: [3, 10], op: 'MatMul', others: [random(1, 10, 4)] },
  'MatMul by pixel': { x: [2, 3, 5, 10], op: 'MatMul', others: [random(1, 10, 4)] },
  'Softmax of vectors': { x: [3, 10], op: 'Softmax' },
  'Softmax over channels': { x: image, op: 'Softmax', attributes: { axis: 1 } },
  'Softmax over columns': { x: image, op: 'Softmax' },
  'Softmax before version 13': { x: [3, 10], op: 'Softmax', opset: 11 },
  'Pad of pixels': { x: image, op: 'Pad', others: [ints(0, 0, 1, 2, 0, 0, 3, 0)] },
  'Pad of pixels and channels': { x: image, op: 'Pad', others: [ints(0, 1, 1, 2, 0, 2, 3, 0), scalar(0)] },
  'Pad of listed axes': { x: image, op: 'Pad', others: [ints(2, 1), undefined, ints(3)], opset: 18 },
  'Pad by attributes': { x: image, op: 'Pad', attributes: { pads: [0, 0, 1, 1, 0, 0, 1, 1] }, opset: 10 },
  'Resize, nearest as PyTorch has it': {
    x: image,
    op: 'Resize',
    attributes: { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
    others: [undefined, tensor([4], [1, 1, 2, 2])],
  },
  'Resize, nearest by default': { x: image, op: 'Resize', others: [undefined, tensor([4], [1, 1, 2, 3])] },
  'Resize, bilinear to sizes': {
    x: image,
    op: 'Resize',
    attributes: { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' },
    others: [undefined, undefined, ints(2, 6, 14, 5)],
  },
  'Resize, aligned corners': {
    x: image,
    op: 'Resize',
    attributes: { mode: 'linear', coordinate_transformation_mode: 'align_corners' },
    others: [undefined, undefined, ints(2, 6, 13, 18)],
  },
  Upsample: {
    x: image,
    op: 'Upsample',
    attributes: { mode: 'nearest' },
    others: [tensor([4], [1, 1, 2, 2])],
    opset: 9,
  },
};

describe('imported operators', () => {
  it.each(Object.entries(CASES))('%s', async (_, each) => {
    await expectImported(fileOf(each));
  });

  const REFUSED: Record<string, [Case, RegExp]> = {
    'an unknown operator': [{ x: image, op: 'Einsum' }, /node it \(Einsum\): this operator is not supported/],
    'weights from an input': [
      { x: [1, 6, 3, 3], op: 'Conv', others: [random(1, 1, 6, 7, 9)], at: 1 },
      /node it \(Conv\): its weight must be constant/,
    ],
    'a weight that does not fit': [
      { x: image, op: 'Conv', others: [random(1, 4, 5, 3, 3)] },
      /node it \(Conv\): conv2d: input \[2,6,7,9\] does not fit weight/,
    ],
    'a 1-D convolution': [{ x: [2, 6, 9], op: 'Conv', others: [random(1, 4, 6, 3)] }, /only 2-D convolutions/],
    'a window that does not fit': [
      { x: image, op: 'MaxPool', attributes: { kernel_shape: [9, 9] } },
      /node it \(MaxPool\): pool: a window of 9/,
    ],
    'a mean of channels': [{ x: image, op: 'ReduceMean', attributes: { axes: [1] } }, /only the pixels/],
    steps: [{ x: image, op: 'Slice', others: [ints(0), ints(6), ints(1), ints(2)] }, /steps of 2/],
    'a reshape that does not fit': [
      { x: image, op: 'Reshape', others: [ints(5, -1)] },
      /\[2,6,7,9\] cannot become \[5,-1\]/,
    ],
    'a dimension there is not': [{ x: image, op: 'Flatten', attributes: { axis: 7 } }, /no dimension 7 of 4/],
    reflection: [
      { x: image, op: 'Pad', attributes: { mode: 'reflect' }, others: [ints(0, 0, 1, 1, 0, 0, 1, 1)] },
      /zeros/,
    ],
    'operators of a vendor': [{ x: image, op: 'Relu', opset: 40 }, /operators of opset 40 are not supported/],
  };
  it.each(Object.entries(REFUSED))('refuses %s', (_, [each, message]) => {
    expect(() => importFile(fileOf(each))).toThrow(message);
  });
});

describe('what exporters write in several nodes', () => {
  const graphOf = (
    x: Shape,
    nodes: [op: string, inputs: string, output: string, attributes?: Record<string, Attribute>][],
    initializers: Record<string, Tensor> = {},
  ) =>
    onnxFile({
      nodes: nodes.map(([op, inputs, output, attributes]) => ({
        op,
        inputs: inputs === '' ? [] : inputs.split(' '),
        outputs: [output],
        attributes,
      })),
      initializers,
      inputs: { x },
      outputs: { y: undefined },
    });

  it('shapes computed from shapes', async () => {
    const graph = await expectImported(
      graphOf(
        [2, 6, 3, 3],
        [
          ['Shape', 'x', 's'],
          ['Constant', '', 'zero', { value: scalar(0, 'int64') }],
          ['Gather', 's zero', 'n', { axis: 0 }],
          ['Unsqueeze', 'n axes', 'n1'],
          ['Cast', 'n1', 'n32', { to: 6 }],
          ['Cast', 'n32', 'n64', { to: 7 }],
          ['Concat', 'n64 rest', 'shape', { axis: 0 }],
          ['Reshape', 'x shape', 'y'],
        ],
        { axes: ints(0), rest: ints(-1) },
      ),
    );
    expect(countOps(graph)).toEqual({ input: 1, reshape: 1 });
  });

  it("TensorFlow's NHWC graph leaves no transposition behind", async () => {
    const nchw = { perm: [0, 3, 1, 2] };
    const nhwc = { perm: [0, 2, 3, 1] };
    const graph = await expectImported(
      graphOf(
        [2, 9, 8, 3],
        [
          ['Transpose', 'x', 'a', nchw],
          ['Pad', 'a pads', 'padded'],
          ['Conv', 'padded w1', 'c1', { strides: [2, 2] }],
          ['BatchNormalization', 'c1 scale bias mean var', 'b1', { epsilon: { float: 1e-3 } }],
          ['Transpose', 'b1', 'h1', nhwc],
          // relu6(x + 3) / 6, a gate by channel, and a residual sum, all in NHWC.
          ['Add', 'h1 three', 'h2'],
          ['Clip', 'h2 low high', 'h3'],
          ['Mul', 'h3 sixth', 'h4'],
          ['Mul', 'h4 h1', 'h5'],
          ['ReduceMean', 'h5', 'g1', { axes: [1, 2], keepdims: 1 }],
          ['Transpose', 'g1', 'g2', nchw],
          ['Conv', 'g2 w2', 'g3'],
          ['Transpose', 'g3', 'g4', nhwc],
          ['Sigmoid', 'g4', 'g5'],
          ['Mul', 'h5 g5', 'h6'],
          ['Add', 'h6 channels', 'h7'],
          ['Transpose', 'h7', 'p1', nchw],
          ['MaxPool', 'p1', 'p2', { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'SAME_UPPER' }],
          ['Transpose', 'p2', 'p3', nhwc],
          ['Concat', 'p3 p3', 'p4', { axis: 3 }],
          ['ReduceMean', 'p4', 'v', { axes: [1, 2], keepdims: 0 }],
          ['MatMul', 'v dense', 'm'],
          ['Add', 'm last', 'y'],
        ],
        {
          pads: ints(0, 0, 0, 0, 0, 0, 1, 1),
          w1: random(1, 4, 3, 3, 3),
          scale: positive(2, 4),
          bias: random(3, 4),
          mean: random(4, 4),
          var: positive(5, 4),
          three: scalar(3),
          low: scalar(0),
          high: scalar(6),
          sixth: scalar(1 / 6),
          w2: random(6, 4, 4, 1, 1),
          channels: random(7, 4),
          dense: random(8, 8, 5),
          last: random(9, 5),
        },
      ),
    );
    // One transposition, of the input that this graph is given in NHWC; the padding is the convolution's, the bias the matrix product's.
    expect(countOps(graph)).toMatchObject({ transpose: 1, conv2d: 2, linear: 1, activation: 2, pool: 1 });
    expect(countOps(deploy(graph))).not.toHaveProperty('batch_norm');
  });

  it('a flattened NHWC image has its pixels in their order', async () => {
    await expectImported(
      graphOf(
        [2, 3, 4, 5],
        [
          ['Relu', 'x', 'a'],
          ['Transpose', 'a', 'b', { perm: [0, 2, 3, 1] }],
          ['Reshape', 'b shape', 'c'],
          ['Gemm', 'c w', 'y'],
        ],
        { shape: ints(-1, 60), w: random(1, 60, 4) },
      ),
    );
  });

  it('hard-swish as older exporters spell it', async () => {
    const graph = await expectImported(
      graphOf(
        image,
        [
          ['Add', 'x three', 'a'],
          ['Clip', 'a low high', 'b'],
          ['Mul', 'x b', 'c'],
          ['Div', 'c six', 'y'],
        ],
        { three: scalar(3), low: scalar(0), high: scalar(6), six: scalar(6) },
      ),
    );
    expect(countOps(graph)).toEqual({ input: 1, activation: 1 });
  });

  it('arithmetic on weights, and weights in other types', async () => {
    await expectImported(
      graphOf(
        image,
        [
          ['DequantizeLinear', 'q scale zero', 'w', { axis: 0 }],
          ['Mul', 'w half', 'w2'],
          ['Transpose', 'w2', 'w3', { perm: [1, 0, 2, 3] }],
          ['Cast', 'bias', 'b', { to: 1 }],
          ['Conv', 'x w3 b', 'y'],
        ],
        {
          q: tensor(
            [6, 4, 1, 1],
            [...noise([24], 1)].map((v) => Math.round(v * 100)),
            'int8',
          ),
          scale: positive(2, 6),
          zero: tensor([6], [1, 2, 3, 4, 5, 6], 'int8'),
          half: scalar(0.5),
          bias: tensor([4], [0.5, -1, 2, 0], 'double'),
        },
      ),
    );
  });

  it('numbers in lists of their own', async () => {
    await expectImported(
      graphOf(
        image,
        [
          ['Mul', 'x f', 'a'],
          ['Reshape', 'a s', 'y'],
        ],
        { f: { ...random(1, 6, 1, 1), listed: true }, s: { ...ints(2, -1), listed: true } },
      ),
    );
  });

  it('channels that are shuffled between groups', async () => {
    await expectImported(
      graphOf(
        [2, 12, 5, 3],
        [
          ['Reshape', 'x five', 'a'],
          ['Transpose', 'a', 'b', { perm: [0, 2, 1, 3, 4] }],
          ['Reshape', 'b four', 'y'],
        ],
        { five: ints(2, 3, 4, 5, 3), four: ints(2, 12, 5, 3) },
      ),
    );
  });

  it('quantised activations are refused with what to do', () => {
    const file = graphOf(image, [['QuantizeLinear', 'x s z', 'y']], { s: scalar(0.1), z: scalar(0, 'int8') });
    expect(() => importFile(file)).toThrow(/QuantizeLinear.*import the float32 model/);
  });

  it('nodes in any order, and those that nobody needs', () => {
    const graph = importFile(
      graphOf(image, [
        ['Sigmoid', 'a', 'y'],
        ['Einsum', 'x', 'unused'],
        ['Relu', 'x', 'a'],
      ]),
    );
    expect(countOps(graph)).toEqual({ input: 1, activation: 2 });
  });
});
