import * as ort from 'onnxruntime-web';
import { expect } from 'vitest';
import { exportOnnx, type OnnxExportOptions } from '../../../src/formats/onnx/export.js';
import { evaluate } from '../../../src/graph/evaluate.js';
import type { Graph } from '../../../src/graph/value.js';
import { uniformStream } from '../../../src/nn/random.js';
import { type Shape, sizeOf } from '../../../src/tensor/tensor.js';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

export interface Result {
  shape: readonly number[];
  data: Float32Array;
}

/** Numbers in (-1, 1), the same for the same seed, that are exact in float32. */
export function noise(shape: Shape, seed: number): Float32Array {
  const uniform = uniformStream(seed);
  return Float32Array.from({ length: sizeOf(shape) }, () => 2 * uniform() - 1);
}

/** Runs an .onnx file with onnxruntime's wasm. */
export async function runOnnx(
  file: Uint8Array,
  inputs: Record<string, { shape: Shape; data: Float32Array }>,
): Promise<Record<string, Result>> {
  const session = await ort.InferenceSession.create(file);
  try {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, { shape, data }]) => [name, new ort.Tensor('float32', data, [...shape])]),
    );
    const results = await session.run(feeds);
    return Object.fromEntries(
      Object.entries(results).map(([name, t]) => [
        name,
        { shape: t.dims, data: Float32Array.from(t.data as Float32Array) },
      ]),
    );
  } finally {
    await session.release();
  }
}

/** Exports a graph, runs it on noise and compares every output with the graph's own definition in double precision. */
export async function expectSame(graph: Graph, { scale = 3, ...options }: OnnxExportOptions & { scale?: number } = {}) {
  const inputs = Object.fromEntries(
    Object.entries(graph.inputs).map(([name, { shape }], i) => [
      name,
      { shape, data: noise(shape, 77 + i).map((v) => v * scale) },
    ]),
  );
  const actual = await runOnnx(exportOnnx(graph, options), inputs);
  const wanted = evaluate(
    graph,
    Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Float64Array.from(data)])),
  );
  expect(Object.keys(actual).sort()).toEqual(Object.keys(wanted).sort());
  for (const [name, { shape, data }] of Object.entries(wanted)) {
    expect(actual[name].shape, name).toEqual(shape);
    expectClose(actual[name].data, data);
  }
}

/** The largest difference, against the largest magnitude: float32 sums differ by their order. */
export function expectClose(actual: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 2e-5) {
  expect(actual.length).toBe(wanted.length);
  let error = 0;
  let most = 1;
  for (let i = 0; i < wanted.length; i++) {
    // NaN must not pass: `Math.max` keeps it.
    error = Math.max(error, Math.abs(actual[i] - wanted[i]));
    most = Math.max(most, Math.abs(wanted[i]));
  }
  expect(error / most).toBeLessThan(tolerance);
}
