import { describe, expect, it } from 'vitest';
import { exportOnnx } from '../../../src/formats/onnx/export.js';
import { deploy } from '../../../src/graph/passes/deploy.js';
import { countOps } from '../../../src/graph/value.js';
import type { Shape } from '../../../src/tensor/tensor.js';
import { ints, onnxFile, scalar, tensor } from '../../support/onnx-files.mjs';
import { type Attribute, expectImported, image, importFile, positive, random, type Tensor } from './imported.js';
import { expectClose, noise, runOnnx } from './run.js';

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
        outputs: output.split(' '),
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

  it('GELU in terms of the error function, whatever is multiplied first', async () => {
    const numbers = { root: scalar(Math.SQRT2), half: scalar(0.5), one: scalar(1) };
    for (const last of [
      [
        ['Mul', 'x sum', 'product'],
        ['Mul', 'product half', 'y'],
      ],
      [
        ['Mul', 'x half', 'product'],
        ['Mul', 'product sum', 'y'],
      ],
    ] as const) {
      const below = [
        ['Div', 'x root', 'scaled'],
        ['Erf', 'scaled', 'erf'],
        ['Add', 'erf one', 'sum'],
      ] as const;
      const graph = await expectImported(graphOf(image, [...below, ...last] as never, numbers));
      expect(countOps(graph)).toEqual({ input: 1, activation: 1 });
    }
  });

  it('roots, logarithms and powers of what is positive', async () => {
    const positive = [['Exp', 'x', 'p'] as const];
    for (const last of [
      ['Sqrt', 'p', 'y'],
      ['Log', 'p', 'y'],
      ['Reciprocal', 'p', 'y'],
      ['Pow', 'p exponent', 'y'],
    ] as const) {
      await expectImported(graphOf(image, [...positive, last] as never, { exponent: scalar(-1.7) }));
    }
  });

  it('weights that their reader standardises', async () => {
    const file = graphOf(
      [2, 3, 8, 8],
      [
        ['Reshape', 'w flat', 'rows'],
        [
          'BatchNormalization',
          'rows gain zeros zeros ones',
          'normal new-mean new-variance',
          { training_mode: 1, epsilon: { float: 1e-6 } },
        ],
        ['Reshape', 'normal whole', 'standard'],
        ['Conv', 'x standard', 'first'],
        // And as arithmetic.
        ['ReduceMean', 'v', 'mean', { axes: [1, 2, 3] }],
        ['Sub', 'v mean', 'centred'],
        ['Mul', 'centred centred', 'squares'],
        ['ReduceSum', 'squares axes', 'total'],
        ['Sqrt', 'total', 'deviation'],
        ['Max', 'deviation least', 'bounded'],
        ['Div', 'centred bounded', 'second'],
        ['Conv', 'first second', 'y'],
      ],
      {
        w: random(1, 4, 3, 3, 3),
        v: random(2, 5, 4, 1, 2),
        flat: ints(1, 4, -1),
        whole: ints(4, 3, 3, 3),
        axes: ints(1, 2, 3),
        gain: positive(3, 4),
        zeros: tensor([4], [0, 0, 0, 0]),
        ones: tensor([4], [1, 1, 1, 1]),
        least: scalar(1e-3),
      },
    );
    expect(countOps(await expectImported(file))).toEqual({ input: 1, constant: 2, conv2d: 2 });
  });

  it("padding that is computed as TensorFlow's is", async () => {
    const numbers = {
      two: scalar(2),
      kernel: scalar(3),
      none: scalar(0),
      size: scalar(7),
      axis: ints(0),
      before: ints(0, 0),
    };
    const graph = await expectImported(
      graphOf(
        [1, 2, 7, 7],
        [
          ['Div', 'size two', 'half'],
          ['Ceil', 'half', 'steps'],
          ['Sub', 'steps one', 'last'],
          ['Mul', 'last two', 'start'],
          ['Add', 'start kernel', 'end'],
          ['Sub', 'end size', 'over'],
          ['Clip', 'over none', 'total'],
          ['Div', 'total two', 'part'],
          ['Cast', 'part', 'top', { to: 7 }],
          ['Cast', 'total', 'all', { to: 7 }],
          ['Sub', 'all top', 'bottom'],
          ['Unsqueeze', 'top axis', 't'],
          ['Unsqueeze', 'bottom axis', 'b'],
          ['Concat', 'before t t before b b', 'pads', { axis: 0 }],
          ['Pad', 'x pads', 'padded'],
          ['Conv', 'padded w', 'y', { strides: [2, 2] }],
        ],
        { ...numbers, one: scalar(1), w: random(1, 3, 2, 3, 3) },
      ),
    );
    expect(countOps(graph)).toEqual({ input: 1, constant: 1, conv2d: 1 });
  });

  it('a norm over the channels in a graph that is left open for any batch', async () => {
    const file = graphOf(
      [2, 12, 8],
      [
        ['LayerNormalization', 'x scale shift', 'normal'],
        ['MatMul', 'normal dense', 'wide'],
        ['ReduceMean', 'wide', 'y', { axes: [1], keepdims: 0 }],
      ],
      { scale: positive(1, 8), shift: random(2, 8), dense: random(3, 8, 5) },
    );
    const graph = await expectImported(file);
    const again = exportOnnx(graph, { dynamicBatch: true });
    const data = noise([3, 12, 8], 9);
    const { y } = await runOnnx(again, { x: { shape: [3, 12, 8], data } });
    const { y: first } = await runOnnx(file, { x: { shape: [2, 12, 8], data: data.slice(0, 192) } });
    expectClose(y.data.slice(0, 10), first.data);
    expect(y.shape).toEqual([3, 5]);
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

  it.each(['float', 'double'] as const)('sizes computed in %s', async (type) => {
    // 0.7 of 10 and of 20 are 7 and 14 in float32, and less than that in double.
    await expectImported(
      graphOf(
        [1, 2, 10, 20],
        [
          ['Shape', 'x', 's'],
          ['Slice', 's two four', 'pixels'],
          ['Cast', 'pixels', 'real', { to: type === 'float' ? 1 : 11 }],
          ['Mul', 'real factor', 'scaled'],
          ['Floor', 'scaled', 'whole'],
          ['Cast', 'whole', 'size', { to: 7 }],
          ['Concat', 'images size', 'sizes', { axis: 0 }],
          ['Resize', 'x none none sizes', 'y', { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }],
        ],
        {
          ...{ two: ints(2), four: ints(4), images: ints(1, 2), none: tensor([0], []) },
          factor: scalar(0.7, type),
        },
      ),
    );
  });

  it('the least and the most of several numbers', async () => {
    await expectImported(
      graphOf(
        image,
        [
          ['Max', 'a b c', 'most'],
          ['Min', 'most', 'same'],
          ['Mul', 'x same', 'y'],
        ],
        { a: scalar(1), b: random(1, 1, 6, 1, 1), c: scalar(5) },
      ),
    );
  });

  it.each([0, 1])('the product of a list with noop_with_empty_axes %d', async (noop) => {
    const attributes = { noop_with_empty_axes: noop, keepdims: noop };
    const nodes = [
      { op: 'ReduceProd', inputs: ['a'], outputs: ['p'], attributes },
      { op: 'Mul', inputs: ['x', 'p'], outputs: ['y'] },
    ];
    const initializers = { a: positive(1, 1, 6, 1, 1) };
    const graph = { nodes, initializers, inputs: { x: image }, outputs: { y: undefined } };
    await expectImported(onnxFile(graph, { opset: 18 }));
  });

  it('weights that are named as another in its other form would be', async () => {
    const weights = { w: random(1, 6, 6), 'w.transposed': random(2, 6, 6), b: random(3, 6), 'b.scaled2': random(4, 6) };
    await expectImported(
      graphOf(
        [2, 6],
        [
          ['Gemm', 'x w b', 'h', { beta: { float: 2 } }],
          ['Gemm', 'h w.transposed b.scaled2', 'y', { transB: 1 }],
        ],
        weights,
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
