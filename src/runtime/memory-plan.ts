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
  const placed: { start: number; end: number; life: Lifetime }[] = [];
  let bytes = 0;
  const bySize = [...lifetimes].sort((a, b) => b.buffer.floats - a.buffer.floats || a.first - b.first);
  for (const life of bySize) {
    const size = align(life.buffer.floats * 4);
    let start = 0;
    // `placed` is sorted by start: the first gap that is large enough is the lowest.
    for (const other of placed) {
      if (other.life.last < life.first || life.last < other.life.first) continue;
      if (start + size <= other.start) break;
      start = Math.max(start, other.end);
    }
    offsets.set(life.buffer, start);
    placed.push({ start, end: start + size, life });
    placed.sort((a, b) => a.start - b.start);
    bytes = Math.max(bytes, start + size);
  }
  return { offsets, bytes };
}
