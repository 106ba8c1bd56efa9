import { messageOf, printable } from '../../formats/text.js';
import { GhostkitError } from '../../tensor/error.js';
import { type FloatTensor, float32 } from '../../tensor/tensor.js';

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
        // What it logs is thrown too, and told from here.
        ort.env.logLevel = 'fatal';
        return { ort, name };
      } catch {
        // Not installed, or not for this system: the other one may be.
      }
    }
    return undefined;
  })();
  return loaded;
}

const isNode = () => typeof process !== 'undefined' && Boolean(process.versions?.node);

/** In Node the package for the web takes addresses for pages' only, no paths. */
async function bytesAt(path: string): Promise<string | Uint8Array> {
  if (!isNode()) return path;
  const { readFile } = await import('node:fs/promises');
  return readFile(path);
}

export interface SessionOptions {
  /** Execution providers by onnxruntime's names, the preferred ones first (default `cpu`): `cuda`, `dml`, `coreml`, `webgpu`, ... */
  readonly providers?: readonly string[];
  readonly threads?: number;
  /** Whether memory is kept from run to run (default): not worth it for a network that runs once. */
  readonly arena?: boolean;
  /** External data of a model that is given as bytes, by their names in it. */
  readonly external?: Readonly<Record<string, Uint8Array>>;
}

/** A session of onnxruntime with the names that its file gave to inputs and outputs. */
export interface OnnxNet {
  /** The package that runs it. */
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
 * @throws GhostkitError when onnxruntime is not installed, has none of the providers, or cannot read the file.
 */
export async function openSession(
  what: string,
  model: string | Uint8Array,
  { providers = ['cpu'], threads = 1, arena = true, external }: SessionOptions = {},
): Promise<OnnxNet> {
  const found = await findOnnxRuntime();
  if (!found) {
    throw new GhostkitError(`${what} needs onnxruntime; npm install onnxruntime-node (or onnxruntime-web for a page)`);
  }
  const { ort, name } = found;
  const web = name === 'onnxruntime-web';
  if (ort.env.wasm && web) ort.env.wasm.numThreads = threads;
  let session: OrtSession;
  try {
    session = await ort.InferenceSession.create(web && typeof model === 'string' ? await bytesAt(model) : model, {
      executionProviders: providers.map((provider) => (web && provider === 'cpu' ? 'wasm' : provider)),
      graphOptimizationLevel: 'all',
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      enableCpuMemArena: arena,
      ...(external && { externalData: Object.entries(external).map(([path, data]) => ({ path, data })) }),
    });
  } catch (error) {
    const on = providers.map((provider) => printable(provider)).join(', ');
    throw new GhostkitError(`${what} cannot be opened in ${name} on ${on}: ${firstLine(error)}`, { cause: error });
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
      let results: Record<string, OrtTensor>;
      try {
        results = await session.run(Object.fromEntries(feeds));
      } catch (error) {
        throw new GhostkitError(`${what} fails in ${name}: ${firstLine(error)}`, { cause: error });
      }
      const outputs = Object.entries(results).map(([key, { data, dims }]) => {
        const floats = data instanceof Float32Array ? data : Float32Array.from(data as ArrayLike<number>, Number);
        return [key, float32(dims, floats)] as const;
      });
      return Object.fromEntries(outputs);
    },
    close: () => session.release(),
  };
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return printable(text.split('\n')[0] || messageOf(error), 200);
}
