import * as ort from 'onnxruntime-web/wasm';
import { answered, image, SHAPE, stay } from './start.mjs';

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = '/ort/';
const session = await ort.InferenceSession.create('/model.onnx', {
  executionProviders: ['wasm'],
  graphOptimizationLevel: 'all',
});
const { logits } = await session.run({ image: new ort.Tensor('float32', image(), SHAPE) });
answered(logits.data);
await stay(() => session.run({ image: new ort.Tensor('float32', image(), SHAPE) }));
