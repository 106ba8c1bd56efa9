import { exportOnnx } from '../../dist/formats/onnx/export.js';
import { deploy, optimize } from '../../dist/graph/passes/deploy.js';
import { embedderGraph, generatorGraph } from '../../dist/headswap/networks.js';
import { NAMED_WEIGHTS } from '../../dist/headswap/weights.js';
import { trace } from '../../dist/nn/trace.js';

const SIZE = 512;

/** The graphs of the four networks; each is made when its session is, so that only one is in memory twice. */
const GRAPHS = {
  embedder: async () => embedderGraph(await NAMED_WEIGHTS.embedder()),
  generator: async () => generatorGraph(await NAMED_WEIGHTS.generator()),
  features: async () => trace((await NAMED_WEIGHTS.blender()).feature_ext, { input: [1, 3, SIZE, SIZE] }),
  decoder: async () => trace((await NAMED_WEIGHTS.blender()).decoder, { input: [1, 12, SIZE, SIZE] }),
};

/** Inputs in [-1, 1] of the shapes that a graph has. */
function feeds(ort, { inputs }) {
  const entries = Object.entries(inputs).map(([name, { shape }]) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i / 37));
    return [name, new ort.Tensor('float32', data, shape)];
  });
  return Object.fromEntries(entries);
}

/** All networks in sessions of onnxruntime, and a function that runs them as often as a swap does. */
export async function onnxNetworks(ort, threads) {
  const nets = [];
  for (const [name, make] of Object.entries(GRAPHS)) {
    const graph = await make();
    const session = await ort.InferenceSession.create(exportOnnx(optimize(deploy(graph)), { name }), {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
    });
    nets.push({ session, inputs: feeds(ort, graph), times: name === 'features' ? 2 : 1 });
  }
  return {
    version: ort.env.versions.node,
    async run() {
      for (const { session, inputs, times } of nets) for (let i = 0; i < times; i++) await session.run(inputs);
    },
  };
}
