import { GhostkitError } from '../tensor/error.js';
import { type DType, formatShape, sizeOf, type Tensor } from '../tensor/tensor.js';
import { narrowToBfloat16, narrowToFloat16, widenBfloat16, widenFloat16 } from './half.js';
import { isObject, parseJson } from './json.js';
import { messageOf, printable } from './text.js';

/** The bound of the reference implementation: a header is read whole, so its length must not be the file's to choose. */
const MAX_HEADER_BYTES = 100_000_000;

/** Far more than any network has, and few enough to be read in a moment. */
const MAX_ENTRIES = 100_000;
const MAX_METADATA = 10_000;

type Bytes = Uint8Array<ArrayBuffer>;

interface FileType {
  readonly dtype: DType;
  readonly bytes: number;
  /** The elements over `raw`, which is aligned and belongs to the reader. */
  readonly decode: (raw: Bytes) => Tensor['data'];
}

const FILE_TYPES = new Map<string, FileType>([
  ['F32', { dtype: 'float32', bytes: 4, decode: (raw) => new Float32Array(raw.buffer) }],
  ['F16', { dtype: 'float32', bytes: 2, decode: (raw) => widenFloat16(new Uint16Array(raw.buffer)) }],
  ['BF16', { dtype: 'float32', bytes: 2, decode: (raw) => widenBfloat16(new Uint16Array(raw.buffer)) }],
  ['F64', { dtype: 'float64', bytes: 8, decode: (raw) => new Float64Array(raw.buffer) }],
  ['I64', { dtype: 'int64', bytes: 8, decode: (raw) => new BigInt64Array(raw.buffer) }],
  ['I32', { dtype: 'int32', bytes: 4, decode: (raw) => new Int32Array(raw.buffer) }],
  ['I8', { dtype: 'int8', bytes: 1, decode: (raw) => new Int8Array(raw.buffer) }],
  ['U8', { dtype: 'uint8', bytes: 1, decode: (raw) => raw }],
  ['BOOL', { dtype: 'bool', bytes: 1, decode: (raw) => raw.map((b) => (b ? 1 : 0)) }],
]);

const WRITTEN_AS: Record<DType, string> = {
  float32: 'F32',
  float64: 'F64',
  int64: 'I64',
  int32: 'I32',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

interface Entry {
  readonly name: string;
  /** The type in the file's words. */
  readonly stored: string;
  readonly type: FileType;
  readonly shape: number[];
  readonly start: number;
  readonly end: number;
}

function fail(what: string): never {
  throw new GhostkitError(`not a valid safetensors file: ${what}`);
}

const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseHeader(bytes: Uint8Array, limit: number): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < 8) fail(`it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > limit) fail(`its header claims ${length} bytes, the limit is ${limit}`);
  if (length > bytes.length - 8)
    fail(`its header claims ${length} bytes of a file of ${bytes.length}; is it truncated?`);
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(8, 8 + length));
  } catch {
    fail('its header is not UTF-8');
  }
  if (!text.startsWith('{')) fail('its header does not begin with {');
  const keys = new Set<string>();
  let duplicate: string | undefined;
  try {
    header = parseJson(text, (key) => {
      if (keys.has(key)) duplicate ??= key;
      keys.add(key);
      if (keys.size > MAX_ENTRIES) fail(`its header has more than ${MAX_ENTRIES} entries`);
    });
  } catch (error) {
    if (error instanceof GhostkitError) throw error;
    fail(`its header is not JSON (${messageOf(error)})`);
  }
  if (!isObject(header)) fail('its header is not a JSON object');
  if (duplicate !== undefined) fail(`its header has the key ${printable(duplicate)} twice`);
  return { header, dataStart: 8 + length };
}

function parseEntry(name: string, value: unknown): Entry {
  if (!isObject(value)) fail(`${printable(name)} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  const type = typeof dtype === 'string' ? FILE_TYPES.get(dtype) : undefined;
  if (!type)
    fail(`${printable(name)} has the dtype ${printable(String(JSON.stringify(dtype)))}, which is not supported`);
  if (!Array.isArray(shape) || !shape.every(isIndex)) fail(`the shape of ${printable(name)} is not a list of sizes`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isIndex)) {
    fail(`the data_offsets of ${printable(name)} are not two positions`);
  }
  let bytes = type.bytes;
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) fail(`${printable(name)} is too large: ${printable(formatShape(shape))}`);
  }
  const [start, end] = offsets as [number, number];
  if (end - start !== bytes) {
    fail(`${printable(name)} has ${end - start} bytes, but ${dtype} ${printable(formatShape(shape))} takes ${bytes}`);
  }
  return { name, stored: dtype as string, type, shape, start, end };
}

function parseMetadata(value: unknown): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value)) fail('its __metadata__ is not an object');
  if (Object.keys(value).length > MAX_METADATA) fail(`it has more than ${MAX_METADATA} metadata`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') fail(`its metadata ${printable(key)} is not a string`);
  }
  return value as Record<string, string>;
}

/** What a file says of its tensors, without them. */
export interface ParsedHeader {
  readonly entries: readonly Entry[];
  readonly metadata: Record<string, string>;
  readonly dataStart: number;
  /** The end of the last tensor, from `dataStart`. */
  readonly dataBytes: number;
}

/** Reads and checks everything but the data: `bytes` may end behind the header, which has at most `limit` bytes. */
export function readSafetensorsHeader(bytes: Uint8Array, limit = MAX_HEADER_BYTES): ParsedHeader {
  const { header, dataStart } = parseHeader(bytes, limit);
  const hasMetadata = Object.hasOwn(header, '__metadata__');
  const metadata = parseMetadata(hasMetadata ? header.__metadata__ : undefined);
  const entries = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => parseEntry(name, value));
  const byPosition = [...entries].sort((a, b) => a.start - b.start || a.end - b.end);
  let position = 0;
  for (const entry of byPosition) {
    if (entry.start !== position) {
      fail(`${printable(entry.name)} begins at ${entry.start}, the tensor before it ends at ${position}`);
    }
    position = entry.end;
  }
  return { entries, metadata, dataStart, dataBytes: position };
}

/**
 * Reads a safetensors file, checked as strictly as the reference implementation: the tensors tile the data without a
 * hole or an overlap. F16 and BF16 are widened to float32; `storedTypes` has every tensor's type in the file's words. The
 * tensors share no memory with `bytes`.
 *
 * @throws GhostkitError when the file is malformed or has a dtype that is not supported.
 */
export function readSafetensors(bytes: Uint8Array): {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
  storedTypes: string[];
} {
  const { entries, metadata, dataStart, dataBytes: position } = readSafetensorsHeader(bytes);
  const dataBytes = bytes.length - dataStart;
  if (position !== dataBytes) fail(`its tensors take ${position} bytes, the file has ${dataBytes}; is it truncated?`);
  const tensors = new Map<string, Tensor>();
  for (const { name, type, shape, start, end } of entries) {
    // Copied first: the file's data need not be aligned.
    const raw = new Uint8Array(end - start);
    raw.set(bytes.subarray(dataStart + start, dataStart + end));
    tensors.set(name, { dtype: type.dtype, shape, data: type.decode(raw) });
  }
  return { tensors, metadata, storedTypes: entries.map(({ stored }) => stored) };
}

type StoredFloats = 'float32' | 'float16' | 'bfloat16';

export interface SafetensorsOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * How float32 tensors are stored, all of them or each by its name: as they are, or rounded to the nearest half-size value. Other dtypes
   * are kept.
   */
  readonly floats?: StoredFloats | ((name: string) => StoredFloats);
}

function encode(t: Tensor, floats: StoredFloats | undefined): { fileType: string; data: ArrayBufferView } {
  if (t.dtype === 'float32' && floats === 'float16') {
    return { fileType: 'F16', data: narrowToFloat16(t.data as Float32Array) };
  }
  if (t.dtype === 'float32' && floats === 'bfloat16') {
    return { fileType: 'BF16', data: narrowToBfloat16(t.data as Float32Array) };
  }
  return { fileType: WRITTEN_AS[t.dtype], data: t.data };
}

const byWidthThenName = (a: { width: number; name: string }, b: { width: number; name: string }): number =>
  b.width - a.width || (a.name < b.name ? -1 : 1);

/**
 * Writes a safetensors file. Tensors are laid out widest element first, then by name, as the reference implementation
 * does, so each is aligned to its element and equal tensors give equal files.
 *
 * @throws GhostkitError when a name is `__metadata__`, a tensor's data is not of its shape, or what is said of them is more than is read.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  options: SafetensorsOptions = {},
): Uint8Array<ArrayBuffer> {
  const parts = [...tensors].map(([name, t]) => {
    if (name === '__metadata__') throw new GhostkitError('a tensor cannot be named __metadata__ in a safetensors file');
    if (t.data.length !== sizeOf(t.shape)) {
      throw new GhostkitError(`${printable(name)}: ${t.data.length} elements do not make ${formatShape(t.shape)}`);
    }
    const { floats } = options;
    const { fileType, data } = encode(t, typeof floats === 'function' ? floats(name) : floats);
    return { name, shape: t.shape, fileType, data, width: data.byteLength / Math.max(1, t.data.length) };
  });
  parts.sort(byWidthThenName);
  const header: [string, unknown][] = options.metadata ? [['__metadata__', options.metadata]] : [];
  let position = 0;
  for (const { name, fileType, shape, data } of parts) {
    header.push([name, { dtype: fileType, shape, data_offsets: [position, position + data.byteLength] }]);
    position += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new GhostkitError(
      `a safetensors file's header has at most ${MAX_HEADER_BYTES} bytes, this takes ${headerBytes}`,
    );
  }
  const out = new Uint8Array(8 + headerBytes + position);
  new DataView(out.buffer).setBigUint64(0, BigInt(headerBytes), true);
  out.fill(0x20, 8, 8 + headerBytes);
  out.set(json, 8);
  let at = 8 + headerBytes;
  for (const { data } of parts) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return out;
}
