import { loadCompiled } from '../../dist/runtime/compiled-file.js';

/**
 * Every runtime from a Float32Array to the logits in a Float32Array; each gets the picture in the layout that it wants. `load` returns
 * what creates a network, so that a peer is only loaded when it takes part.
 */

export function ghostkit(threads) {
  return {
    runtime: 'ghostkit',
    threads,
    wasm: true,
    load:
      async () =>
      async ({ compile, image }) => {
        const net = await compile(threads);
        return { run: () => net.run({ image }).logits.data, close: () => net.close() };
      },
  };
}

/** In 8 bits; `create` has no network where it cannot be quantised. */
export function ghostkitInt8(threads) {
  return {
    ...{ runtime: 'ghostkit', threads, precision: 'int8', wasm: true },
    load:
      async () =>
      async ({ int8, image }) => {
        const { compiled, reason } = await int8();
        if (reason) return { reason };
        const net = await loadCompiled(compiled(threads), { threads });
        return { run: () => net.run({ image }).logits.data, close: () => net.close() };
      },
  };
}

export const onnxruntimeWeb = {
  runtime: 'onnxruntime-web',
  threads: 1,
  wasm: true,
  load: async () => {
    const { loadOrtWeb, createOrt } = await import('../peers/ort.mjs');
    const ort = await loadOrtWeb();
    return async ({ onnx, image, shape }) => {
      const session = await createOrt(ort, onnx(), { provider: 'wasm', threads: 1, shape });
      return { ...session, run: () => session.run(image) };
    };
  },
};

export const tfjsWasm = {
  runtime: 'tfjs-wasm',
  threads: 1,
  wasm: true,
  load: async () => {
    const { loadTfjs, createTfjs } = await import('../peers/tfjs.mjs');
    const tf = await loadTfjs();
    return async ({ plan: makePlan, imageNhwc }) => {
      const { plan, weights } = makePlan();
      const net = createTfjs(tf, plan, weights);
      return { ...net, run: () => net.run(imageNhwc) };
    };
  },
};

export function onnxruntimeNode(threads) {
  return {
    runtime: 'onnxruntime-node',
    threads,
    wasm: false,
    // Its threads spin for 30 ms after a run. That makes its own next run faster, so it stays, but must not slow down who follows.
    settleMs: threads > 1 ? 60 : 0,
    load: async () => {
      const { loadOrtNode, createOrt } = await import('../peers/ort.mjs');
      const ort = await loadOrtNode();
      return async ({ onnx, image, shape }) => {
        const session = await createOrt(ort, onnx(), { provider: 'cpu', threads, shape });
        return { ...session, run: () => session.run(image) };
      };
    },
  };
}
