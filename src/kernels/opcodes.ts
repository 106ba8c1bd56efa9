// Read by both compilers: AssemblyScript takes it as the kernels' dispatch table, TypeScript as the numbers to emit. The order of a
// kernel's arguments is written at the head of its file.

export enum Opcode {
  Conv,
  Depthwise,
  Affine,
  Unary,
  Binary,
  Pool,
  GlobalAveragePool,
  Softmax,
  Copy,
  ToChannelsLast,
  ToChannelsFirst,
  InstanceStatistics,
  InstanceNorm,
  PRelu,
  Resize,
  CorrelationPack,
  Correlation,
  Winograd,
  BatchMoments,
  BatchMomentsEnd,
  SumChunks,
  BatchNormAffine,
  BatchNormSums,
  BatchNormInputGradient,
  ConvWeightGradient,
  ConvWeightGradientEnd,
  DepthwiseWeightGradient,
  DepthwiseWeightGradientEnd,
  PackPanels,
  PackDepthwise,
  Dilate,
  CrossEntropy,
  CrossEntropyGradient,
  ActivationGradient,
  SumTo,
  Sgd,
  AdamW,
  Average,
  SquaredNorm,
  ClipFactor,
  Dropout,
  PoolGradient,
  FewOutputs,
  DepthwiseInputGradient,
  BatchNormPair,
  BatchNormPairSums,
  BatchNormPairInputGradient,
  Int8Conv,
  Int8Depthwise,
  Int8FromPlanes,
  Int8FromFloats,
  Int8ToFloats,
  Int8Copy,
  Int8Table,
  Int8Add,
  Int8Gate,
  Int8GlobalAveragePool,
  Loop,
  LayerNorm,
}

/** Whether only training has a kernel: the others are in every build. */
export function isForTraining(opcode: Opcode): boolean {
  if (opcode == Opcode.FewOutputs) return false;
  return (opcode >= Opcode.BatchMoments && opcode < Opcode.Int8Conv) || opcode == Opcode.Loop;
}

export enum CallFlag {
  /** Set in a call's number when no later call needs another thread's share of it: the threads then do not meet behind it. */
  Alone = 0x10000,
}

export enum Activation {
  None,
  Relu,
  Relu6,
  HardSigmoid,
  HardSwish,
  Sigmoid,
  Tanh,
  LeakyRelu,
  Gelu,
  Erf,
  Exp,
  Log,
  Sqrt,
}

export enum BinaryOperator {
  Add,
  Multiply,
  Subtract,
  Divide,
  Maximum,
  Minimum,
}
