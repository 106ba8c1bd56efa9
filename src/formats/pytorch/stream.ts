import { GhostkitError } from '../../tensor/error.js';

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Reads the arguments of pickle operations; every length is checked against what is left before anything is made. */
export class ByteStream {
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    public position: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private advance(length: number): number {
    const start = this.position;
    if (length > this.bytes.length - start) throw new GhostkitError('it ends too early');
    this.position = start + length;
    return start;
  }

  uint8(): number {
    return this.view.getUint8(this.advance(1));
  }
  uint16(): number {
    return this.view.getUint16(this.advance(2), true);
  }
  int32(): number {
    return this.view.getInt32(this.advance(4), true);
  }
  uint32(): number {
    return this.view.getUint32(this.advance(4), true);
  }
  uint64(): number {
    return Number(this.view.getBigUint64(this.advance(8), true));
  }
  float64(): number {
    return this.view.getFloat64(this.advance(8), false);
  }
  take(length: number): Uint8Array {
    const start = this.advance(length);
    return this.bytes.subarray(start, start + length);
  }
  text(length: number): string {
    return utf8.decode(this.take(length));
  }
  latin1(length: number): string {
    return latin1(this.take(length));
  }

  /** Text up to the end of the line, as the operations of protocol 0 have it. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) throw new GhostkitError('it ends too early');
    const text = latin1(this.take(end - this.position));
    this.position++;
    return text;
  }

  /** A two's-complement little-endian integer; a number where it is exact. */
  integer(length: number): number | bigint {
    if (length > 4096) throw new GhostkitError(`it has an integer of ${length} bytes`);
    const bytes = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
    return exact(length > 0 ? BigInt.asIntN(8 * length, value) : 0n);
  }
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return text;
}

/** The integer as a number where that is exact. */
export function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
