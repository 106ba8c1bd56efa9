/** FNV-1a over the UTF-8 bytes of `text`: a stable 32-bit number for a name. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Element `i` of the stream `seed`, uniform in [0, 1): murmur3's finaliser over a Weyl sequence. */
export function uniformAt(seed: number, i: number): number {
  let x = (Math.imul(i, 0x9e3779b9) + seed) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 4294967296;
}

/** A seeded stream of uniform numbers in [0, 1). */
export function uniformStream(seed: number): () => number {
  let i = 0;
  return () => uniformAt(seed, i++);
}
