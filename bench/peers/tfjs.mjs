/**
 * tfjs with its wasm backend (XNNPACK), running a plan (see plan.mjs) as its converter's graph executor would: NHWC, biases and
 * activations fused, every tensor disposed of after its last use.
 */

/** Loads tfjs with SIMD. In Node it never uses more than one thread. */
export async function loadTfjs() {
  const { createRequire } = await import('node:module');
  const require = createRequire(import.meta.url);
  const tf = require('@tensorflow/tfjs-core');
  const wasm = require('@tensorflow/tfjs-backend-wasm');
  wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  if (!(await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT'))) throw new Error('tfjs: SIMD is off');
  return tf;
}

/**
 * @param {any} tf
 * @param {import('./plan.mjs').Plan} plan
 * @param {Float32Array} weights
 * @returns {{ run(image: Float32Array): Float32Array, close(): void }} `image` is NHWC, tfjs's own layout
 */
export function createTfjs(tf, plan, weights) {
  const kept = [];
  const tensorOf = ({ at, shape }) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const tensor = tf.keep(tf.tensor(weights.subarray(at, at + size), shape));
    kept.push(tensor);
    return tensor;
  };
  const steps = plan.steps.map((step) => ({
    inputs: step.inputs,
    compute: kernels[step.op](
      tf,
      step,
      Object.fromEntries(Object.entries(step.weights ?? {}).map(([key, w]) => [key, tensorOf(w)])),
    ),
    dead: [],
  }));
  const lastUse = new Map();
  for (const [i, { inputs }] of steps.entries()) for (const slot of inputs) lastUse.set(slot, i);
  for (const [slot, i] of lastUse) if (slot !== plan.output) steps[i].dead.push(slot);

  const [n, c, h, w] = plan.input;
  return {
    run(image) {
      const slots = [tf.tensor(image, [n, h, w, c])];
      for (const { inputs, compute, dead } of steps) {
        slots.push(tf.tidy(() => compute(...inputs.map((i) => slots[i]))));
        for (const slot of dead) slots[slot].dispose();
      }
      const output = slots[plan.output];
      const data = output.dataSync();
      output.dispose();
      return data;
    },
    close() {
      for (const tensor of kept) tensor.dispose();
    },
  };
}

/** What tfjs fuses into convolutions and products; the others follow as element-wise operators. */
const FUSED = { none: 'linear', relu: 'relu', relu6: 'relu6', sigmoid: 'sigmoid', leaky_relu: 'leakyrelu' };

function activate(tf, kind, x) {
  switch (kind) {
    case 'none':
      return x;
    case 'relu':
      return tf.relu(x);
    case 'relu6':
      return tf.relu6(x);
    case 'sigmoid':
      return tf.sigmoid(x);
    case 'tanh':
      return tf.tanh(x);
    case 'leaky_relu':
      return tf.leakyRelu(x, 0.01);
    case 'hard_sigmoid':
      return tf.mul(tf.relu6(tf.add(x, 3)), 1 / 6);
    case 'hard_swish':
      return tf.mul(x, tf.mul(tf.relu6(tf.add(x, 3)), 1 / 6));
    default:
      throw new Error(`tfjs: no activation ${kind}`);
  }
}

/** The shape of an `[N,C,H,W]` value as tfjs has it. */
const nhwc = (shape) => (shape.length === 4 ? [shape[0], shape[2], shape[3], shape[1]] : shape);

/** For every operator: what computes it from its operands' tensors. */
const kernels = {
  conv2d(tf, { attrs }, { weight, bias }) {
    const { stride, dilation, groups, activation, residual, scale } = attrs;
    const [top, left, bottom, right] = attrs.padding;
    const fused = !residual && FUSED[activation] !== undefined;
    const options = {
      filter: weight,
      strides: stride,
      pad: [top, left, bottom, right].some((p) => p > 0)
        ? [
            [0, 0],
            [top, bottom],
            [left, right],
            [0, 0],
          ]
        : 'valid',
      dataFormat: 'NHWC',
      dilations: dilation,
      bias,
      activation: fused ? FUSED[activation] : 'linear',
      leakyreluAlpha: 0.01,
    };
    const convolve = groups > 1 ? tf.fused.depthwiseConv2d : tf.fused.conv2d;
    return (x, ...rest) => {
      const scaled = scale ? tf.mul(x, rest[0]) : x;
      let y = convolve({ x: scaled, ...options });
      if (residual) y = tf.add(y, rest[rest.length - 1]);
      return fused ? y : activate(tf, activation, y);
    };
  },
  linear(tf, { attrs: { activation } }, { weight, bias }) {
    const fused = FUSED[activation] !== undefined;
    const options = { b: weight, bias, activation: fused ? FUSED[activation] : 'linear', leakyreluAlpha: 0.01 };
    return (x) => {
      const y = tf.fused.matMul({ a: x, ...options });
      return fused ? y : activate(tf, activation, y);
    };
  },
  activation:
    (tf, { attrs }) =>
    (x) =>
      activate(tf, attrs.kind, x),
  binary(tf, { attrs: { kind, activation } }) {
    const compute = { add: tf.add, mul: tf.mul, sub: tf.sub, div: tf.div }[kind];
    return (a, b) => activate(tf, activation, compute(a, b));
  },
  concat: (tf, { shape }) => {
    const axis = shape.length === 4 ? 3 : 1;
    return (...xs) => tf.concat(xs, axis);
  },
  slice: (tf, { attrs: { start }, shape }) => {
    const size = nhwc(shape);
    const begin = size.map((_, i) => (i === size.length - 1 ? start : 0));
    return (x) => tf.slice(x, begin, size);
  },
  // XNNPACK's pooling; `tf.mean` would transpose first.
  global_average_pool: (tf) => (x) => tf.avgPool(x, [x.shape[1], x.shape[2]], 1, 'valid'),
  reshape: (tf, { shape }) => {
    if (shape.length === 4) throw new Error('tfjs: reshapes only to vectors');
    return (x) => {
      if (x.shape.length === 4 && x.shape[1] * x.shape[2] > 1) throw new Error('tfjs: reshapes only single pixels');
      return tf.reshape(x, shape);
    };
  },
  dropout: () => (x) => x.clone(),
};
