import type { FloatTensor, Shape } from '../tensor/tensor.js';

/**
 * A network that is ready to run for one shape of its inputs, whatever runs it: a compiled model, which answers at once, or another
 * executor, which may not.
 */
export interface Runner {
  /** The shapes of the outputs. */
  readonly outputs: Readonly<Record<string, Shape>>;
  run(
    inputs: Readonly<Record<string, Float32Array | FloatTensor>>,
  ): Record<string, FloatTensor> | Promise<Record<string, FloatTensor>>;
  close(): void | Promise<void>;
}
