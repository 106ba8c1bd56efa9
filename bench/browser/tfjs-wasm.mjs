import * as wasm from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { createTfjs } from '../peers/tfjs.mjs';
import { floatsOf } from './floats.mjs';
import { serveRuntime } from './serve-runtime.mjs';

serveRuntime(async ({ plan: planUrl, weights, imageNhwc, threads, wasm: path }) => {
  wasm.setWasmPaths(path);
  wasm.setThreadsCount(threads);
  await tf.setBackend('wasm');
  if (!(await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT'))) throw new Error('tfjs: SIMD is off');
  const plan = await (await fetch(planUrl)).json();
  const net = createTfjs(tf, plan, await floatsOf(weights));
  const image = await floatsOf(imageNhwc);
  return { run: () => net.run(image) };
});
