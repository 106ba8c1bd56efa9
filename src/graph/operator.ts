import type { Shape } from '../tensor/tensor.js';
import type { Lowering } from './lowering.js';
import type { OnnxBuilder } from './onnx-builder.js';
import type { Quantization } from './quantization.js';
import type { Value } from './value.js';

/** An array in double precision, row-major: what {@link Operator.reference} computes with. */
export interface NdArray {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** Everything ghostkit knows of one operator. One file in `ops/` defines it; the passes and executors only ask. */
export interface Operator<A> {
  /** The name in messages and dumps, e.g. `conv2d`. */
  readonly name: string;
  /** The shape of the result. Throws a one-line error when the inputs do not fit. */
  shape(inputs: readonly Shape[], attrs: A): Shape;
  /** How the result is quantised; absent for operators whose results are floats. */
  quantization?(inputs: readonly Value[], attrs: A): Quantization | undefined;
  /** The plain definition in double precision, for constant folding and as the reference in tests. */
  reference?(inputs: readonly NdArray[], value: Value<A>): Float64Array;
  /**
   * The gradients of the inputs from the gradient of the result, as values of the same graph; `undefined` for an input that has none.
   */
  gradient?(inputs: readonly Value[], value: Value<A>, grad: Value): readonly (Value | undefined)[];
  /** Whether the operator changes its first input, a parameter, in place: it then runs behind everything that reads parameters. */
  readonly update?: boolean;
  /** Emits kernel calls that compute `value`. Absent for leaves. */
  lower?(value: Value<A>, to: Lowering): void;
  /**
   * Where the result lives inside an input's memory, for operators that move nothing (`slice`, `reshape`): tried before
   * `lower`, `false` when the layout does not allow it.
   */
  alias?(value: Value<A>, to: Lowering): boolean;
  /** Adds the ONNX nodes of `value` and returns the name of its result. */
  onnx?(value: Value<A>, to: OnnxBuilder): string;
  /** Multiply-accumulates of one application, as the papers count them: convolutions and linear layers only. */
  macs?(value: Value<A>): number;
}

/** `attrs.activation` is part of every operator that an activation can be fused into. */
export function defineOperator<A>(op: Operator<A>): Operator<A> {
  return op;
}
