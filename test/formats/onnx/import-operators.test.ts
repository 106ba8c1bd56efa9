import { describe, expect, it } from 'vitest';
import { ints, scalar } from '../../support/onnx-files.mjs';
import { type Case, expectImported, fileOf, image, importFile, positive, random } from './imported.js';

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
  'Split into num_outputs': { x: image, op: 'Split', attributes: { axis: 2, num_outputs: 3 }, outputs: 3, opset: 18 },
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
    'a cast to whole numbers': [
      { x: image, op: 'Cast', attributes: { to: 7 } },
      /node it \(Cast\): only casts to real numbers are supported, not to type 7/,
    ],
    'a cast to truth values': [{ x: image, op: 'Cast', attributes: { to: 9 } }, /not to type 9/],
    'a cast to nothing': [{ x: image, op: 'Cast', attributes: { to: -1 } }, /not to type -1/],
    'more parts than outputs': [
      { x: [1, 9000], op: 'Split', attributes: { axis: 1, num_outputs: 9000 }, outputs: 2, opset: 18 },
      /node it \(Split\): it has 2 outputs and num_outputs 9000/,
    ],
    'more sizes of parts than outputs': [
      { x: image, op: 'Split', attributes: { axis: 1 }, others: [ints(1, 2, 3)], outputs: 2 },
      /node it \(Split\): it has 3 parts for 2 outputs/,
    ],
    'operators of a vendor': [{ x: image, op: 'Relu', opset: 40 }, /operators of opset 40 are not supported/],
  };
  it.each(Object.entries(REFUSED))('refuses %s', (_, [each, message]) => {
    expect(() => importFile(fileOf(each))).toThrow(message);
  });
});
