import type { Value } from './value.js';

export type OnnxAttribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] };

/** Elements of an initializer: float32, int64, int32 or int8. */
export type OnnxData = Float32Array | BigInt64Array | Int32Array | Int8Array;

/** What an operator's ONNX form may ask of the exporter. Names are unique in the exported graph. */
export interface OnnxBuilder {
  /** The name of an input's result. */
  name(value: Value): string;
  /** Adds a node with one output and returns the output's name. Integers are `INT`, `{float}` is `FLOAT`, arrays `INTS`. */
  node(opType: string, inputs: readonly string[], attributes?: Readonly<Record<string, OnnxAttribute>>): string;
  /** The name that a parameter or constant has, for initializers that are made of it. */
  nameFor(value: Value): string;
  /** Adds an initializer and returns its name, which is `name` if it is given and free. */
  initializer(shape: readonly number[], data: OnnxData, name?: string): string;
}
