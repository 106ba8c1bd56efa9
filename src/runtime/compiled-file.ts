import { readSafetensorsHeader, writeSafetensors } from '../formats/safetensors.js';
import { messageOf } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { sizeOf, type Tensor } from '../tensor/tensor.js';
import { CompiledModel } from './compiled-model.js';
import { Executor, MAX_THREADS, usableThreads } from './executor.js';
import { imageBytes, type Program, type ProgramImage, type ProgramPort } from './program.js';

// A compiled model is a safetensors file of two tensors, `program` and `weights`: one behind the other they are the image of the memory
// from the program's address on, so loading one is reading it to where it runs. The rest of the program stands in the metadata.

const FORMAT = 'ghostkit.program';
/** Raised when a kernel's arguments or the memory's layout change. */
const VERSION = 1;

interface StoredProgram extends Program {
  readonly version: number;
  /** FNV-1a of the program's words: a damaged program must not run. */
  readonly checksum: number;
}

/** The bytes of a compiled model's file. */
export function encodeCompiled(
  program: Program,
  image: ProgramImage,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const bytes = new ArrayBuffer(imageBytes(program));
  new Int32Array(bytes).set(image.words);
  for (const { address, data } of image.weights) new Float32Array(bytes, address - program.address).set(data);
  const weightsAt = bytes.byteLength - program.memory.weights;
  const words = new Int32Array(bytes, 0, weightsAt / 4);
  const weights = new Float32Array(bytes, weightsAt);
  const stored: StoredProgram = { ...program, version: VERSION, checksum: checksumOf(words) };
  const tensors = new Map<string, Tensor>([
    ['program', { dtype: 'int32', shape: [words.length], data: words }],
    ['weights', { dtype: 'float32', shape: [weights.length], data: weights }],
  ]);
  return writeSafetensors(tensors, { metadata: { ...metadata, [FORMAT]: JSON.stringify(stored) } });
}

export interface LoadOptions {
  /** Threads that share the work, at most those the model was compiled for (default 1). */
  readonly threads?: number;
  readonly relaxed?: boolean;
}

/**
 * Loads a compiled model: the path or URL of a file, or its bytes. Throws a one-line GhostkitError for a file that is damaged, cut off or
 * of another version.
 */
export async function loadCompiled(
  source: string | URL | Uint8Array,
  options: LoadOptions = {},
): Promise<CompiledModel> {
  if (source instanceof Uint8Array) return load({ head: source, read: (to) => copyOf(source, to) }, options);
  const { openImage } = await import('./compiled-source.js');
  let opened: ImageSource | undefined;
  try {
    opened = await openImage(source);
    return await load(opened, options);
  } catch (error) {
    if (error instanceof GhostkitError) throw new GhostkitError(`${String(source)}: ${error.message}`);
    throw error;
  } finally {
    opened?.close?.();
  }
}

/** A file whose header is at hand and whose data are read to where they are wanted. */
export interface ImageSource {
  /** The start of the file, at least the whole header. */
  readonly head: Uint8Array;
  /** Copies the file's bytes from `from` on into `target`; returns how many there were. */
  read(target: { readonly into: Uint8Array; readonly from: number }): number | Promise<number>;
  close?(): void;
}

function copyOf(bytes: Uint8Array, { into, from }: { into: Uint8Array; from: number }): number {
  const part = bytes.subarray(from, from + into.length);
  into.set(part);
  return part.length;
}

async function load(source: ImageSource, { threads = 1, relaxed }: LoadOptions): Promise<CompiledModel> {
  const { metadata, dataStart, dataBytes } = readSafetensorsHeader(source.head);
  const { [FORMAT]: text, ...rest } = metadata;
  if (text === undefined) throw new GhostkitError('not a compiled model: it has no program; compile it first');
  const program = parseProgram(text);
  if (dataBytes !== imageBytes(program)) throw new GhostkitError('this compiled model is damaged: its sizes disagree');
  const fill = async (memory: WebAssembly.Memory) => {
    const into = new Uint8Array(memory.buffer, program.address, dataBytes);
    const got = await source.read({ into, from: dataStart });
    if (got !== dataBytes) throw new GhostkitError(`this compiled model is cut off: ${got} of ${dataBytes} bytes`);
    const words = new Int32Array(memory.buffer, program.address, (dataBytes - program.memory.weights) / 4);
    if (checksumOf(words) !== program.checksum) {
      throw new GhostkitError('this compiled model is damaged: its program does not have its checksum');
    }
  };
  const executor = await Executor.create(program, fill, { threads: usableThreads(threads), relaxed });
  return new CompiledModel(executor, rest);
}

function parseProgram(text: string): StoredProgram {
  const fail = (what: string): never => {
    throw new GhostkitError(`this compiled model is damaged: ${what}`);
  };
  let stored: StoredProgram;
  try {
    stored = JSON.parse(text);
  } catch (error) {
    return fail(`its program is not JSON (${messageOf(error)})`);
  }
  if (typeof stored !== 'object' || stored === null) fail('its program is not an object');
  if (stored.version !== VERSION) {
    throw new GhostkitError(
      `this compiled model has version ${stored.version}, this ghostkit reads version ${VERSION}; compile it again`,
    );
  }
  const size = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
  const { address, wordCount, memory, calls, inputs, outputs, threads, macs, checksum } = stored;
  if (![address, wordCount, memory?.total, memory?.weights, memory?.activations, macs, checksum].every(size)) {
    fail('a size is missing');
  }
  if (!size(threads) || threads < 1 || threads > MAX_THREADS) fail('its number of threads is out of range');
  if (address % 64 !== 0 || address === 0 || memory.weights % 64 !== 0) fail('its memory is not aligned');
  const end = address + imageBytes(stored);
  if (end + memory.activations > memory.total) fail('its memory is too small');
  const inMemory = (port: ProgramPort) =>
    typeof port?.name === 'string' &&
    Array.isArray(port.shape) &&
    port.shape.every((d) => size(d) && d > 0) &&
    size(port.address) &&
    port.address % 4 === 0 &&
    port.address >= end &&
    port.address + sizeOf(port.shape) * 4 <= memory.total;
  if (![inputs, outputs].every((ports) => Array.isArray(ports) && ports.length > 0 && ports.every(inMemory))) {
    fail('an input or output lies outside its memory');
  }
  let last = -1;
  const inOrder = (call: Program['calls'][number]) => {
    const fits = size(call?.start) && call.start > last && call.start < wordCount && typeof call.label === 'string';
    last = call?.start ?? 0;
    return fits;
  };
  if (!Array.isArray(calls) || !calls.every(inOrder)) fail('its calls are not in order');
  return stored;
}

function checksumOf(words: Int32Array): number {
  let hash = 0x811c9dc5;
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193);
  return hash >>> 0;
}
