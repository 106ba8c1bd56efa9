import { exportOnnx } from '../formats/onnx/export.js';
import { deploy, optimize } from '../graph/passes/deploy.js';
import type { Graph } from '../graph/value.js';
import { compileGraph } from '../nn/compile.js';
import { type OnnxNet, openSession } from '../runtime/onnx/onnxruntime.js';
import type { FloatTensor } from '../tensor/tensor.js';

export { findOnnxRuntime } from '../runtime/onnx/onnxruntime.js';
export type { OnnxNet };

/**
 * What runs the networks: ghostkit itself, or onnxruntime with one of its execution providers. Networks that come as ONNX files always
 * run in onnxruntime, with `ghostkit` on the processor.
 */
export const BACKENDS = ['ghostkit', 'cpu', 'cuda', 'dml', 'coreml', 'webgpu'] as const;
export type Backend = (typeof BACKENDS)[number];

export interface RunOptions {
  readonly backend?: Backend;
  readonly threads?: number;
}

/** A network that is ready to run: row-major arrays in, row-major arrays out. */
export interface ReadyNet {
  run(inputs: Readonly<Record<string, FloatTensor>>): Promise<Record<string, FloatTensor>>;
  close(): Promise<void>;
}

/**
 * Opens an ONNX file or its bytes.
 *
 * @param what What it is, for messages.
 * @throws GhostkitError when onnxruntime is not installed, cannot use the backend, or cannot read the file.
 */
export async function openOnnx(
  what: string,
  model: string | Uint8Array,
  { backend = 'ghostkit', threads = 1 }: RunOptions = {},
): Promise<OnnxNet> {
  // A swap uses each network once: an arena would only hold memory that the next one needs.
  return openSession(what, model, { providers: [backend === 'ghostkit' ? 'cpu' : backend], threads, arena: false });
}

/** Makes a graph of ghostkit's ready to run on a backend. */
export async function readyGraph(
  what: string,
  graph: Graph,
  { backend = 'ghostkit', threads = 1 }: RunOptions,
): Promise<ReadyNet> {
  if (backend !== 'ghostkit')
    return openOnnx(what, exportOnnx(optimize(deploy(graph)), { name: what }), { backend, threads });
  const net = await compileGraph(graph, { threads });
  return { run: async (inputs) => net.run(inputs), close: async () => net.close() };
}
