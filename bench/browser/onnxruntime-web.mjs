import * as ort from 'onnxruntime-web/wasm';
import { createOrt } from '../peers/ort-session.mjs';
import { floatsOf } from './floats.mjs';
import { serveRuntime } from './serve-runtime.mjs';

serveRuntime(async ({ model, image: imageUrl, shape, threads, wasm }) => {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.proxy = false;
  ort.env.wasm.wasmPaths = wasm;
  ort.env.logLevel = 'error';
  const image = await floatsOf(imageUrl);
  const bytes = new Uint8Array(await (await fetch(model)).arrayBuffer());
  const session = await createOrt(ort, bytes, { provider: 'wasm', threads, shape });
  return { run: () => session.run(image) };
});
