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
