/**
 * A network as plain data for the tfjs interpreter: steps in order, each with the slots it reads and its attributes, and all weights in
 * one array, in tfjs's own layout. It is what a tfjs converter would have left on disk, so that tfjs needs nothing of ghostkit's.
 */

/** @typedef {{ op: string, inputs: number[], attrs: any, shape: number[], weights?: Record<string, { at: number, shape: number[] }> }} Step */
/** @typedef {{ input: number[], steps: Step[], output: number }} Plan */

/**
 * @param {import('../../dist/graph/value.js').Graph} graph one input, output `logits`, deployed and fused
 * @param {{ dataOf: Function, valuesOf: Function, conv2dOperands: Function }} ghostkit
 * @returns {{ plan: Plan, weights: Float32Array }}
 */
export function planOf(graph, { dataOf, valuesOf, conv2dOperands }) {
  const chunks = [];
  let floats = 0;
  const store = (data, shape) => {
    chunks.push(data);
    floats += data.length;
    return { at: floats - data.length, shape };
  };
  const slots = new Map(Object.values(graph.inputs).map((value) => [value, 0]));
  const slot = (value) => {
    const known = slots.get(value);
    if (known === undefined)
      throw new Error(`tfjs: ${value.op.name} is an operand where only a computed value is expected`);
    return known;
  };
  const steps = [];
  for (const value of valuesOf(graph)) {
    if (slots.has(value) || dataOf(value)) continue;
    const step = { op: value.op.name, inputs: [], attrs: value.attrs, shape: value.shape };
    if (step.op === 'conv2d') {
      const { x, weight, bias, scale, residual } = conv2dOperands(value);
      step.inputs = [x, scale, residual].filter((v) => v !== undefined).map(slot);
      step.weights = { weight: store(...convWeight(dataOf(weight), weight.shape, value.attrs.groups)) };
      if (bias) step.weights.bias = store(dataOf(bias), bias.shape);
    } else if (step.op === 'linear') {
      const [x, weight, bias] = value.inputs;
      step.inputs = [slot(x)];
      step.weights = { weight: store(...transposed(dataOf(weight), weight.shape)) };
      if (bias) step.weights.bias = store(dataOf(bias), bias.shape);
    } else {
      step.inputs = value.inputs.map(slot);
    }
    slots.set(value, steps.length + 1);
    steps.push(step);
  }
  const weights = new Float32Array(floats);
  let at = 0;
  for (const chunk of chunks) {
    weights.set(chunk, at);
    at += chunk.length;
  }
  const [input] = Object.values(graph.inputs);
  return { plan: { input: input.shape, steps, output: slot(graph.outputs.logits) }, weights };
}

/** `[O, C, kH, kW]` to `[kH, kW, C, O]`; depthwise `[C, 1, kH, kW]` to `[kH, kW, C, 1]`. */
function convWeight(data, [o, c, kh, kw], groups) {
  const depthwise = groups > 1;
  if (depthwise && (c !== 1 || o !== groups))
    throw new Error(`tfjs: no convolution of ${groups} groups with ${c} channels each`);
  const out = new Float32Array(data.length);
  const pixels = kh * kw;
  for (let i = 0; i < o; i++) {
    for (let j = 0; j < c; j++) {
      for (let p = 0; p < pixels; p++) out[(p * c + j) * o + i] = data[(i * c + j) * pixels + p];
    }
  }
  return [out, depthwise ? [kh, kw, o, 1] : [kh, kw, c, o]];
}

function transposed(data, [o, k]) {
  const out = new Float32Array(data.length);
  for (let i = 0; i < o; i++) for (let j = 0; j < k; j++) out[j * o + i] = data[i * k + j];
  return [out, [k, o]];
}
