import * as ort from 'onnxruntime-web/wasm';
import { answered, fromCacheStorage, image, SHAPE, stay } from './start.mjs';

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = '/ort/';
let model = '/model.onnx';
const stored = new URLSearchParams(location.search).get('store') === 'cache-storage';
if (stored) {
  const wasm = fromCacheStorage('/ort/ort-wasm-simd-threaded.wasm');
  model = await fromCacheStorage(model);
  ort.env.wasm.wasmBinary = await wasm;
}
const session = await ort.InferenceSession.create(model, {
  executionProviders: ['wasm'],
  graphOptimizationLevel: 'all',
});
const { logits } = await session.run({ image: new ort.Tensor('float32', image(), SHAPE) });
answered(logits.data);
await stay(() => session.run({ image: new ort.Tensor('float32', image(), SHAPE) }), stored && '/model.onnx');
