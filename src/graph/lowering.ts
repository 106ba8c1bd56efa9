import type { Value } from './value.js';

/**
 * A value in the executor's memory: `rows` of `channels` consecutive floats, `stride` floats from one row to the next.
 * Rank 4 is stored NHWC (a row is a pixel), anything else row-major with the last dimension as channels. A stride larger than
 * `channels` is a slice of a wider buffer, which is how concatenation and slicing along channels cost nothing.
 */
export interface View {
  readonly buffer: Buffer;
  /** Offset of the first element from the start of the buffer, in floats. */
  readonly offset: number;
  readonly rows: number;
  readonly channels: number;
  readonly stride: number;
}

/** A contiguous piece of executor memory. The planner gives it an address when all calls are known. */
export interface Buffer {
  readonly floats: number;
  /** Set for memory that keeps its content: packed weights, zeros. */
  readonly data?: Float32Array;
}

/** An argument of a kernel: an integer, a float, or a place in memory that the kernel reads or writes. */
export type Arg = number | { readonly float: number } | Place;

export interface Place {
  readonly buffer: Buffer;
  readonly offset: number;
}

/** What an operator's lowering may ask of the executor. */
export interface Lowering {
  /** Where `value` is stored; asked for an output, it allocates. */
  view(value: Value): View;
  /** Makes `value` share memory with a part of another value's view. */
  place(value: Value, view: View): void;
  /** The data of a parameter or a constant. Throws for anything that is only known at run time. */
  constant(value: Value): Float32Array;
  /** Whether a parameter may change between runs: it is then read where {@link view} says and packed in every run. */
  live(value: Value): boolean;
  /** Memory that holds `data` from the start, with at least three zeros behind, so that whole vectors can be read. */
  weights(data: Float32Array): Place;
  /** At least `floats` zeros, for reads outside of an image. */
  zeros(floats: number): Place;
  /** Memory for an intermediate of several calls. */
  temporary(floats: number): Buffer;
  /** Working memory of the next call only, `floats` for each thread. */
  scratch(floatsPerThread: number): Place;
  /** Appends a kernel call; see `kernels/opcodes.ts` for the kernels and the order of their arguments. */
  emit(opcode: number, args: readonly Arg[]): void;
}
