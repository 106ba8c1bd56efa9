import { GhostkitError } from '../../tensor/error.js';
import { messageOf, printable } from '../text.js';
import { Globals, refuse } from './globals.js';
import { ByteStream, exact } from './stream.js';
import { GlobalName, Placeholder, RefusedError, TensorRef } from './values.js';

/** Bounds on what a pickle makes, whatever its length claims. A checkpoint of 100,000 tensors stays within them. */
const MAX_STACK = 2 ** 21;
const MAX_MEMO = 2 ** 21;
const MAX_UNITS = 2 ** 22;
/** What an empty object of JavaScript costs, in stored values. */
const OBJECT_UNITS = 4;
const MAP_UNITS = 8;

export interface UnpickleOptions {
  /** Where the pickle begins. */
  readonly position?: number;
  /** Gives the object of a persistent id; without it such an id is an error. */
  readonly persistent?: (id: unknown) => unknown;
}

/**
 * Reads one pickle (protocols 0 to 5) as data. Lists and tuples become arrays, dicts Maps, sets Sets, bytes Uint8Arrays,
 * integers numbers where exact and else bigints, tensors `TensorRef`s, objects of other classes `Placeholder`s. The
 * values may share parts and contain themselves, as in Python. Nothing in the pickle is ever run.
 *
 * @throws RefusedError when the pickle would call anything but a constructor of data, GhostkitError when it is malformed.
 */
export function unpickle(bytes: Uint8Array, options: UnpickleOptions = {}): { value: unknown; end: number } {
  const machine = new Machine(bytes, options);
  try {
    const value = machine.run();
    return { value, end: machine.stream.position };
  } catch (error) {
    if (error instanceof RefusedError || !(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(`the pickle cannot be read, at byte ${machine.operation}: ${messageOf(error)}`);
  }
}

function fail(what: string): never {
  throw new GhostkitError(what);
}

const NOT_A_LITERAL = Symbol('not a literal');

class Machine {
  readonly stream: ByteStream;
  /** Where the operation under way began, for messages. */
  operation = 0;
  private readonly stack: unknown[] = [];
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, unknown>();
  private readonly globals = new Globals((units) => this.charge(units));
  private unitsLeft = MAX_UNITS;

  constructor(
    bytes: Uint8Array,
    private readonly options: UnpickleOptions,
  ) {
    this.stream = new ByteStream(bytes, options.position ?? 0);
  }

  run(): unknown {
    for (;;) {
      this.operation = this.stream.position;
      const code = this.stream.uint8();
      if (code === 0x2e) return this.pop();
      const literal = this.literal(code);
      if (literal === NOT_A_LITERAL) this.execute(code);
      else this.push(literal);
    }
  }

  private charge(units: number): void {
    this.unitsLeft -= units;
    if (this.unitsLeft < 0) fail('it makes too many objects');
  }

  private push(value: unknown): void {
    if (this.stack.length >= MAX_STACK) fail('its stack is too deep');
    this.stack.push(value);
  }

  private pushObject(value: unknown): void {
    this.charge(value instanceof Map || value instanceof Set ? MAP_UNITS : OBJECT_UNITS);
    this.push(value);
  }

  private requireItems(count: number): void {
    if (this.stack.length - (this.marks.at(-1) ?? 0) < count) fail('its stack is empty');
  }

  private pop(): unknown {
    this.requireItems(1);
    return this.stack.pop();
  }

  private top(): unknown {
    this.requireItems(1);
    return this.stack[this.stack.length - 1];
  }

  private popToMark(): unknown[] {
    const mark = this.marks.pop();
    if (mark === undefined) fail('it has no mark');
    return this.stack.splice(mark);
  }

  private pushTuple(count: number): void {
    this.requireItems(count);
    this.pushObject(this.stack.splice(this.stack.length - count));
  }

  private remember(key: number): void {
    if (this.memo.size >= MAX_MEMO) fail('its memo is too large');
    this.memo.set(key, this.top());
  }

  private recall(key: number): void {
    if (!this.memo.has(key)) fail(`its memo has no entry ${key}`);
    this.push(this.memo.get(key));
  }

  /** The operations that push a value of their own; `NOT_A_LITERAL` for the others. */
  private literal(code: number): unknown {
    const s = this.stream;
    switch (code) {
      case 0x4e: // NONE
        return null;
      case 0x88: // NEWTRUE
        return true;
      case 0x89: // NEWFALSE
        return false;
      case 0x4a: // BININT
        return s.int32();
      case 0x4b: // BININT1
        return s.uint8();
      case 0x4d: // BININT2
        return s.uint16();
      case 0x8a: // LONG1
        return s.integer(s.uint8());
      case 0x8b: // LONG4
        return s.integer(s.uint32());
      case 0x47: // BINFLOAT
        return s.float64();
      case 0x49: // INT
        return decimal(s.line());
      case 0x4c: // LONG
        return decimal(s.line().replace(/L$/, ''));
      case 0x46: // FLOAT
        return Number(s.line());
      case 0x58: // BINUNICODE
        return s.text(s.uint32());
      case 0x8c: // SHORT_BINUNICODE
        return s.text(s.uint8());
      case 0x8d: // BINUNICODE8
        return s.text(s.uint64());
      case 0x56: // UNICODE
        return s.line();
      case 0x53: // STRING
        return s.line().replace(/^(['"])(.*)\1$/s, '$2');
      case 0x54: // BINSTRING
        return s.latin1(s.uint32());
      case 0x55: // SHORT_BINSTRING
        return s.latin1(s.uint8());
      case 0x42: // BINBYTES
        return s.take(s.uint32());
      case 0x43: // SHORT_BINBYTES
        return s.take(s.uint8());
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return s.take(s.uint64());
      default:
        return NOT_A_LITERAL;
    }
  }

  private execute(code: number): void {
    const s = this.stream;
    switch (code) {
      case 0x80: // PROTO
        if (s.uint8() > 5) fail('its protocol is newer than 5');
        return;
      case 0x95: // FRAME: only a hint for buffering
        s.uint64();
        return;
      case 0x28: // MARK
        if (this.marks.length >= MAX_STACK) fail('its stack is too deep');
        this.marks.push(this.stack.length);
        return;
      case 0x30: // POP, of an item or of a mark
        if (this.marks.at(-1) === this.stack.length) this.marks.pop();
        else this.pop();
        return;
      case 0x31: // POP_MARK
        this.popToMark();
        return;
      case 0x32: // DUP
        this.push(this.top());
        return;
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        this.pushObject([]);
        return;
      case 0x7d: // EMPTY_DICT
        this.pushObject(new Map());
        return;
      case 0x8f: // EMPTY_SET
        this.pushObject(new Set());
        return;
      case 0x6c: // LIST
      case 0x74: // TUPLE
        this.pushObject(this.popToMark());
        return;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        this.pushTuple(code - 0x84);
        return;
      case 0x64: // DICT
        this.pushObject(this.setItems(new Map(), this.popToMark()));
        return;
      case 0x91: // FROZENSET
        this.pushObject(this.addItems(new Set(), this.popToMark()));
        return;
      case 0x61: // APPEND
        this.append([this.pop()]);
        return;
      case 0x65: // APPENDS
        this.append(this.popToMark());
        return;
      case 0x90: {
        // ADDITEMS
        const items = this.popToMark();
        this.addItems(this.top(), items);
        return;
      }
      case 0x73: // SETITEM
        this.requireItems(2);
        this.assign(this.stack.splice(this.stack.length - 2));
        return;
      case 0x75: // SETITEMS
        this.assign(this.popToMark());
        return;
      case 0x70: // PUT
        this.remember(index(s.line()));
        return;
      case 0x71: // BINPUT
        this.remember(s.uint8());
        return;
      case 0x72: // LONG_BINPUT
        this.remember(s.uint32());
        return;
      case 0x94: // MEMOIZE
        this.remember(this.memo.size);
        return;
      case 0x67: // GET
        this.recall(index(s.line()));
        return;
      case 0x68: // BINGET
        this.recall(s.uint8());
        return;
      case 0x6a: // LONG_BINGET
        this.recall(s.uint32());
        return;
      default:
        this.executeObject(code);
    }
  }

  /** The operations that name, make and fill objects. */
  private executeObject(code: number): void {
    const s = this.stream;
    switch (code) {
      case 0x63: // GLOBAL
        this.pushObject(this.globals.find(s.line(), s.line()));
        return;
      case 0x93: {
        // STACK_GLOBAL
        const name = this.pop();
        const module = this.pop();
        if (typeof module !== 'string' || typeof name !== 'string') fail('a name is not a string');
        this.pushObject(this.globals.find(module, name));
        return;
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const args = this.pop();
        this.call(this.pop(), args);
        return;
      }
      case 0x92: {
        // NEWOBJ_EX
        const named = this.pop();
        const args = this.pop();
        if (!Array.isArray(args)) fail('arguments are not a tuple');
        this.charge(args.length);
        this.call(this.pop(), [...args, named]);
        return;
      }
      case 0x69: {
        // INST
        const type = this.globals.find(s.line(), s.line());
        this.call(type, this.popToMark());
        return;
      }
      case 0x6f: {
        // OBJ
        const [type, ...args] = this.popToMark();
        this.call(type, args);
        return;
      }
      case 0x62: // BUILD
        this.build(this.pop());
        return;
      case 0x50: // PERSID
        this.push(this.persistent(s.line()));
        return;
      case 0x51: // BINPERSID
        this.push(this.persistent(this.pop()));
        return;
      case 0x82: // EXT1
      case 0x83: // EXT2
      case 0x84: // EXT4
        refuse('the extension registry of copyreg');
        return;
      default:
        fail(`there is no operation 0x${code.toString(16).padStart(2, '0')}`);
    }
  }

  private call(target: unknown, args: unknown): void {
    if (!(target instanceof GlobalName)) fail('it calls something that is not a name');
    if (!Array.isArray(args)) fail(`the arguments of ${printable(target.name)} are not a tuple`);
    if (!target.call) refuse(target.name);
    this.pushObject(target.call(args));
  }

  /** BUILD sets an object's state. A dict's attributes (`_metadata` of a state dict) and a tensor's are not needed. */
  private build(state: unknown): void {
    const object = this.top();
    if (object instanceof Placeholder) object.state = state;
    else if (!(object instanceof Map || object instanceof TensorRef)) fail('it gives a state to something without one');
  }

  private persistent(id: unknown): unknown {
    if (!this.options.persistent) fail('it refers to storages, which the file does not hold');
    this.charge(OBJECT_UNITS);
    return this.options.persistent(id);
  }

  private append(items: readonly unknown[]): void {
    const list = this.top();
    this.charge(items.length);
    // What is put into an object of an unknown class is dropped: it may be a list, or anything with `append`.
    if (list instanceof Placeholder) return;
    if (!Array.isArray(list)) fail('it appends to something that is not a list');
    for (const item of items) list.push(item);
  }

  private assign(items: readonly unknown[]): void {
    const map = this.top();
    if (map instanceof Placeholder) return;
    if (!(map instanceof Map)) fail('it sets an item of something that is not a dict');
    this.setItems(map, items);
  }

  private setItems(map: Map<unknown, unknown>, items: readonly unknown[]): Map<unknown, unknown> {
    if (items.length % 2) fail('a dict has a key without a value');
    this.charge(items.length / 2);
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
    return map;
  }

  private addItems(set: unknown, items: readonly unknown[]): Set<unknown> {
    if (!(set instanceof Set)) fail('it adds to something that is not a set');
    this.charge(items.length);
    for (const item of items) set.add(item);
    return set;
  }
}

function decimal(text: string): number | bigint | boolean {
  if (text === '00' || text === '01') return text === '01';
  if (!/^-?\d{1,1000}$/.test(text)) fail('it has a number that is none');
  return exact(BigInt(text));
}

function index(text: string): number {
  if (!/^\d{1,9}$/.test(text)) fail('it has a memo index that is none');
  return Number(text);
}
