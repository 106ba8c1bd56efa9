import { fitsFloat16 } from '../formats/half.js';
import { parseJson } from '../formats/json.js';
import { type ParsedHeader, writeSafetensors } from '../formats/safetensors.js';
import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { sizeOf, type Tensor } from '../tensor/tensor.js';
import { MAX_THREADS } from './executor.js';
import { ALIGNMENT } from './memory-plan.js';
import { imageBytes, type Program, type ProgramImage, type ProgramPort } from './program.js';

// A compiled model is a safetensors file: the tensor `program` holds the words of the kernel calls, `weights.0`, `weights.1`, ... hold the
// packed weights, one for each run of memory that is stored in one type. They lie in the file as they lie in memory, so that loading is
// reading each to where it is used; only float16 is widened there. The rest of the program stands in the metadata.

/** The key of the metadata that makes a safetensors file a compiled model. */
export const PROGRAM_KEY = 'ghostkit.program';
/** What each call computes, a line each: only for who looks closer, so it is in no one's way when a model is loaded. */
const LABELS_KEY = 'ghostkit.calls';
const CHECKSUM_KEY = 'ghostkit.checksum';

/** Raised when the file's form, a kernel's arguments or the memory's layout change. */
const VERSION = 5;

/** The largest header that is waited for. A model's has some tens of KB, with the names of very many classes a few MB. */
export const MAX_HEADER_BYTES = 1 << 24;

/** Inputs and outputs, of each kind; no network has a tenth of it. */
const MOST_PORTS = 1000;
const MOST_DIMENSIONS = 8;
const LONGEST_NAME = 1000;

const PROGRAM = 'program';
const weightsName = (i: number) => `weights.${i}`;

/** A part of memory that one tensor of the file fills. */
export interface Region {
  readonly tensor: string;
  /** The type in the file's words: `F32`, `F16`, `I32` or `I8`. */
  readonly type: string;
  /** Where it begins in memory (bytes), and how many it takes there. */
  readonly address: number;
  readonly bytes: number;
  /** Where it stands behind the file's header, and the bytes it takes there: half of `bytes` when it is float16. */
  readonly from: number;
  readonly stored: number;
}

/** A compiled model but for its data. */
export interface CompiledHeader {
  readonly program: Program;
  /** In the order of the file. */
  readonly regions: readonly Region[];
  /** Of the program's text and of all data as they are stored; a damaged program must not run. */
  readonly checksum: string;
  /** The program's text, as it goes into the checksum. */
  readonly text: string;
  /** What else the file says. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface EncodeOptions {
  /** How float32 weights are stored: as they are, or rounded to float16 (what is beyond its range is kept as it is). */
  readonly floats?: 'float32' | 'float16';
}

/** FNV-1a over words of four bytes in eight lanes, as SIMD does it: a whole number of lanes at a time, but for the last. */
export class Checksum {
  readonly lanes = Int32Array.from({ length: 8 }, (_, i) => 0x811c9dc5 + i);

  add(words: Int32Array): this {
    const { lanes } = this;
    for (let i = 0; i < words.length; i++) lanes[i & 7] = Math.imul(lanes[i & 7] ^ words[i], 0x01000193);
    return this;
  }

  /** As UTF-8, filled up with zeros. */
  addText(text: string): this {
    const bytes = new TextEncoder().encode(text);
    const padded = new Uint8Array(Math.ceil(bytes.length / 32) * 32);
    padded.set(bytes);
    return this.add(new Int32Array(padded.buffer));
  }

  /** 64 hexadecimal digits. */
  digest(): string {
    return Array.from(this.lanes, (lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
  }
}

type StoredType = 'F32' | 'F16' | 'I32' | 'I8';

function storedTypeOf(data: ArrayBufferView, floats: EncodeOptions['floats']): StoredType {
  if (data instanceof Int8Array) return 'I8';
  if (!(data instanceof Float32Array)) return 'I32';
  return floats === 'float16' && fitsFloat16(data) ? 'F16' : 'F32';
}

function tensorOver(bytes: ArrayBuffer, type: StoredType): Tensor {
  if (type === 'I8') return { dtype: 'int8', shape: [bytes.byteLength], data: new Int8Array(bytes) };
  const shape = [bytes.byteLength / 4];
  if (type === 'I32') return { dtype: 'int32', shape, data: new Int32Array(bytes) };
  return { dtype: 'float32', shape, data: new Float32Array(bytes) };
}

/** The bytes of a compiled model's file. */
export function encodeCompiled(
  program: Program,
  image: ProgramImage,
  metadata: Readonly<Record<string, string>>,
  { floats }: EncodeOptions = {},
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(imageBytes(program));
  const put = (address: number, { buffer, byteOffset, byteLength }: ArrayBufferView) =>
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), address - program.address);
  put(program.address, image.words);
  const weightsAt = program.address + bytes.length - program.memory.weights;
  const runs: { address: number; type: StoredType }[] = [];
  for (const { address, data } of image.weights) {
    put(address, data);
    const type = storedTypeOf(data, floats);
    if (runs.at(-1)?.type !== type) runs.push({ address, type });
  }

  const part = (from: number, to: number) => bytes.slice(from - program.address, to - program.address).buffer;
  const tensors = new Map([[PROGRAM, tensorOver(part(program.address, weightsAt), 'I32')]]);
  for (const [i, { address, type }] of runs.entries()) {
    tensors.set(
      weightsName(i),
      tensorOver(part(address, runs[i + 1]?.address ?? program.address + bytes.length), type),
    );
  }
  const half = new Set(runs.flatMap(({ type }, i) => (type === 'F16' ? [weightsName(i)] : [])));
  // What only training has is not run from files; see check-program.ts.
  const { labels, training: _, ...rest } = program;
  const text = JSON.stringify({ version: VERSION, ...rest, weights: runs.map(({ address }) => address) });
  const told = {
    ...{ ...metadata, [PROGRAM_KEY]: text },
    [LABELS_KEY]: labels.map((label) => label.replaceAll('\n', ' ')).join('\n'),
  };
  const write = (checksum: string) =>
    writeSafetensors(tensors, {
      metadata: { ...told, [CHECKSUM_KEY]: checksum },
      floats: (name) => (half.has(name) ? 'float16' : 'float32'),
    });
  const checksum = new Checksum();
  checksum.addText(text);
  // The header's length does not depend on the digits.
  const { buffer, byteLength } = write(checksum.digest());
  const dataBytes = [...tensors].reduce((n, [name, { data }]) => n + data.byteLength / (half.has(name) ? 2 : 1), 0);
  checksum.add(new Int32Array(buffer, byteLength - dataBytes, dataBytes / 4));
  if (byteLength - dataBytes - 8 > MAX_HEADER_BYTES) {
    throw new GhostkitError(
      `what a compiled model says of itself takes ${byteLength - dataBytes} bytes, more than ${MAX_HEADER_BYTES} are not read`,
    );
  }
  return write(checksum.digest());
}

/** Reads and checks what a compiled model's header says. Throws a one-line {@link GhostkitError}. */
export function parseCompiled({ entries, metadata }: ParsedHeader): CompiledHeader {
  const { [PROGRAM_KEY]: text, [LABELS_KEY]: labels = '', [CHECKSUM_KEY]: checksum, ...rest } = metadata;
  if (text === undefined) {
    throw new GhostkitError('not a compiled model: it has no program; ghostkit convert makes one');
  }
  const stored = parseProgram(text);
  if (checksum === undefined) damaged('it has no checksum');
  const order = [...entries].sort((a, b) => a.start - b.start);
  const places = new Map<string, number>([[PROGRAM, stored.address]]);
  for (const [i, address] of stored.weights.entries()) places.set(weightsName(i), address);
  const regions = order.map(({ name, stored: type, start, end }): Region => {
    const address = places.get(name);
    if (address === undefined || !places.delete(name)) damaged('it has a tensor that belongs to no place');
    if (!STORED_TYPES.has(type)) damaged(`its ${name} is stored as ${type}`);
    const bytes = (end - start) * (type === 'F16' ? 2 : 1);
    return { tensor: name, type, address, bytes, from: start, stored: end - start };
  });
  if (places.size > 0) damaged('a tensor is missing');
  let position = stored.address;
  for (const { address, bytes } of [...regions].sort((a, b) => a.address - b.address)) {
    if (address !== position || bytes % ALIGNMENT !== 0) damaged('its tensors do not fit together');
    position += bytes;
  }
  if (position !== stored.address + imageBytes(stored)) damaged('its sizes disagree');
  const { weights: _, version: __, ...sizes } = stored;
  const program = { ...sizes, labels: labels === '' ? [] : labels.split('\n'), training: false };
  return { program, regions, checksum, text, metadata: rest };
}

const STORED_TYPES: ReadonlySet<string> = new Set<StoredType>(['F32', 'F16', 'I32', 'I8']);

interface StoredProgram extends Omit<Program, 'labels' | 'training'> {
  readonly version: number;
  /** The addresses of the tensors with the weights. */
  readonly weights: readonly number[];
}

function damaged(what: string): never {
  throw new GhostkitError(`this compiled model is damaged: ${what}`);
}

const isSize = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;

function checkVersion(version: unknown): void {
  if (version === VERSION) return;
  if (!isSize(version)) damaged('it has no version');
  const how = version > VERSION ? 'it needs a newer ghostkit' : 'compile it again';
  throw new GhostkitError(
    `this compiled model has version ${version} of the format, this ghostkit reads version ${VERSION}; ${how}`,
  );
}

function parseProgram(text: string): StoredProgram {
  let stored: StoredProgram;
  try {
    stored = parseJson(text) as StoredProgram;
  } catch (error) {
    damaged(`its program is not JSON (${messageOf(error)})`);
  }
  if (typeof stored !== 'object' || stored === null) damaged('its program is not an object');
  checkVersion(stored.version);
  const { address, wordCount, memory, inputs, outputs, threads, macs, weights } = stored;
  if (![address, wordCount, memory?.total, memory?.weights, memory?.activations, macs].every(isSize)) {
    damaged('a size is missing');
  }
  if (!Array.isArray(weights) || !weights.every(isSize)) damaged('the places of its weights are missing');
  if (!isSize(threads) || threads < 1 || threads > MAX_THREADS) damaged('its number of threads is out of range');
  if (address % ALIGNMENT !== 0 || address === 0 || memory.weights % ALIGNMENT !== 0) {
    damaged('its memory is not aligned');
  }
  const end = address + imageBytes(stored);
  if (end + memory.activations + ALIGNMENT > memory.total) damaged('its memory is too small');
  for (const ports of [inputs, outputs]) checkPorts(ports, end, memory.total);
  return stored;
}

/** Throws unless every port is a tensor in memory behind `from`. They stand side by side there, so together they are no larger. */
function checkPorts(ports: unknown, from: number, total: number): void {
  const lies = 'an input or output lies outside its memory';
  if (!Array.isArray(ports) || ports.length === 0) damaged(lies);
  if (ports.length > MOST_PORTS) damaged(`it has ${ports.length} inputs or outputs`);
  const names = new Set<string>();
  let bytes = 0;
  for (const port of ports as (ProgramPort | null)[]) {
    const { name, shape, address } = port ?? {};
    if (typeof name !== 'string' || name.length > LONGEST_NAME) damaged('an input or output has no name');
    if (names.has(name)) damaged(`two of its inputs or outputs are named ${printable(name)}`);
    names.add(name);
    if (!Array.isArray(shape) || shape.length > MOST_DIMENSIONS || !shape.every((d) => isSize(d) && d > 0))
      damaged(lies);
    const size = sizeOf(shape) * 4;
    bytes += size;
    if (!isSize(address) || address % 4 !== 0 || address < from || address + size > total) damaged(lies);
  }
  if (!(bytes <= total)) damaged(lies);
}
