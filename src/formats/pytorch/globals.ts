import { GhostkitError } from '../../tensor/error.js';
import { printable } from '../text.js';
import { DENIED_MODULES, DENIED_NAMES, HARMLESS_BUILTINS } from './denied.js';
import { rebuildTensor } from './tensors.js';
import { GlobalName, Placeholder, RefusedError, type StorageType, TensorRef } from './values.js';

type Call = (args: readonly unknown[]) => unknown;

/** Charges the pickle for work that its length does not bound, such as copying one long list again and again. */
export type Charge = (units: number) => void;

export function refuse(name: string): never {
  throw new RefusedError(
    `refused: loading this file in Python would call ${printable(name)}, which a checkpoint has no need of; nothing was run`,
  );
}

const STORAGES: readonly (readonly [string, StorageType])[] = [
  ['FloatStorage', 'float32'],
  ['DoubleStorage', 'float64'],
  ['HalfStorage', 'float16'],
  ['BFloat16Storage', 'bfloat16'],
  ['LongStorage', 'int64'],
  ['IntStorage', 'int32'],
  ['ShortStorage', 'int16'],
  ['CharStorage', 'int8'],
  ['ByteStorage', 'uint8'],
  ['BoolStorage', 'bool'],
];

/** Data classes and constructors of plain data that are not named like a class. */
const LOWERCASE_DATA = [
  ...['datetime', 'date', 'time', 'timedelta', 'timezone'].map((name) => `datetime.${name}`),
  ...['ndarray', 'dtype', 'bool_', 'str_', 'bytes_', 'float16', 'float32', 'float64'].map((name) => `numpy.${name}`),
  ...['int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64'].map((name) => `numpy.${name}`),
  ...['core', '_core'].flatMap((p) => [`numpy.${p}.multiarray._reconstruct`, `numpy.${p}.numeric._frombuffer`]),
  ...['__randomstate_ctor', '__generator_ctor', '__bit_generator_ctor'].map((name) => `numpy.random._pickle.${name}`),
  'collections.deque',
  'torch.device',
  'types.SimpleNamespace',
];

const CLASS_NAME = /^_*[A-Z][A-Za-z0-9_]*(\._*[A-Z][A-Za-z0-9_]*)*$/;

/** The names a pickle may use, and what calling them gives. */
export class Globals {
  private readonly known = new Map<string, GlobalName>();

  constructor(private readonly charge: Charge) {
    for (const [name, type] of STORAGES)
      this.known.set(`torch.${name}`, new GlobalName(`torch.${name}`, undefined, type));
    for (const name of LOWERCASE_DATA) this.define(name, (args) => new Placeholder(name, args));
    for (const name of HARMLESS_BUILTINS) {
      const call = this.builtin(name);
      for (const module of ['builtins', '__builtin__']) this.define(`${module}.${name}`, call);
    }
    const toMap: Call = ([entries]) => this.toMap(entries);
    this.define('collections.OrderedDict', toMap);
    this.define('collections.Counter', toMap);
    this.define('collections.defaultdict', ([, entries]) => this.toMap(entries));
    this.define('torch.Size', ([sizes]) => this.toList(sizes));
    this.define('torch._utils._rebuild_tensor', rebuildTensor);
    this.define('torch._utils._rebuild_tensor_v2', rebuildTensor);
    for (const name of ['_rebuild_parameter', '_rebuild_parameter_with_state']) {
      this.define(`torch._utils.${name}`, ([tensor]) => asTensor(tensor));
    }
    this.define('torch._tensor._rebuild_from_type_v2', ([rebuild, , args]) => {
      const name = rebuild instanceof GlobalName ? rebuild.name : '';
      if (!/^torch\._utils\._rebuild_(tensor|tensor_v2|parameter|parameter_with_state)$/.test(name)) refuse(name);
      return (rebuild as GlobalName).call?.(args as unknown[]);
    });
    for (const module of ['copyreg', 'copy_reg']) {
      this.define(`${module}._reconstructor`, ([type, , state]) => construct(type, [state]));
      this.define(`${module}.__newobj__`, ([type, ...args]) => construct(type, args));
    }
    this.define('_codecs.encode', (args) => this.encode(args));
    for (const p of ['core', '_core']) this.define(`numpy.${p}.multiarray.scalar`, numpyScalar);
  }

  /**
   * The name `module.name`. One that is neither known nor shaped like a class is a function as far as anyone can tell:
   * it may lie in the file as a value, and is refused as soon as it is called.
   */
  find(module: string, name: string): GlobalName {
    const full = `${module}.${name}`;
    const known = this.known.get(full);
    if (known) return known;
    if (DENIED_NAMES.has(full) || DENIED_MODULES.has(module.split('.')[0])) refuse(full);
    return new GlobalName(full, CLASS_NAME.test(name) ? (args) => new Placeholder(full, args) : undefined);
  }

  private define(name: string, call: Call): void {
    this.known.set(name, new GlobalName(name, call));
  }

  private builtin(name: string): Call {
    if (name === 'set' || name === 'frozenset') return ([items]) => new Set(this.toList(items));
    if (name === 'list' || name === 'tuple') return ([items]) => this.toList(items);
    if (name === 'dict') return ([entries]) => this.toMap(entries);
    return (args) => new Placeholder(name, args);
  }

  private toList(items: unknown): unknown[] {
    if (items === undefined) return [];
    if (!Array.isArray(items)) throw new GhostkitError('a collection is made from something that is not a list');
    this.charge(items.length);
    return [...items];
  }

  private toMap(entries: unknown): Map<unknown, unknown> {
    if (entries instanceof Map) {
      this.charge(entries.size);
      return new Map(entries);
    }
    const pairs = this.toList(entries);
    if (!pairs.every((pair): pair is [unknown, unknown] => Array.isArray(pair) && pair.length === 2)) {
      throw new GhostkitError('a dict is made from something that is not a list of pairs');
    }
    return new Map(pairs);
  }

  /** How protocol 2 writes bytes: the text of the same code points. */
  private encode([text, encoding]: readonly unknown[]): Uint8Array {
    if (typeof text !== 'string' || encoding !== 'latin1')
      throw new GhostkitError('bytes are written in an unknown way');
    this.charge(text.length / 8);
    return Uint8Array.from(text, (c) => c.charCodeAt(0));
  }
}

function construct(type: unknown, args: unknown[]): unknown {
  if (!(type instanceof GlobalName)) throw new GhostkitError('an object has no class');
  if (!type.call) refuse(type.name);
  return new Placeholder(type.name, args);
}

function asTensor(value: unknown): TensorRef {
  if (!(value instanceof TensorRef)) throw new GhostkitError('a parameter is not a tensor');
  return value;
}

/** `numpy.core.multiarray.scalar(dtype, bytes)`: a number where it is one, else inert. */
function numpyScalar(args: readonly unknown[]): unknown {
  const [dtype, bytes] = args;
  if (!(dtype instanceof Placeholder) || !(bytes instanceof Uint8Array)) return new Placeholder('numpy.scalar', args);
  const state = dtype.state;
  const little = !(Array.isArray(state) && state[1] === '>');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const readers = new Map<unknown, readonly [number, () => unknown]>([
    ['f4', [4, () => view.getFloat32(0, little)]],
    ['f8', [8, () => view.getFloat64(0, little)]],
    ['i4', [4, () => view.getInt32(0, little)]],
    ['i8', [8, () => Number(view.getBigInt64(0, little))]],
    ['u1', [1, () => view.getUint8(0)]],
    ['b1', [1, () => view.getUint8(0) !== 0]],
  ]);
  const reader = readers.get(dtype.args[0]);
  return reader && reader[0] === bytes.length ? reader[1]() : new Placeholder('numpy.scalar', args);
}
