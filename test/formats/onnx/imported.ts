import { expect } from 'vitest';
import { decodeModel } from '../../../src/formats/onnx/decode.js';
import { importGraph } from '../../../src/formats/onnx/import/graph.js';
import { Flow } from '../../../src/formats/onnx/import/tensors.js';
import { evaluate } from '../../../src/graph/evaluate.js';
import { input } from '../../../src/graph/leaves.js';
import type { Graph } from '../../../src/graph/value.js';
import { compileGraph } from '../../../src/nn/compile.js';
import type { Shape } from '../../../src/tensor/tensor.js';
import { onnxFile, tensor } from '../../support/onnx-files.mjs';
import { expectClose, noise, runOnnx } from './run.js';

export type Tensor = ReturnType<typeof tensor>;
export type Attribute =
  | number
  | string
  | readonly number[]
  | { float: number }
  | { floats: readonly number[] }
  | Tensor;

/** The shape of what most operators are tried on. */
export const image: Shape = [2, 6, 7, 9];

export const random = (seed: number, ...shape: number[]) => tensor(shape, [...noise(shape, seed)]);
export const positive = (seed: number, ...shape: number[]) =>
  tensor(
    shape,
    [...noise(shape, seed)].map((v) => 1.5 + v),
  );

/** One node behind `x`: its operator, its attributes, its other inputs as constants. */
export interface Case {
  readonly x: Shape;
  readonly op: string;
  readonly attributes?: Record<string, Attribute>;
  readonly others?: readonly (Tensor | undefined)[];
  readonly outputs?: number;
  readonly opset?: number;
  /** Which input `x` is. */
  readonly at?: number;
}

export function fileOf({ x, op, attributes = {}, others = [], outputs = 1, opset, at = 0 }: Case) {
  const names = others.map((other, i) => (other ? `c${i}` : ''));
  names.splice(at, 0, 'x');
  const results = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const graph = {
    nodes: [{ op, inputs: names, outputs: results, attributes, name: 'it' }],
    initializers: Object.fromEntries(others.flatMap((other, i) => (other ? [[`c${i}`, other]] : []))),
    inputs: { x },
    outputs: Object.fromEntries(results.map((name) => [name, undefined])),
  };
  return onnxFile(graph, { opset });
}

/** A file's graph for inputs that all have fixed shapes. */
export function importFile(file: Uint8Array) {
  const model = decodeModel(file);
  const inputs = Object.fromEntries(
    model.graph.inputs.map(({ name, shape }) => [name, new Flow(input(name, shape as number[]))]),
  );
  return importGraph(model, { inputs });
}

/** What the kernels make of inputs, in deploy form. */
export async function computedBy(graph: Graph, inputs: Record<string, Float32Array>) {
  const net = await compileGraph(graph);
  const results = net.run(inputs);
  net.close();
  return results;
}

/** The imported graph gives the results of onnxruntime: by its plain definition and, in deploy form, on the kernels. */
export async function expectImported(file: Uint8Array, scale = 3) {
  const graph = importFile(file);
  const inputs = Object.fromEntries(
    Object.entries(graph.inputs).map(([name, { shape }], i) => [
      name,
      { shape, data: noise(shape, 77 + i).map((v) => v * scale) },
    ]),
  );
  const wanted = await runOnnx(file, inputs);
  const exact = evaluate(
    graph,
    Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Float64Array.from(data)])),
  );
  const computed = await computedBy(
    graph,
    Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data])),
  );
  expect(Object.keys(exact)).toEqual(Object.keys(wanted));
  for (const [name, { shape, data }] of Object.entries(wanted)) {
    expect(exact[name].shape, name).toEqual([...shape]);
    expectClose(exact[name].data, data);
    expectClose(computed[name].data, data);
  }
  return graph;
}
