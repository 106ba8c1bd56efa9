import { setFlagsFromString } from 'node:v8';
import { exportOnnx } from '../../dist/formats/onnx/export.js';
import { dataOf } from '../../dist/graph/leaves.js';
import { deploy, optimize } from '../../dist/graph/passes/deploy.js';
import { valuesOf } from '../../dist/graph/value.js';
import { assignNamedWeights, namedInput } from '../../dist/models/named-weights.js';
import { createModel } from '../../dist/models/registry.js';
import { compile, compileGraph, compileGraphToBytes, compileToBytes, macsOf } from '../../dist/nn/compile.js';
import { trace } from '../../dist/nn/trace.js';
import { conv2dOperands } from '../../dist/ops/conv2d.js';
import { quantizeModel } from '../../dist/quantize/quantize.js';
import { enableWideSimd } from '../../dist/runtime/platform.js';
import { planOf } from '../peers/plan.mjs';

/**
 * Switches on what V8 has behind flags, before anything is compiled: relaxed SIMD, which ghostkit does by itself on Node 20, and vectors of 256 bits. Whoever
 * else has a use for them shall have them too.
 */
export async function enableFastSimd() {
  await enableWideSimd();
  if (Number(process.versions.node.split('.')[0]) < 22) setFlagsFromString('--experimental-wasm-relaxed-simd');
}

/** Pictures that a quantisation is calibrated on. */
const CALIBRATION = 4;

/** A registered network with weights made from their names, and every form of it that a runtime takes. */
export function networkFor(name, size = 224) {
  const model = assignNamedWeights(createModel(name));
  const shape = [1, 3, size, size];
  const graph = deploy(trace(model, { input: shape }));
  const image = namedInput('image', shape).data;
  return {
    model,
    shape,
    macs: macsOf(graph),
    /** Row-major `[1,3,H,W]`. */
    image,
    /** The same picture in tfjs's layout. */
    imageNhwc: channelsLast(image, 3),
    onnx: () => exportOnnx(graph, { name }),
    plan: () => planOf(optimize(graph), { dataOf, valuesOf, conv2dOperands }),
    /** A compiled model's file, for at most as many threads. */
    compiled: (threads, options) => compileToBytes(model, { input: shape, threads, ...options }),
    /** The same in 8 bits. */
    int8: () => quantizedOnce(name, model, image, shape),
    compile: (threads) => compile(model, { input: shape, deploy: true, threads }),
  };
}

const quantized = new Map();

/** Quantising takes seconds, and several benches of one run may want the same network. */
function quantizedOnce(name, model, image, shape) {
  const key = `${name} ${shape}`;
  if (!quantized.has(key)) quantized.set(key, quantizedFor(name, model, image, shape));
  return quantized.get(key);
}

/**
 * A network in 8 bits, every layer of it: that its answers are near the float network's is checked, how good they are depends on weights and
 * pictures that are none of this. Where it cannot be quantised, the reason.
 *
 * @returns {Promise<{ compiled(threads: number): Uint8Array, logits: Float32Array } | { reason: string }>} `logits`: for `image`
 */
async function quantizedFor(name, model, image, shape) {
  const calibration = Array.from({ length: CALIBRATION }, (_, i) => namedInput(`calibration ${i}`, shape));
  let graph;
  try {
    ({ graph } = await quantizeModel(model, { calibration, floatLayers: [] }));
  } catch (error) {
    if (error.name !== 'GhostkitError') throw error;
    return { reason: error.message };
  }
  const logitsOf = (net) => {
    const { data } = net.run({ image }).logits;
    net.close();
    return data;
  };
  const logits = logitsOf(await compileGraph(graph, { deploy: false }));
  const float = logitsOf(await compile(model, { input: shape }));
  const norm = (values) => Math.hypot(...values);
  const error = norm(logits.map((v, i) => v - float[i])) / norm(float);
  if (!(error < 0.1)) throw new Error(`${name}: int8 differs from fp32 by ${(100 * error).toFixed(0)} % of the logits`);
  return { compiled: (threads) => compileGraphToBytes(graph, { deploy: false, threads }), logits };
}

function channelsLast(data, channels) {
  const pixels = data.length / channels;
  const out = new Float32Array(data.length);
  for (let c = 0; c < channels; c++) for (let p = 0; p < pixels; p++) out[p * channels + c] = data[c * pixels + p];
  return out;
}
