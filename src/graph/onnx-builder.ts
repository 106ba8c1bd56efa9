import type { Value } from './value.js';

export type OnnxAttribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] };

/** What an operator's ONNX form may ask of the exporter. Names are unique in the exported graph. */
export interface OnnxBuilder {
  /** The name of an input's result. */
  name(value: Value): string;
  /** Adds a node with one output and returns the output's name. Integers are `INT`, `{float}` is `FLOAT`, arrays `INTS`. */
  node(opType: string, inputs: readonly string[], attributes?: Readonly<Record<string, OnnxAttribute>>): string;
  /** Adds a float32 or int64 initializer and returns its name. */
  initializer(shape: readonly number[], data: Float32Array | BigInt64Array): string;
}
