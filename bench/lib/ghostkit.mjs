import { setFlagsFromString } from 'node:v8';
import { exportOnnx } from '../../dist/formats/onnx/export.js';
import { dataOf } from '../../dist/graph/leaves.js';
import { deploy, optimize } from '../../dist/graph/passes/deploy.js';
import { valuesOf } from '../../dist/graph/value.js';
import { assignNamedWeights, namedInput } from '../../dist/models/named-weights.js';
import { createModel } from '../../dist/models/registry.js';
import { compile, macsOf } from '../../dist/nn/compile.js';
import { trace } from '../../dist/nn/trace.js';
import { conv2dOperands } from '../../dist/ops/conv2d.js';
import { planOf } from '../peers/plan.mjs';

/**
 * Switches relaxed SIMD on before anything is compiled. ghostkit does so itself on Node 20; whoever else has a use for it shall have it
 * too.
 */
export function enableRelaxedSimd() {
  if (Number(process.versions.node.split('.')[0]) < 22) setFlagsFromString('--experimental-wasm-relaxed-simd');
}

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
    compile: (threads) => compile(model, { input: shape, deploy: true, threads }),
  };
}

function channelsLast(data, channels) {
  const pixels = data.length / channels;
  const out = new Float32Array(data.length);
  for (let c = 0; c < channels; c++) for (let p = 0; p < pixels; p++) out[p * channels + c] = data[c * pixels + p];
  return out;
}
