import type { FloatTensor, Shape } from '../tensor/tensor.js';
import type { Executor, KernelVariant, ProfileRow } from './executor.js';
import type { Program } from './program.js';

/** A model that is ready to run on inputs of one shape. */
export class CompiledModel {
  /** @internal */
  constructor(
    private readonly executor: Executor,
    /** What the file it was loaded from says of it; empty for a model that was compiled here. */
    readonly metadata: Readonly<Record<string, string>> = {},
  ) {}

  /** Multiply-accumulates of convolutions and linear layers in one run. */
  get macs(): number {
    return this.executor.program.macs;
  }

  /** The shapes of the inputs. */
  get inputs(): Record<string, Shape> {
    return Object.fromEntries(this.executor.program.inputs.map(({ name, shape }) => [name, shape]));
  }

  /** The shapes of the outputs. */
  get outputs(): Record<string, Shape> {
    return Object.fromEntries(this.executor.program.outputs.map(({ name, shape }) => [name, shape]));
  }

  /** Bytes: packed weights, planned memory of everything that is computed, and both with the program. */
  get memory(): Program['memory'] {
    return this.executor.program.memory;
  }

  /** Which build of the kernels runs. */
  get variant(): KernelVariant {
    return this.executor.variant;
  }

  get threads(): number {
    return this.executor.threads;
  }

  /**
   * Runs the model. Inputs are row-major (NCHW) float32 of the compiled shape; so are the outputs, which are copies. Synchronous.
   * Throws a one-line error for a missing, unknown or misshapen input.
   */
  run(inputs: Readonly<Record<string, Float32Array | FloatTensor>>): Record<string, FloatTensor> {
    return this.executor.run(inputs);
  }

  /** Runs the model once, kernel by kernel, and returns the time of each. */
  profile(inputs: Readonly<Record<string, Float32Array | FloatTensor>>): ProfileRow[] {
    return this.executor.profile(inputs);
  }

  /** Ends the threads; the model cannot be run any more. */
  close(): void {
    this.executor.close();
  }
}
