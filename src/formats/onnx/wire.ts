import { GhostkitError } from '../../tensor/error.js';
import { printable } from '../text.js';
import * as proto from './schema.js';

/** What can stand behind a field's number: a number, or bytes (strings, messages, packed numbers). */
export type WireValue = number | Uint8Array;

// pbf, which writes the format, reads past the end of a message without a word; a stranger's file needs every length checked.

/** How a field's value is stored. */
export enum WireType {
  Varint = 0,
  Fixed64 = 1,
  Bytes = 2,
  Fixed32 = 5,
}

const damaged = (what: string) => new GhostkitError(`this ONNX file is damaged or cut off: ${what}`);

/**
 * Calls `visit` with every field of a protocol-buffers message, in order: its number, its value (varints as signed 64-bit integers
 * in double precision, fixed-size numbers as their bytes) and how it was stored. Bytes are views of `message`.
 *
 * @throws GhostkitError when a length leads out of the message or a field has no known type.
 */
export function eachField(message: Uint8Array, visit: (field: number, value: WireValue, type: WireType) => void): void {
  const at = { position: 0 };
  while (at.position < message.length) {
    const tag = varint(message, at);
    const field = Math.floor(tag / 8);
    const type = tag & 7;
    if (field < 1 || field > 0x1fffffff) throw damaged('a field has no number');
    if (type === WireType.Varint) visit(field, varint(message, at), type);
    else if (type === WireType.Bytes) visit(field, take(message, at, varint(message, at)), type);
    else if (type === WireType.Fixed32) visit(field, take(message, at, 4), type);
    else if (type === WireType.Fixed64) visit(field, take(message, at, 8), type);
    else throw damaged(`a field has the unknown type ${type}`);
  }
}

/** The bytes of a nested message. */
export function message(value: WireValue): Uint8Array {
  if (typeof value === 'number') throw new GhostkitError('this ONNX file is damaged: a number stands for a message');
  return value;
}

const decoder = new TextDecoder();

export function text(value: WireValue): string {
  return decoder.decode(message(value));
}

/** Exporters put a path of scopes into a name; what is read once may be written for every node that uses it. */
const LONGEST_NAME = 1000;

/** What something is called. */
export function nameIn(value: WireValue): string {
  const bytes = message(value);
  if (bytes.length <= LONGEST_NAME) return text(bytes);
  const start = printable(text(bytes.subarray(0, 40)));
  throw new GhostkitError(`this ONNX file has a name of ${bytes.length} bytes, more than ${LONGEST_NAME}: ${start}…`);
}

export function integer(value: WireValue): number {
  if (typeof value !== 'number') throw new GhostkitError('this ONNX file is damaged: bytes stand for a number');
  return value;
}

/** Repeated integers, packed or not. */
export function pushIntegers(into: number[], value: WireValue): void {
  if (typeof value === 'number') into.push(value);
  else {
    const at = { position: 0 };
    while (at.position < value.length) into.push(varint(value, at));
  }
}

/** Repeated float32s, packed or not. */
export function pushFloats(into: number[], value: WireValue): void {
  const bytes = message(value);
  if (bytes.length % 4 !== 0) throw new GhostkitError('this ONNX file is damaged: a number is cut off');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; at += 4) into.push(view.getFloat32(at, true));
}

/** A `StringStringEntryProto`. */
export function decodeEntry(bytes: Uint8Array): [string, string] {
  let key = '';
  let content = '';
  eachField(bytes, (field, value) => {
    if (field === proto.StringStringEntryProto.key) key = text(value);
    if (field === proto.StringStringEntryProto.value) content = text(value);
  });
  return [key, content];
}

function take(message: Uint8Array, at: { position: number }, length: number): Uint8Array {
  if (!(length >= 0 && length <= message.length - at.position)) throw damaged('a length leads out of it');
  at.position += length;
  return message.subarray(at.position - length, at.position);
}

/** A variable-length integer as a signed one of 64 bits; beyond 2^53 it is rounded, as a double is. */
function varint(bytes: Uint8Array, at: { position: number }): number {
  let low = 0;
  let high = 0;
  for (let i = 0; i < 10; i++) {
    if (at.position >= bytes.length) throw damaged('it ends within a number');
    const byte = bytes[at.position++];
    const bits = byte & 0x7f;
    // 28 bits in the low part and 36 in the high one.
    if (i < 4) low += bits * 2 ** (7 * i);
    else high += bits * 2 ** (7 * (i - 4));
    if (byte < 0x80) return high >= 2 ** 35 ? (high - 2 ** 36) * 2 ** 28 + low : high * 2 ** 28 + low;
  }
  throw damaged('a number has more than 64 bits');
}
