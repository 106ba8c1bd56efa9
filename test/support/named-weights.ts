/** Weights that anyone can recreate from their names: how the golden outputs and the sample checkpoints were made. */

function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Element `i` of the stream of `seed`, uniform in [0, 1). */
function uniform(seed: number, i: number): number {
  let x = (Math.imul(i, 0x9e3779b9) + seed) >>> 0;
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  x ^= x >>> 16;
  return (x >>> 0) / 4294967296;
}

/** The values of the weight `name` in double precision, row-major. */
export function namedWeight(name: string, shape: readonly number[]): Float64Array {
  const seed = seedOf(name);
  const size = shape.reduce((n, d) => n * d, 1);
  const value = valueRule(name, shape);
  return Float64Array.from({ length: size }, (_, i) => value(uniform(seed, i)));
}

function valueRule(name: string, shape: readonly number[]): (u: number) => number {
  if (name.endsWith('num_batches_tracked')) return () => 0;
  if (name.endsWith('.running_var')) return (u) => 0.5 + u;
  if (name.endsWith('.running_mean') || name.endsWith('.bias')) return (u) => (2 * u - 1) * 0.1;
  if (shape.length < 2) return (u) => 0.3 + 0.6 * u;
  const fanIn = shape.slice(1).reduce((n, d) => n * d, 1);
  // Multiplied in this order: the rounding of the last bit depends on it.
  return (u) => (2 * u - 1) * Math.sqrt(3 / fanIn) * Math.sqrt(2);
}
