import { deploy as deployForm, optimize } from '../graph/passes/deploy.js';
import { type Graph, valuesOf } from '../graph/value.js';
import { Executor, type KernelVariant, type ProfileRow, usableThreads } from '../runtime/executor.js';
import { lowerGraph } from '../runtime/lower.js';
import { assemble, type Program } from '../runtime/program.js';
import type { FloatTensor, Shape } from '../tensor/tensor.js';
import type { Module } from './module.js';
import { trace } from './trace.js';

export interface CompileOptions {
  /** The input's shape, `[N,C,H,W]`; another shape is another compilation. */
  readonly input: Shape;
  /**
   * The form to run: deploy form (branches merged into one convolution, batch norms folded; the default) or the training form as it
   * stands. Both compute the same function.
   */
  readonly deploy?: boolean;
  /** Threads that share the work (default 1). Results are the same for any number. */
  readonly threads?: number;
  /** Whether the outputs of every stage are returned beside the logits. */
  readonly features?: boolean;
  /** `false` leaves out relaxed SIMD even where it is there, for results that are the same on every machine. */
  readonly relaxed?: boolean;
}

/** A model that is ready to run on inputs of one shape. */
export class CompiledModel {
  /** @internal */
  constructor(
    private readonly executor: Executor,
    /** Multiply-accumulates of convolutions and linear layers in one run. */
    readonly macs: number,
  ) {}

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

/** Traces a module for one input shape and makes it ready to run. */
export async function compile(model: Module, options: CompileOptions): Promise<CompiledModel> {
  return compileGraph(trace(model, options), options);
}

/** Makes a graph ready to run; see {@link CompileOptions}. */
export async function compileGraph(
  graph: Graph,
  { deploy = true, threads = 1, relaxed = true }: Omit<CompileOptions, 'input' | 'features'> = {},
): Promise<CompiledModel> {
  const optimized = optimize(deploy ? deployForm(graph) : graph);
  const count = usableThreads(threads);
  const program = assemble(lowerGraph(optimized, count));
  return new CompiledModel(await Executor.create(program, { threads: count, relaxed }), macsOf(optimized));
}

/** Multiply-accumulates of convolutions and linear layers in one run of a graph. */
export function macsOf(graph: Graph): number {
  let macs = 0;
  for (const value of valuesOf(graph)) macs += value.op.macs?.(value) ?? 0;
  return macs;
}
