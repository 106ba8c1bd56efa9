export { createOrt } from './ort-session.mjs';

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
