import { GhostkitError } from '../../tensor/error.js';
import { formatShape, type Shape, sizeOf } from '../../tensor/tensor.js';
import { widenBfloat16, widenFloat16 } from '../half.js';
import { printable } from '../text.js';
import * as proto from './schema.js';
import { decodeEntry, eachField, integer, message, nameIn, pushFloats, pushIntegers, type WireValue } from './wire.js';

const { DataType } = proto;

/** Where a tensor's data lie outside of its file. */
export interface ExternalData {
  /** A path below the file's folder, with `/`. */
  readonly location: string;
  readonly offset: number;
  /** Up to the file's end when absent. */
  readonly length?: number;
}

/** An array in an ONNX file, its data still as they are stored. */
export interface TensorProto {
  readonly name: string;
  readonly shape: Shape;
  /** One of `DataType`. */
  readonly dataType: number;
  /** Little-endian elements, one behind the other; absent where they stand in `numbers` or outside. */
  readonly raw?: Uint8Array;
  readonly numbers?: readonly number[];
  readonly external?: ExternalData;
}

interface Type {
  readonly name: string;
  readonly bytes: number;
  /** Whether it stands for real numbers rather than integers. */
  readonly real: boolean;
  read(view: DataView, at: number): number;
}

const TYPES: Readonly<Record<number, Type>> = {
  [DataType.FLOAT]: { name: 'float', bytes: 4, real: true, read: (v, at) => v.getFloat32(at, true) },
  [DataType.DOUBLE]: { name: 'double', bytes: 8, real: true, read: (v, at) => v.getFloat64(at, true) },
  [DataType.FLOAT16]: { name: 'float16', bytes: 2, real: true, read: (v, at) => half(v.getUint16(at, true)) },
  [DataType.BFLOAT16]: { name: 'bfloat16', bytes: 2, real: true, read: (v, at) => brain(v.getUint16(at, true)) },
  [DataType.UINT8]: { name: 'uint8', bytes: 1, real: false, read: (v, at) => v.getUint8(at) },
  [DataType.INT8]: { name: 'int8', bytes: 1, real: false, read: (v, at) => v.getInt8(at) },
  [DataType.BOOL]: { name: 'bool', bytes: 1, real: false, read: (v, at) => v.getUint8(at) },
  [DataType.UINT16]: { name: 'uint16', bytes: 2, real: false, read: (v, at) => v.getUint16(at, true) },
  [DataType.INT16]: { name: 'int16', bytes: 2, real: false, read: (v, at) => v.getInt16(at, true) },
  [DataType.INT32]: { name: 'int32', bytes: 4, real: false, read: (v, at) => v.getInt32(at, true) },
  [DataType.UINT32]: { name: 'uint32', bytes: 4, real: false, read: (v, at) => v.getUint32(at, true) },
  [DataType.INT64]: { name: 'int64', bytes: 8, real: false, read: (v, at) => Number(v.getBigInt64(at, true)) },
  [DataType.UINT64]: { name: 'uint64', bytes: 8, real: false, read: (v, at) => Number(v.getBigUint64(at, true)) },
};

const half = (bits: number) => widenFloat16(Uint16Array.of(bits))[0];
const brain = (bits: number) => widenBfloat16(Uint16Array.of(bits))[0];

/** What no tensor has more of. */
export const MOST_DIMENSIONS = 8;

/** Decodes a `TensorProto`: its shape, type and the size of its data agree from here on. */
export function decodeTensor(bytes: Uint8Array): TensorProto {
  const shape: number[] = [];
  const numbers: number[] = [];
  let name = '';
  let dataType = 0;
  let raw: Uint8Array | undefined;
  let location: number = proto.DataLocation.DEFAULT;
  const external: [string, string][] = [];
  eachField(bytes, (field, value) => {
    const { TensorProto } = proto;
    if (field === TensorProto.dims) pushIntegers(shape, value);
    else if (field === TensorProto.data_type) dataType = integer(value);
    else if (field === TensorProto.name) name = nameIn(value);
    else if (field === TensorProto.raw_data) raw = message(value);
    else if (field === TensorProto.float_data) pushFloats(numbers, value);
    else if (field === TensorProto.double_data) pushDoubles(numbers, value);
    else if (field === TensorProto.data_location) location = integer(value);
    else if (field === TensorProto.external_data) external.push(decodeEntry(message(value)));
    else if (
      field === TensorProto.int32_data ||
      field === TensorProto.int64_data ||
      field === TensorProto.uint64_data
    ) {
      pushIntegers(numbers, value);
    }
  });
  const fail = (what: string): never => {
    throw new GhostkitError(`${name ? printable(name) : 'a constant'}: ${what}`);
  };
  const type = TYPES[dataType];
  if (!type) return fail(`its type (${dataType}) is not supported`);
  if (shape.length > MOST_DIMENSIONS) return fail(`it has ${shape.length} dimensions`);
  if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0) || !(sizeOf(shape) * type.bytes < 2 ** 40)) {
    return fail(`its shape ${printable(formatShape(shape))} is not possible`);
  }
  const tensor = { name, shape, dataType };
  if (location === proto.DataLocation.EXTERNAL) {
    return { ...tensor, external: externalData(Object.fromEntries(external), sizeOf(shape) * type.bytes, fail) };
  }
  const count = raw ? raw.length / type.bytes : numbers.length;
  if (count !== sizeOf(shape)) return fail(`it has ${count} elements for the shape ${formatShape(shape)}`);
  return raw ? { ...tensor, raw } : { ...tensor, numbers };
}

function pushDoubles(into: number[], value: WireValue): void {
  const bytes = message(value);
  if (bytes.length % 8 !== 0) throw new GhostkitError('this ONNX file is damaged: a number is cut off');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; at += 8) into.push(view.getFloat64(at, true));
}

function externalData(
  entries: Readonly<Record<string, string>>,
  bytes: number,
  fail: (what: string) => never,
): ExternalData {
  const { location, offset = '0', length } = entries;
  if (!location || !isLocal(location)) {
    return fail(`its data are in ${printable(location ?? '')}, which is not inside the model's folder`);
  }
  if (!/^\d{1,15}$/.test(offset) || (length !== undefined && !/^\d{1,15}$/.test(length))) {
    return fail('where its data lie outside of the file is not a number');
  }
  if (length !== undefined && Number(length) !== bytes) return fail(`its data have ${length} bytes, not ${bytes}`);
  return { location, offset: Number(offset), length: bytes };
}

/** Whether a path stays below the folder that it is relative to, on any system. */
function isLocal(path: string): boolean {
  return !/^[/\\]|^[a-z]:|[\0\\]|(^|\/)\.\.(\/|$)/i.test(path);
}

/** How many bytes the elements take where they are stored as they are. */
export const byteLength = ({ shape, dataType }: TensorProto): number => sizeOf(shape) * TYPES[dataType].bytes;

/** Whether a `DataType` stands for real numbers rather than integers. */
export const isRealType = (dataType: number): boolean => TYPES[dataType]?.real ?? false;

/** Whether a tensor holds real numbers rather than integers. */
export const isReal = ({ dataType }: TensorProto): boolean => isRealType(dataType);

/** The elements of a tensor whose data are at hand, in double precision. */
export function numbersOf(tensor: TensorProto): Float64Array {
  if (tensor.external) throw new GhostkitError(`${printable(tensor.name)}: its data are not in this file`);
  const { dataType, raw, numbers = [], shape } = tensor;
  const type = TYPES[dataType];
  const out = new Float64Array(sizeOf(shape));
  if (raw) {
    const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
    for (let i = 0; i < out.length; i++) out[i] = type.read(view, i * type.bytes);
  } else {
    // Halves stand in a list of integers as their bit patterns.
    const widen = { [DataType.FLOAT16]: half, [DataType.BFLOAT16]: brain }[dataType];
    for (let i = 0; i < out.length; i++) out[i] = widen ? widen(numbers[i]) : numbers[i];
  }
  return out;
}

/** The elements as float32. */
export function floatsOf(tensor: TensorProto): Float32Array {
  const { dataType, raw } = tensor;
  if (raw && dataType === DataType.FLOAT) {
    const copy = new Uint8Array(raw);
    return new Float32Array(copy.buffer);
  }
  if (raw && (dataType === DataType.FLOAT16 || dataType === DataType.BFLOAT16)) {
    const bits = new Uint16Array(new Uint8Array(raw).buffer);
    return dataType === DataType.FLOAT16 ? widenFloat16(bits) : widenBfloat16(bits);
  }
  return Float32Array.from(numbersOf(tensor));
}
