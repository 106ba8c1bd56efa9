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
}

export enum BinaryOperator {
  Add,
  Multiply,
  Subtract,
  Divide,
}
