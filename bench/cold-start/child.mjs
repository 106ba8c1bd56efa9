// A process that starts one runtime, once: node child.mjs RUNTIME FOLDER, where FOLDER has the network in every runtime's form. Prints
// {"ms","logits"}: the time from before the first import of the runtime to after the first result is there.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const [runtime, folder] = process.argv.slice(2);
const file = (name) => join(folder, name);
const { shape } = JSON.parse(await readFile(file('network.json'), 'utf8'));

async function floats(name) {
  const bytes = await readFile(file(name));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

const starts = {
  async ghostkit(image) {
    const { loadCompiled } = await import('../../dist/runtime/web.js');
    const net = await loadCompiled(file('model.ghost.safetensors'));
    return net.run({ image }).logits.data;
  },
  async 'onnxruntime-web'(image) {
    const { loadOrtWeb, createOrt } = await import('../peers/ort.mjs');
    const ort = await loadOrtWeb();
    const session = await createOrt(ort, await readFile(file('model.onnx')), { provider: 'wasm', threads: 1, shape });
    return session.run(image);
  },
  async 'onnxruntime-node'(image) {
    const { loadOrtNode, createOrt } = await import('../peers/ort.mjs');
    const ort = await loadOrtNode();
    const session = await createOrt(ort, await readFile(file('model.onnx')), { provider: 'cpu', threads: 1, shape });
    return session.run(image);
  },
  async 'tfjs-wasm'(image) {
    const { loadTfjs, createTfjs } = await import('../peers/tfjs.mjs');
    const tf = await loadTfjs();
    const plan = JSON.parse(await readFile(file('plan.json'), 'utf8'));
    return createTfjs(tf, plan, await floats('weights.bin')).run(image);
  },
};

const image = await floats(runtime === 'tfjs-wasm' ? 'image-nhwc.bin' : 'image.bin');
const start = performance.now();
const logits = await starts[runtime](image);
const ms = performance.now() - start;
// Out at once: no runtime is waited for to clean up.
process.stdout.write(`${JSON.stringify({ ms, logits: [...logits] })}\n`, () => process.exit(0));
