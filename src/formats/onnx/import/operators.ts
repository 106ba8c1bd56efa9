import { isRealType } from '../tensor.js';
import {
  importAbs,
  importBinary,
  importClip,
  importExtreme,
  importHardSigmoid,
  importHardSwish,
  importLeakyRelu,
  importNeg,
  importPRelu,
  importRelu,
  importSigmoid,
  importTanh,
} from './elementwise.js';
import { importBatchNorm, importConv, importGemm, importInstanceNorm, importMatMul, importSum } from './layers.js';
import {
  importConcat,
  importExpand,
  importFlatten,
  importPad,
  importReshape,
  importSlice,
  importSoftmax,
  importSplit,
  importSqueeze,
  importTranspose,
  importUnsqueeze,
} from './movement.js';
import type { Node } from './node.js';
import { importResize } from './resize.js';
import type { Tensor } from './tensors.js';
import { importGlobalPool, importPool, importReduce } from './windows.js';

/** What a node makes of its inputs: its first result, or all of them. */
export type NodeImporter = (node: Node) => Tensor | readonly Tensor[];

const unchanged: NodeImporter = (node) => node.input(0);

/** Real numbers are float32 here, whichever they were; to whole numbers they would have to be rounded. */
const importCast: NodeImporter = (node) => {
  const to = node.number('to', 0);
  return isRealType(to) ? node.input(0) : node.fail(`only casts to real numbers are supported, not to type ${to}`);
};

const importDropout: NodeImporter = (node) => {
  if (node.has(2) && node.scalar(2, 'training mode') !== 0) {
    return node.fail('it is in training mode; export the model in evaluation mode');
  }
  return node.input(0);
};

const quantized: NodeImporter = (node) =>
  node.fail('quantised activations are not supported; import the float32 model and quantise that');

/** The operators that are imported where they are computed at run time, by their ONNX names. */
export const OPERATORS: Readonly<Record<string, NodeImporter>> = {
  Abs: importAbs,
  Add: importBinary,
  AveragePool: importPool,
  BatchNormalization: importBatchNorm,
  Cast: importCast,
  Clip: importClip,
  Concat: importConcat,
  Conv: importConv,
  DequantizeLinear: quantized,
  Div: importBinary,
  Dropout: importDropout,
  Expand: importExpand,
  Flatten: importFlatten,
  Gemm: importGemm,
  GlobalAveragePool: importGlobalPool,
  GlobalMaxPool: importGlobalPool,
  HardSigmoid: importHardSigmoid,
  HardSwish: importHardSwish,
  Identity: unchanged,
  InstanceNormalization: importInstanceNorm,
  LeakyRelu: importLeakyRelu,
  MatMul: importMatMul,
  Max: importExtreme,
  MaxPool: importPool,
  Min: importExtreme,
  Mul: importBinary,
  Neg: importNeg,
  Pad: importPad,
  PRelu: importPRelu,
  QuantizeLinear: quantized,
  ReduceMax: importReduce,
  ReduceMean: importReduce,
  Relu: importRelu,
  Reshape: importReshape,
  Resize: importResize,
  Sigmoid: importSigmoid,
  Slice: importSlice,
  Softmax: importSoftmax,
  Split: importSplit,
  Squeeze: importSqueeze,
  Sub: importBinary,
  Sum: importSum,
  Tanh: importTanh,
  Transpose: importTranspose,
  Unsqueeze: importUnsqueeze,
  Upsample: importResize,
};
