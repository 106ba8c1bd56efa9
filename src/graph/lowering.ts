import type { Value } from './value.js';

/**
 * A value in the executor's memory: `rows` of `channels` consecutive elements, `stride` elements from one row to the next.
 * Rank 4 is stored NHWC (a row is a pixel), anything else row-major with the last dimension as channels. A stride larger than
 * `channels` is a slice of a wider buffer, which is how concatenation and slicing along channels cost nothing.
 */
export interface View {
  readonly buffer: Buffer;
  /** Offset of the first element from the start of the buffer, in elements. */
  readonly offset: number;
  /** The bytes of an element: 1 for a quantised value, else 4. */
  readonly bytes?: 1;
  readonly rows: number;
  readonly channels: number;
  readonly stride: number;
  /** Whether other values stand between its rows, so that nothing but its channels may be written. */
  readonly shared?: boolean;
}

/** What packed weights are stored as; anything but floats is kept to the last bit. */
export type WeightData = Float32Array | Int32Array | Int8Array;

/** A contiguous piece of executor memory. The planner gives it an address when all calls are known. */
export interface Buffer {
  /** Its size in units of 4 bytes. */
  readonly floats: number;
  /** Set for memory that keeps its content: packed weights, zeros. */
  readonly data?: WeightData;
}

/** An argument of a kernel: an integer, a float, or a place in memory that the kernel reads or writes. */
export type Arg = number | { readonly float: number } | Place;

export interface Place {
  readonly buffer: Buffer;
  /** In elements of `bytes` bytes. */
  readonly offset: number;
  /** 4 where it is absent. */
  readonly bytes?: 1;
}

/** What an operator's lowering may ask of the executor. */
export interface Lowering {
  /** Where `value` is stored; asked for an output, it allocates. */
  view(value: Value): View;
  /** A graph input as the host writes it, row-major floats; undefined for any other value. */
  asGiven(value: Value): Place | undefined;
  /** Makes `value` share memory with a part of another value's view. */
  place(value: Value, view: View): void;
  /** The data of a parameter or a constant. Throws for anything that is only known at run time. */
  constant(value: Value): Float32Array;
  /** Whether a parameter may change between runs: it is then read where {@link view} says and packed in every run. */
  live(value: Value): boolean;
  /** Memory that holds `data` from the start, with at least three zeros behind, so that whole vectors can be read. */
  weights(data: WeightData): Place;
  /** At least `floats` zeros, for reads outside of an image. */
  zeros(floats: number): Place;
  /** Memory for an intermediate of several calls. */
  temporary(floats: number): Buffer;
  /** Working memory of the next call only, `floats` for each thread. */
  scratch(floatsPerThread: number): Place;
  /** Appends a kernel call; see `kernels/opcodes.ts` for the kernels and the order of their arguments. */
  emit(opcode: number, args: readonly Arg[]): void;
}
