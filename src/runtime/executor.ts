import { printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, formatShape, type Shape, sizeOf } from '../tensor/tensor.js';
import { rowMajorOrder, storedOrder } from './layout.js';
import {
  canShareMemory,
  compileWasm,
  hasRelaxedSimd,
  hasWideSimd,
  instantiate,
  mayWait,
  requireSimd,
  startThread,
} from './platform.js';
import { callStarts, type Program, type ProgramImage, type ProgramPort, SYNC_ADDRESS } from './program.js';

/** The builds of the kernels; which one runs is found out at load time. */
export type KernelVariant = `${'simd' | 'relaxed' | 'wide'}${'' | '-threads'}`;

/** A build's file, but for its ending: the kernels of training are in others, so that pages load less; only Node has wide ones, with everything. */
export type KernelFile = KernelVariant | `${KernelVariant}-train`;

const fileOf = (variant: KernelVariant, training: boolean): KernelFile =>
  training && !variant.startsWith('wide') ? `${variant}-train` : variant;

/** What a build of the kernels exports. */
export interface Kernels {
  run(at: number, end: number, tid: number, threads: number, sync: number, mayWait: number): void;
  start(at: number, end: number, sync: number): void;
  checksum(at: number, bytes: number, lanes: number): void;
  widen(from: number, to: number, count: number): void;
}

/** Where an {@link Executor} is made ready: its fresh memory, and the kernels over it, which may still be on their way. */
export interface FreshMemory {
  readonly memory: WebAssembly.Memory;
  readonly kernels: Promise<Kernels>;
}

const PAGE = 65536;

/** The word of the threads' meeting place that says that one has failed; see kernels/threads.ts. */
const FAILED = 6;

/** The most threads that can share a program. */
export const MAX_THREADS = 64;

export interface ExecutorOptions {
  /** Threads that share the work, the caller's included. */
  readonly threads: number;
  /** Leave out relaxed SIMD (fused multiply-add) even where it is there: results are then the same on every machine. */
  readonly relaxed?: boolean;
}

const modules = new Map<KernelFile, Promise<WebAssembly.Module>>();

function loadKernels(file: KernelFile): Promise<WebAssembly.Module> {
  let module = modules.get(file);
  if (!module) {
    module = compileWasm(new URL(`../kernels/build/${file}.wasm`, import.meta.url));
    modules.set(file, module);
    // A failed load may be tried again.
    module.catch(() => modules.delete(file));
  }
  return module;
}

async function variantFor({ threads, relaxed = true }: ExecutorOptions): Promise<KernelVariant> {
  requireSimd();
  const fast = relaxed && (await hasRelaxedSimd());
  const kind = !fast ? 'simd' : hasWideSimd() ? 'wide' : 'relaxed';
  return `${kind}${threads > 1 ? '-threads' : ''}`;
}

/** A build of the kernels that is loaded. */
export interface LoadedKernels {
  readonly file: KernelFile;
  readonly module: WebAssembly.Module;
}

/** Loads the kernels that {@link Executor.create} will want for inference; undefined when that fails, which is told there. */
export async function preloadKernels(options: ExecutorOptions): Promise<LoadedKernels | undefined> {
  try {
    const file = await variantFor(options);
    return { file, module: await loadKernels(file) };
  } catch {
    return undefined;
  }
}

/** Spares {@link Executor.create} to load kernels that another thread has loaded. */
export function provideKernels({ file, module }: LoadedKernels): void {
  modules.set(file, Promise.resolve(module));
}

/** The number of threads that `requested` amounts to here: one where memory cannot be shared. */
export function usableThreads(requested: number): number {
  if (!Number.isInteger(requested) || requested < 1 || requested > MAX_THREADS) {
    throw new GhostkitError(`threads: a number from 1 to ${MAX_THREADS}, got ${requested}`);
  }
  return canShareMemory() ? requested : 1;
}

/** A program asks for more memory than there is, or than can be addressed. */
export class OutOfMemoryError extends GhostkitError {}

/** Some of a program's words, from the start of a call to the end of one. */
export interface WordRange {
  readonly from: number;
  readonly to: number;
}

/** One row of a profile: a kernel call and the milliseconds it took. */
export interface ProfileRow {
  readonly label: string;
  readonly ms: number;
}

/** Runs a program in WebAssembly, on one thread or several. */
export class Executor {
  private constructor(
    readonly program: Program,
    readonly variant: KernelVariant,
    readonly threads: number,
    private readonly memory: WebAssembly.Memory,
    private readonly kernels: Kernels,
    private readonly maySleep: number,
  ) {}

  private closed = false;

  /** Makes a program ready; `fill` puts its image into the fresh memory. */
  static async create(
    program: Program,
    fill: (fresh: FreshMemory) => void | Promise<void>,
    { threads, relaxed }: ExecutorOptions,
  ): Promise<Executor> {
    if (threads > program.threads) {
      throw new GhostkitError(`this model was compiled for at most ${program.threads} threads, asked for ${threads}`);
    }
    const variant = await variantFor({ threads, relaxed });
    const memory = allocate(program.memory.total, threads > 1);
    const loading = loadKernels(fileOf(variant, program.training));
    const instance = loading.then((module) => instantiate(module, memory) as unknown as Promise<Kernels>);
    const [module, kernels] = await Promise.all([loading, instance, fill({ memory, kernels: instance })]);
    const helpers = Array.from({ length: threads - 1 }, (_, i) =>
      startThread({ module, memory, sync: SYNC_ADDRESS, tid: i + 1, threads }),
    );
    try {
      await Promise.all(helpers.map(async (helper) => (await helper).ready));
    } catch (error) {
      // Those that did start would wait for work for ever.
      kernels.start(0, 0, SYNC_ADDRESS);
      throw error;
    }
    return new Executor(program, variant, threads, memory, kernels, mayWait() ? 1 : 0);
  }

  /** Writes the inputs, runs the program, but for the words of `skipped`, and copies the outputs out. Synchronous. */
  run(inputs: Readonly<Record<string, Float32Array | FloatTensor>>, skipped?: WordRange): Record<string, FloatTensor> {
    this.write(inputs);
    this.execute(0, skipped?.from ?? this.program.wordCount);
    if (skipped) this.execute(skipped.to, this.program.wordCount);
    return this.read();
  }

  /** Like {@link run}, call by call, with the time of each. */
  profile(inputs: Readonly<Record<string, Float32Array | FloatTensor>>, skipped?: WordRange): ProfileRow[] {
    this.write(inputs);
    const starts = this.callStarts();
    return this.program.labels.flatMap((label, i) => {
      if (skipped && starts[i] >= skipped.from && starts[i] < skipped.to) return [];
      const before = performance.now();
      this.execute(starts[i], starts[i + 1]);
      return [{ label, ms: performance.now() - before }];
    });
  }

  /** Where each call starts in the program's words, and where the last one ends. */
  callStarts(): number[] {
    const { address, wordCount } = this.program;
    return callStarts(new Int32Array(this.memory.buffer, address, wordCount));
  }

  /** The parameters that the program changes, row-major, as copies. */
  readState(): Float32Array[] {
    return this.program.state.map(({ shape, address }) => {
      const stored = new Float32Array(this.memory.buffer, address, sizeOf(shape));
      return rowMajorOrder(shape, new Float32Array(stored));
    });
  }

  /** Puts row-major values in place of the parameters that the program changes. */
  writeState(values: readonly Float32Array[]): void {
    for (const [i, { shape, address }] of this.program.state.entries()) {
      new Float32Array(this.memory.buffer, address, sizeOf(shape)).set(storedOrder(shape, values[i]));
    }
  }

  /** Ends the helper threads and makes the executor unusable. */
  close(): void {
    if (!this.closed && this.threads > 1) this.kernels.start(0, 0, SYNC_ADDRESS);
    this.closed = true;
  }

  private execute(start: number, end: number): void {
    const at = this.program.address + start * 4;
    const to = this.program.address + end * 4;
    if (this.threads > 1) this.kernels.start(at, to, SYNC_ADDRESS);
    try {
      this.kernels.run(at, to, 0, this.threads, SYNC_ADDRESS, this.maySleep);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      // The helpers, if there are any, wait for this thread: they are told to give up.
      Atomics.store(new Int32Array(this.memory.buffer, SYNC_ADDRESS, 8), FAILED, 1);
      this.closed = true;
      throw new GhostkitError(`a kernel failed (${error.message}): the program is damaged; compile the model again`);
    }
  }

  private write(inputs: Readonly<Record<string, Float32Array | FloatTensor>>): void {
    if (this.closed) throw new GhostkitError('this model is closed');
    const { inputs: ports } = this.program;
    const unknown = Object.keys(inputs).find((name) => !ports.some((port) => port.name === name));
    if (unknown !== undefined) {
      const names = ports.map((port) => printable(port.name)).join(', ');
      throw new GhostkitError(`no input ${printable(unknown)}; the inputs are ${names}`);
    }
    for (const port of ports) this.writeInput(port, inputs[port.name]);
  }

  private writeInput({ name, shape, address }: ProgramPort, value: Float32Array | FloatTensor | undefined): void {
    const called = `input ${printable(name)}`;
    if (value === undefined) throw new GhostkitError(`${called} is missing`);
    const data = value instanceof Float32Array ? value : value.data;
    if (!(data instanceof Float32Array)) throw new GhostkitError(`${called}: needs float32, in a Float32Array`);
    const given: Shape | undefined = value instanceof Float32Array ? undefined : value.shape;
    if (data.length !== sizeOf(shape) || (given && formatShape(given) !== formatShape(shape))) {
      const got = given && formatShape(given) !== formatShape(shape) ? formatShape(given) : `${data.length} elements`;
      throw new GhostkitError(`${called}: needs ${formatShape(shape)}, got ${got}`);
    }
    new Float32Array(this.memory.buffer, address, data.length).set(data);
  }

  private read(): Record<string, FloatTensor> {
    const outputs = this.program.outputs.map(({ name, shape, address }) => {
      // A copy: the next run overwrites the memory.
      const data = new Float32Array(new Float32Array(this.memory.buffer, address, sizeOf(shape)));
      return [name, { dtype: 'float32', shape, data }] as const;
    });
    return Object.fromEntries(outputs);
  }
}

/** Fills a memory from an image at hand. */
export function fillFrom(program: Program, { words, weights }: ProgramImage): (fresh: FreshMemory) => void {
  return ({ memory: { buffer } }) => {
    new Int32Array(buffer, program.address, words.length).set(words);
    for (const { address, data } of weights) {
      const { byteLength } = data;
      new Uint8Array(buffer, address, byteLength).set(new Uint8Array(data.buffer, data.byteOffset, byteLength));
    }
  };
}

/** Throws an {@link OutOfMemoryError} for more memory than can be addressed. */
export function checkAddressable(bytes: number): void {
  if (bytes <= 2 ** 31) return;
  throw new OutOfMemoryError(
    `the model needs ${Math.ceil(bytes / 2 ** 20)} MiB for this input; at most 2048 can be addressed`,
  );
}

function allocate(bytes: number, shared: boolean): WebAssembly.Memory {
  checkAddressable(bytes);
  const pages = Math.ceil(bytes / PAGE);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch {
    throw new OutOfMemoryError(`there is no memory for this model and input: ${Math.ceil(bytes / 2 ** 20)} MiB`);
  }
}
