/**
 * Sessions of onnxruntime. Its packages are loaded by the two functions first; both then have one and the same API.
 *
 * onnxruntime-web has further wasm builds (jsep, jspi, asyncify), all for WebGPU; their processor kernels are those of the plain build,
 * which is what its Node entry loads. None contains relaxed SIMD.
 */

export async function loadOrtWeb() {
  const ort = await import('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  ort.env.logLevel = 'error';
  return ort;
}

export async function loadOrtNode() {
  const { default: ort } = await import('onnxruntime-node');
  ort.env.logLevel = 'error';
  return ort;
}

/**
 * @param {any} ort
 * @param {Uint8Array} model an .onnx file with input `image` and output `logits`
 * @param {{ provider: 'wasm' | 'cpu', threads: number, shape: number[] }} options
 * @returns {Promise<{ run(image: Float32Array): Promise<Float32Array>, close(): Promise<void> }>}
 */
export async function createOrt(ort, model, { provider, threads, shape }) {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [provider],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  });
  return {
    async run(image) {
      const { logits } = await session.run({ image: new ort.Tensor('float32', image, shape) });
      return logits.data;
    },
    close: () => session.release(),
  };
}
