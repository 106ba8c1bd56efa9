import type { Value } from '../../graph/value.js';
import { Module, Parameter } from '../../nn/module.js';
import * as ops from '../../ops/index.js';
import { eachOffset } from '../../ops/shapes.js';
import type { FloatTensor } from '../../tensor/tensor.js';

/** The slope of the detector's leaky ReLU below zero. */
const SLOPE = 0.1;

/** TensorFlow's `same` padding for a window of three at an even size: with stride 2 it only pads behind. */
const samePadding = (stride: number) => (stride === 1 ? 1 : ([0, 0, 1, 1] as const));

/** A convolution with a bias: `filters: [out, in, kernel, kernel]`. */
class Convolution extends Module {
  readonly filters: Parameter;
  readonly bias: Parameter;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    private readonly options: ops.Conv2dOptions = {},
  ) {
    super();
    this.filters = new Parameter([outChannels, inChannels, kernel, kernel]);
    this.bias = new Parameter([outChannels]);
  }

  forward(x: Value): Value {
    return ops.conv2d(x, this.filters.value, this.bias.value, this.options);
  }
}

/** A depthwise 3x3 convolution without a bias, then a pointwise one with a bias. */
class SeparableConvolution extends Module {
  readonly depthwise_filter: Parameter;
  readonly pointwise_filter: Parameter;
  readonly bias: Parameter;

  constructor(
    inChannels: number,
    outChannels: number,
    private readonly stride = 1,
  ) {
    super();
    this.depthwise_filter = new Parameter([inChannels, 1, 3, 3]);
    this.pointwise_filter = new Parameter([outChannels, inChannels, 1, 1]);
    this.bias = new Parameter([outChannels]);
  }

  forward(x: Value): Value {
    const { stride } = this;
    const options = { stride, padding: samePadding(stride), groups: x.shape[1] };
    const depthwise = ops.conv2d(x, this.depthwise_filter.value, undefined, options);
    return ops.conv2d(depthwise, this.pointwise_filter.value, this.bias.value);
  }
}

/**
 * The tiny face detector of face-api.js: YOLO v2's head on six separable convolutions. `[N,3,H,W]`, pixels less the mean over
 * 255, H and W multiples of 32, to `[N,25,H/32,W/32]`: for each of five anchors x, y, log width, log height and score.
 */
export class TinyFaceDetector extends Module {
  readonly conv0 = new Convolution(3, 16, 3);
  readonly conv1 = new SeparableConvolution(16, 32);
  readonly conv2 = new SeparableConvolution(32, 64);
  readonly conv3 = new SeparableConvolution(64, 128);
  readonly conv4 = new SeparableConvolution(128, 256);
  readonly conv5 = new SeparableConvolution(256, 512);
  readonly conv8 = new Convolution(512, 25, 1);

  forward(x: Value): Value {
    const { conv0, conv1, conv2, conv3, conv4, conv5, conv8 } = this;
    // The first convolution is not padded, so the second pool meets an odd size: TensorFlow's `same` padding.
    const halve = (y: Value) => ops.maxPool(y, 2, { padding: [0, 0, y.shape[2] % 2, y.shape[3] % 2] });
    let y = ops.leakyRelu(conv0.forward(x), SLOPE);
    for (const conv of [conv1, conv2, conv3, conv4, conv5]) y = ops.leakyRelu(conv.forward(halve(y)), SLOPE);
    // The last pool keeps the size.
    return conv8.forward(ops.maxPool(y, 2, { stride: 1, padding: [0, 0, 1, 1] }));
  }
}

/** Four convolutions, each reading the sum of all before it; the first halves the size. */
class DenseBlock extends Module {
  readonly conv0: Convolution | SeparableConvolution;
  readonly conv1: SeparableConvolution;
  readonly conv2: SeparableConvolution;
  readonly conv3: SeparableConvolution;

  constructor(inChannels: number, outChannels: number, first = false) {
    super();
    this.conv0 = first
      ? new Convolution(inChannels, outChannels, 3, { stride: 2, padding: samePadding(2) })
      : new SeparableConvolution(inChannels, outChannels, 2);
    this.conv1 = new SeparableConvolution(outChannels, outChannels);
    this.conv2 = new SeparableConvolution(outChannels, outChannels);
    this.conv3 = new SeparableConvolution(outChannels, outChannels);
  }

  forward(x: Value): Value {
    // What is added is not rectified, the first convolution's output excepted.
    let sum: Value = ops.relu(this.conv0.forward(x));
    let y: Value = sum;
    for (const conv of [this.conv1, this.conv2, this.conv3]) {
      sum = ops.add(sum, conv.forward(y));
      y = ops.relu(sum);
    }
    return y;
  }
}

class FullyConnected extends Module {
  readonly weights: Parameter;
  readonly bias: Parameter;

  constructor(inFeatures: number, outFeatures: number) {
    super();
    this.weights = new Parameter([outFeatures, inFeatures]);
    this.bias = new Parameter([outFeatures]);
  }

  forward(x: Value): Value {
    return ops.linear(x, this.weights.value, this.bias.value);
  }
}

/**
 * The 68-point landmark network of face-api.js. `[N,3,112,112]`, a face filling the square, pixels less the mean over 255, to
 * `[N,136]`: x and y of every point as a share of the square.
 */
export class FaceLandmarks68 extends Module {
  readonly dense0 = new DenseBlock(3, 32, true);
  readonly dense1 = new DenseBlock(32, 64);
  readonly dense2 = new DenseBlock(64, 128);
  readonly dense3 = new DenseBlock(128, 256);
  readonly fc = new FullyConnected(256, 136);

  forward(x: Value): Value {
    let y = x;
    for (const block of [this.dense0, this.dense1, this.dense2, this.dense3]) y = block.forward(y);
    return this.fc.forward(ops.flatten(ops.globalAveragePool(y)));
  }
}

/** A tensor of TensorFlow's with its dimensions in PyTorch's order. */
function reordered(name: string, { shape, data }: FloatTensor): FloatTensor {
  if (shape.length < 2) return { dtype: 'float32', shape, data };
  // [height, width, in, out] to [out, in, height, width]; a depthwise filter is [height, width, channels, 1].
  const order = shape.length === 2 ? [1, 0] : name.endsWith('depthwise_filter') ? [2, 3, 0, 1] : [3, 2, 0, 1];
  const steps = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  const target = order.map((d) => shape[d]);
  const out = new Float32Array(data.length);
  eachOffset(target, [order.map((d) => steps[d])], (i, [from]) => {
    out[i] = data[from];
  });
  return { dtype: 'float32', shape: target, data: out };
}

/** The state dict that TensorFlow.js weights amount to: `conv1/depthwise_filter` is `conv1.depthwise_filter` here. */
export function stateOfTfjs(weights: ReadonlyMap<string, FloatTensor>): Map<string, FloatTensor> {
  return new Map([...weights].map(([name, tensor]) => [name.replaceAll('/', '.'), reordered(name, tensor)]));
}
