import type { RgbImage } from '../resample.js';

/** The most that one shared memory of V8's can be addressed by. */
const MAX_BYTES = 2 ** 32;

/** Pixels are stored at multiples of this, so that 32 bits count the places of any memory. */
const UNIT = 16;

/** The memory of a cache, which all threads of a loader have in common. */
export interface CacheMemory {
  readonly pixels: SharedArrayBuffer;
  /** For each picture: state, width, height, place in units; then the number of units in use. */
  readonly table: SharedArrayBuffer;
}

const FIELDS = 4;
const EMPTY = 0;
const BEING_WRITTEN = 1;
const READY = 2;

/** Memory for at most `bytes` of decoded pixels of `count` pictures. The system gives it only as it is used. */
export function cacheMemory(count: number, bytes: number): CacheMemory {
  const size = Math.floor(Math.min(bytes, MAX_BYTES) / UNIT) * UNIT;
  return {
    pixels: new SharedArrayBuffer(size),
    table: new SharedArrayBuffer((count * FIELDS + 1) * Int32Array.BYTES_PER_ELEMENT),
  };
}

/**
 * Decoded pictures of a data set, shared by threads: each is written once, by whoever decoded it first. When the memory is full, what
 * comes later is not kept. A cache changes how long something takes, and nothing else.
 */
export class PixelCache {
  private readonly pixels: Uint8Array;
  private readonly table: Int32Array;
  private readonly used: number;

  constructor({ pixels, table }: CacheMemory) {
    this.pixels = new Uint8Array(pixels);
    this.table = new Int32Array(table);
    this.used = this.table.length - 1;
  }

  /** Picture `i`, if it is there: a view, not to be written to. */
  get(i: number): RgbImage | undefined {
    const at = i * FIELDS;
    if (Atomics.load(this.table, at) !== READY) return undefined;
    const width = this.table[at + 1];
    const height = this.table[at + 2];
    const start = (this.table[at + 3] >>> 0) * UNIT;
    return { width, height, data: this.pixels.subarray(start, start + width * height * 3) };
  }

  /** Keeps picture `i`, unless there is no room or another thread is about to. */
  put(i: number, { width, height, data }: RgbImage): void {
    const at = i * FIELDS;
    if (Atomics.compareExchange(this.table, at, EMPTY, BEING_WRITTEN) !== EMPTY) return;
    const units = Math.ceil(data.length / UNIT);
    const place = this.claim(units);
    // The picture itself is not tried again; a smaller one may still fit.
    if (place === undefined) return;
    this.pixels.set(data, place * UNIT);
    this.table[at + 1] = width;
    this.table[at + 2] = height;
    this.table[at + 3] = place;
    Atomics.store(this.table, at, READY);
  }

  /** Room that is this thread's alone; undefined where there is too little. What is taken is never given back, so no two can have the same. */
  private claim(units: number): number | undefined {
    for (let used = Atomics.load(this.table, this.used); ; ) {
      const place = used >>> 0;
      if ((place + units) * UNIT > this.pixels.length) return undefined;
      const seen = Atomics.compareExchange(this.table, this.used, used, place + units);
      if (seen === used) return place;
      used = seen;
    }
  }
}
