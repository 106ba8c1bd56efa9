/**
 * Small writers of the formats the readers read, for tests and the fuzzer: they can also write what no honest program
 * would. Plain JavaScript, so that scripts can use them without a build.
 */
import { crc32, deflateRawSync } from 'node:zlib';

const utf8 = (text) => Buffer.from(text, 'utf8');

const le = (value, bytes) => {
  const out = Buffer.alloc(bytes);
  let rest = BigInt(value);
  for (let i = 0; i < bytes; i++, rest >>= 8n) out[i] = Number(rest & 255n);
  return out;
};

/** A pickle, operation by operation, in the notation of Python's pickletools. */
export class Pickle {
  chunks = [];
  constructor(protocol = 2) {
    if (protocol >= 2) this.op(0x80, Buffer.from([protocol]));
  }
  op(code, ...args) {
    this.chunks.push(Buffer.from([typeof code === 'string' ? code.charCodeAt(0) : code]), ...args);
    return this;
  }
  raw(bytes) {
    this.chunks.push(Buffer.from(bytes));
    return this;
  }
  str(text) {
    return this.op('X', le(utf8(text).length, 4), utf8(text));
  }
  int(value) {
    if (value >= 0 && value < 256) return this.op('K', Buffer.from([value]));
    if (Math.abs(value) < 2 ** 31) return this.op('J', le(value, 4));
    return this.op(0x8a, Buffer.from([8]), le(value, 8));
  }
  float(value) {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return this.op('G', bytes);
  }
  global(module, name) {
    return this.op('c', utf8(`${module}\n${name}\n`));
  }
  stackGlobal(module, name) {
    return this.str(module).str(name).op(0x93);
  }
  tuple(...items) {
    this.op('(');
    for (const item of items) this.value(item);
    return this.op('t');
  }
  reduce() {
    return this.op('R');
  }
  /** A JavaScript value, or a function that writes itself. */
  value(item) {
    if (typeof item === 'function') item(this);
    else if (item === null) this.op('N');
    else if (typeof item === 'boolean') this.op(item ? 0x88 : 0x89);
    else if (typeof item === 'string') this.str(item);
    else if (typeof item === 'number') Number.isInteger(item) ? this.int(item) : this.float(item);
    else if (Array.isArray(item)) this.tuple(...item);
    else this.dict(Object.entries(item));
    return this;
  }
  dict(entries) {
    this.op('}').op('(');
    for (const [key, item] of entries) this.value(key).value(item);
    return this.op('u');
  }
  end() {
    return Buffer.concat([...this.chunks, Buffer.from('.')]);
  }
}

/** `torch._utils._rebuild_tensor_v2` of a view of a storage; `type` is a class of torch such as `FloatStorage`. */
export const tensorOf =
  ({ key, type = 'FloatStorage', length, shape, strides = rowMajor(shape), offset = 0, legacy = false }) =>
  (p) => {
    const id = ['storage', (q) => q.global('torch', type), key, 'cpu', length, ...(legacy ? [null] : [])];
    const empty = (q) => q.global('collections', 'OrderedDict').op(')').reduce();
    p.global('torch._utils', '_rebuild_tensor_v2');
    p.tuple((q) => q.tuple(...id).op('Q'), offset, shape, strides, false, empty).reduce();
  };

export function rowMajor(shape) {
  const strides = new Array(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/**
 * A zip archive of `[name, bytes]` entries. `deflate` compresses; `zip64` writes sizes and offsets in the extra fields;
 * `checksum: false` leaves zeros, as PyTorch does when told not to compute them.
 */
export function zip(entries, { deflate = false, zip64 = false, checksum = true } = {}) {
  const locals = [];
  const central = [];
  let offset = 0;
  for (const [name, content, claimed = content.length] of entries) {
    const data = deflate ? deflateRawSync(content) : content;
    const crc = checksum ? crc32(content) : 0;
    const extra = zip64 ? Buffer.concat([le(1, 2), le(24, 2), le(claimed, 8), le(data.length, 8), le(offset, 8)]) : '';
    const sizes = zip64 ? le(0xffffffffffffffffn, 8) : Buffer.concat([le(data.length, 4), le(claimed, 4)]);
    const common = Buffer.concat([
      ...[le(zip64 ? 45 : 20, 2), le(0, 2), le(deflate ? 8 : 0, 2), le(0, 4), le(crc, 4), sizes],
      ...[le(utf8(name).length, 2), le(extra.length, 2)],
    ]);
    const local = Buffer.concat([le(0x04034b50, 4), common, utf8(name), utf8(extra)]);
    central.push(le(0x02014b50, 4), le(20, 2), common, le(0, 10), le(zip64 ? 0xffffffff : offset, 4), utf8(name));
    central.push(utf8(extra));
    locals.push(local, data);
    offset += local.length + data.length;
  }
  const directory = Buffer.concat(central);
  const n = entries.length;
  const end = Buffer.concat([le(0x06054b50, 4), le(0, 4), le(n, 2), le(n, 2), le(directory.length, 4), le(offset, 4)]);
  const parts = [...locals, directory];
  if (zip64) {
    const position = offset + directory.length;
    parts.push(le(0x06064b50, 4), le(44, 8), le(45, 2), le(45, 2), le(0, 8), le(n, 8), le(n, 8));
    parts.push(le(directory.length, 8), le(offset, 8), le(0x07064b50, 4), le(0, 4), le(position, 8), le(1, 4));
  }
  return Buffer.concat([...parts, end, le(0, 2)]);
}

/** A checkpoint in the zip format: a pickle and its storages by key. */
export function zipCheckpoint(pickle, storages, options = {}) {
  const entries = Object.entries(storages).map(([key, bytes]) => [`m/data/${key}`, bytes]);
  const byteOrder = options.byteOrder ? [['m/byteorder', utf8(options.byteOrder)]] : [];
  return zip([['m/data.pkl', pickle], ...byteOrder, ...entries, ['m/version', utf8('3\n')]], options);
}

/** A checkpoint in the format before PyTorch 1.6: storages are `[key, number of elements, bytes]`. */
export function legacyCheckpoint(pickle, storages) {
  const magic = new Pickle().op(0x8a, Buffer.from([10]), Buffer.from('6cfc9c46f9206aa85019', 'hex')).end();
  const info = { protocol_version: 1001, little_endian: true, type_sizes: { short: 2, int: 4, long: 4 } };
  const keys = new Pickle().op(']').op('(');
  for (const [key] of storages) keys.str(key);
  const contents = storages.flatMap(([, length, bytes]) => [le(length, 8), bytes]);
  const version = new Pickle().value(1001).end();
  return Buffer.concat([magic, version, new Pickle().value(info).end(), pickle, keys.op('e').end(), ...contents]);
}

/** A safetensors file of any header (an object, or text as it is) and any data. */
export function safetensorsFile(header, data, length) {
  const text = utf8(typeof header === 'string' ? header : JSON.stringify(header));
  return Buffer.concat([le(length ?? text.length, 8), text, data]);
}

export const floats = (...values) => Buffer.from(Float32Array.from(values).buffer);
