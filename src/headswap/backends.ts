import { exportOnnx } from '../formats/onnx/export.js';
import { messageOf, printable } from '../formats/text.js';
import { deploy, optimize } from '../graph/passes/deploy.js';
import type { Graph } from '../graph/value.js';
import { compileGraph } from '../nn/compile.js';
import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, float32 } from '../tensor/tensor.js';

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

/** What is used of onnxruntime's interface, which its packages for Node and for the web share. */
interface OrtTensor {
  readonly data: ArrayLike<number | bigint>;
  readonly dims: readonly number[];
}
interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
interface Ort {
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(model: string | Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
  readonly env: { logLevel?: string; wasm?: { numThreads?: number } };
}

const PACKAGES = ['onnxruntime-node', 'onnxruntime-web'] as const;

interface LoadedOrt {
  readonly ort: Ort;
  readonly name: (typeof PACKAGES)[number];
}

let loaded: Promise<LoadedOrt | undefined> | undefined;

/** onnxruntime where it is installed: it is an optional peer, and only loaded when something needs it. */
export function findOnnxRuntime(): Promise<LoadedOrt | undefined> {
  loaded ??= (async () => {
    for (const name of PACKAGES) {
      try {
        const module = (await import(/* @vite-ignore */ name)) as { default?: Ort } & Ort;
        const ort = module.InferenceSession ? module : (module.default as Ort);
        ort.env.logLevel = 'error';
        return { ort, name };
      } catch {
        // Not installed, or not for this system: the other one may be.
      }
    }
    return undefined;
  })();
  return loaded;
}

async function bytesAt(path: string): Promise<string | Uint8Array> {
  if (typeof process === 'undefined' || !process.versions?.node) return path;
  const { readBytes } = await import('../data/files.js');
  return readBytes(path);
}

/** A session of onnxruntime with the names that its file gave to inputs and outputs. */
export interface OnnxNet {
  readonly runtime: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Outputs of any type, as float32. */
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
  const found = await findOnnxRuntime();
  if (!found) {
    throw new GhostkitError(`${what} needs onnxruntime; npm install onnxruntime-node (or onnxruntime-web for a page)`);
  }
  const { ort, name } = found;
  const provider = backend === 'ghostkit' ? 'cpu' : backend;
  if (ort.env.wasm && name === 'onnxruntime-web') ort.env.wasm.numThreads = threads;
  let session: OrtSession;
  try {
    // In Node the package for the web takes addresses for pages' only, no paths.
    const file = name === 'onnxruntime-web' && typeof model === 'string' ? await bytesAt(model) : model;
    session = await ort.InferenceSession.create(file, {
      executionProviders: [name === 'onnxruntime-web' && provider === 'cpu' ? 'wasm' : provider],
      graphOptimizationLevel: 'all',
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      // A swap uses each network once: an arena would only hold memory that the next one needs.
      enableCpuMemArena: false,
    });
  } catch (error) {
    const [first] = messageOf(error).split('\n');
    throw new GhostkitError(`${what} cannot be opened in ${name} on ${provider}: ${printable(first, 200)}`, {
      cause: error,
    });
  }
  return {
    runtime: name,
    inputs: session.inputNames,
    outputs: session.outputNames,
    async run(inputs) {
      const feeds = Object.entries(inputs).map(([key, { data, shape }]) => [
        key,
        new ort.Tensor('float32', data, shape),
      ]);
      const results = await session.run(Object.fromEntries(feeds));
      const outputs = Object.entries(results).map(([key, { data, dims }]) => {
        const floats = data instanceof Float32Array ? data : Float32Array.from(data as ArrayLike<number>, Number);
        return [key, float32(dims, floats)] as const;
      });
      return Object.fromEntries(outputs);
    },
    close: () => session.release(),
  };
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
