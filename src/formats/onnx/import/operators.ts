import { isRealType } from '../tensor.js';
import { importBinary } from './broadcast.js';
import {
  importAbs,
  importCelu,
  importClip,
  importElu,
  importErf,
  importExp,
  importExtreme,
  importGelu,
  importHardSigmoid,
  importHardSwish,
  importLeakyRelu,
  importLog,
  importMish,
  importNeg,
  importPow,
  importPRelu,
  importReciprocal,
  importRelu,
  importSelu,
  importSigmoid,
  importSoftplus,
  importSoftsign,
  importSqrt,
  importSwish,
  importTanh,
} from './elementwise.js';
import { importBatchNorm, importConv, importGemm, importMatMul, importSum } from './layers.js';
import {
  importBlocks,
  importConcat,
  importExpand,
  importFlatten,
  importGather,
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
import { importGroupNorm, importInstanceNorm, importLayerNorm, importLrn } from './norms.js';
import { importGlobalPool, importLogSoftmax, importReduce } from './reduce.js';
import { importResize } from './resize.js';
import type { Tensor } from './tensors.js';
import { importPool } from './windows.js';

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
  Celu: importCelu,
  Clip: importClip,
  Concat: importConcat,
  Conv: importConv,
  DepthToSpace: importBlocks,
  DequantizeLinear: quantized,
  Div: importBinary,
  Dropout: importDropout,
  Elu: importElu,
  Erf: importErf,
  Exp: importExp,
  Expand: importExpand,
  Flatten: importFlatten,
  Gather: importGather,
  Gelu: importGelu,
  Gemm: importGemm,
  GlobalAveragePool: importGlobalPool,
  GlobalMaxPool: importGlobalPool,
  GroupNormalization: importGroupNorm,
  HardSigmoid: importHardSigmoid,
  HardSwish: importHardSwish,
  Identity: unchanged,
  InstanceNormalization: importInstanceNorm,
  LayerNormalization: importLayerNorm,
  LeakyRelu: importLeakyRelu,
  Log: importLog,
  LogSoftmax: importLogSoftmax,
  LRN: importLrn,
  MatMul: importMatMul,
  Max: importExtreme,
  MaxPool: importPool,
  Min: importExtreme,
  Mish: importMish,
  Mul: importBinary,
  Neg: importNeg,
  Pad: importPad,
  Pow: importPow,
  PRelu: importPRelu,
  QuantizeLinear: quantized,
  Reciprocal: importReciprocal,
  ReduceL1: importReduce,
  ReduceL2: importReduce,
  ReduceLogSum: importReduce,
  ReduceLogSumExp: importReduce,
  ReduceMax: importReduce,
  ReduceMean: importReduce,
  ReduceMin: importReduce,
  ReduceSum: importReduce,
  ReduceSumSquare: importReduce,
  Relu: importRelu,
  Reshape: importReshape,
  Resize: importResize,
  Selu: importSelu,
  Sigmoid: importSigmoid,
  Slice: importSlice,
  Softmax: importSoftmax,
  Softplus: importSoftplus,
  Softsign: importSoftsign,
  SpaceToDepth: importBlocks,
  Split: importSplit,
  Sqrt: importSqrt,
  Squeeze: importSqueeze,
  Sub: importBinary,
  Sum: importSum,
  Swish: importSwish,
  Tanh: importTanh,
  Transpose: importTranspose,
  Unsqueeze: importUnsqueeze,
  Upsample: importResize,
};
