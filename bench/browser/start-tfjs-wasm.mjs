import * as wasm from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { createTfjs } from '../peers/tfjs.mjs';
import { floatsOf } from './floats.mjs';
import { answered, image, stay } from './start.mjs';

wasm.setWasmPaths('/tfjs/');
wasm.setThreadsCount(1);
const [plan, weights] = await Promise.all([
  fetch('/plan.json').then((response) => response.json()),
  floatsOf('/weights.bin'),
  tf.setBackend('wasm'),
]);
const network = createTfjs(tf, plan, weights);
answered(network.run(image()));
await stay(() => network.run(image()));
