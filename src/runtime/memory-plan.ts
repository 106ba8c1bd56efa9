import type { Buffer } from '../graph/lowering.js';

/** Buffers start at multiples of a cache line. */
export const ALIGNMENT = 64;

export const align = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** The first and the last call that use a buffer. */
export interface Lifetime {
  readonly buffer: Buffer;
  first: number;
  last: number;
}

/**
 * Assigns offsets so that buffers which are alive at the same time do not overlap: largest first, each at the lowest offset that is
 * free during its life. Returns the offsets in bytes and the size of the whole.
 */
export function planMemory(lifetimes: readonly Lifetime[]): { offsets: Map<Buffer, number>; bytes: number } {
  const offsets = new Map<Buffer, number>();
  // What is placed, by its start. Every buffer is compared with all before it: in flat arrays that is quick for tens of thousands.
  const starts = new Float64Array(lifetimes.length);
  const ends = new Float64Array(lifetimes.length);
  const firsts = new Int32Array(lifetimes.length);
  const lasts = new Int32Array(lifetimes.length);
  let bytes = 0;
  const bySize = [...lifetimes].sort((a, b) => b.buffer.floats - a.buffer.floats || a.first - b.first);
  for (const [placed, { buffer, first, last }] of bySize.entries()) {
    const size = align(buffer.floats * 4);
    let start = 0;
    // The first gap that is large enough is the lowest.
    for (let i = 0; i < placed; i++) {
      if (lasts[i] < first || last < firsts[i]) continue;
      if (start + size <= starts[i]) break;
      start = Math.max(start, ends[i]);
    }
    offsets.set(buffer, start);
    let at = placed;
    while (at > 0 && starts[at - 1] > start) at--;
    const insert = (list: Float64Array | Int32Array, value: number) => {
      list.copyWithin(at + 1, at, placed);
      list[at] = value;
    };
    insert(starts, start);
    insert(ends, start + size);
    insert(firsts, first);
    insert(lasts, last);
    bytes = Math.max(bytes, start + size);
  }
  return { offsets, bytes };
}
