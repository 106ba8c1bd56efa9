import { deploy as deployForm, optimize } from '../graph/passes/deploy.js';
import { type Graph, valuesOf } from '../graph/value.js';
import { type EncodeOptions, encodeCompiled } from '../runtime/compiled-format.js';
import { CompiledModel } from '../runtime/compiled-model.js';
import { checkAddressable, Executor, fillFrom, usableThreads } from '../runtime/executor.js';
import { lowerGraph } from '../runtime/lower.js';
import { assemble } from '../runtime/program.js';
import type { Shape } from '../tensor/tensor.js';
import type { Module } from './module.js';
import { trace } from './trace.js';

export type { CompiledModel };

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

/** Traces a module for one input shape and makes it ready to run. */
export async function compile(model: Module, options: CompileOptions): Promise<CompiledModel> {
  return compileGraph(trace(model, options), options);
}

type GraphOptions = Omit<CompileOptions, 'input' | 'features'>;

/** Makes a graph ready to run; see {@link CompileOptions}. */
export async function compileGraph(graph: Graph, options: GraphOptions = {}): Promise<CompiledModel> {
  const { program, image } = assembleGraph(graph, options);
  const { threads } = program;
  const executor = await Executor.create(program, fillFrom(program, image), { threads, relaxed: options.relaxed });
  return new CompiledModel(executor);
}

/**
 * Compiles a module to the bytes of a file that {@link loadCompiled} runs without the module: the program and the packed weights, for one
 * input shape and at most `threads` threads (default 1). `metadata` is kept with it: without {@link preprocessingMetadata} pictures are prepared for it
 * as for ImageNet, without {@link labelsMetadata} its classes have no names.
 */
export function compileToBytes(
  model: Module,
  options: CompileOptions & EncodeOptions,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  return compileGraphToBytes(trace(model, options), options, metadata);
}

/** Like {@link compileToBytes}, of a graph. */
export function compileGraphToBytes(
  graph: Graph,
  options: GraphOptions & EncodeOptions = {},
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const { program, image } = assembleGraph(graph, options);
  return encodeCompiled(program, image, metadata, options);
}

function assembleGraph(graph: Graph, { deploy = true, threads = 1 }: GraphOptions) {
  const optimized = optimize(deploy ? deployForm(graph) : graph);
  const count = usableThreads(threads);
  return assemble(lowerGraph(optimized, { threads: count }), { threads: count, macs: macsOf(optimized) });
}

/** Throws the {@link GhostkitError} that {@link compileGraph} would for a graph that needs too much memory, and takes none. */
export function checkMemory(graph: Graph, options: GraphOptions = {}): void {
  checkAddressable(assembleGraph(graph, options).program.memory.total);
}

/** Multiply-accumulates of convolutions and linear layers in one run of a graph. */
export function macsOf(graph: Graph): number {
  let macs = 0;
  for (const value of valuesOf(graph)) macs += value.op.macs?.(value) ?? 0;
  return macs;
}
