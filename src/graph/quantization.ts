/**
 * How the elements of a quantised value are stored: the real number `scale * (q - zeroPoint)` as the integer `q` from `low` to `high`, which
 * fits into 8 bits with a sign.
 */
export interface Quantization {
  readonly scale: number;
  readonly zeroPoint: number;
  readonly low: number;
  readonly high: number;
}

/** The integers of activations that a layer reads: its kernels multiply them in 7 bits. */
export const SEVEN_BITS = { low: 0, high: 127 } as const;

/** The integers of all other activations. */
export const EIGHT_BITS = { low: -128, high: 127 } as const;

/** The quantisation whose integers cover the real numbers from `min` to `max`, and zero exactly. */
export function quantizationFor(
  min: number,
  max: number,
  { low, high }: Pick<Quantization, 'low' | 'high'>,
): Quantization {
  const from = Math.min(min, 0);
  const to = Math.max(max, 0);
  // A value that is always zero has no scale of its own.
  const scale = Math.fround(to > from ? (to - from) / (high - low) : 1);
  const zeroPoint = Math.min(high, Math.max(low, Math.round(low - from / scale)));
  return { scale, zeroPoint, low, high };
}

/** Rounds to nearest, halves to even, as the kernels and ONNX do. */
export function roundEven(x: number): number {
  const nearest = Math.round(x);
  return Math.abs(x % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

/** The integer that stands for a real number. */
export function quantized({ scale, zeroPoint, low, high }: Quantization, x: number): number {
  return Math.min(high, Math.max(low, roundEven(x / scale + zeroPoint)));
}

/** The number nearest to `x` that the quantisation can stand for. */
export function onGrid(q: Quantization, x: number): number {
  return q.scale * (quantized(q, x) - q.zeroPoint);
}

export function sameQuantization(a: Quantization | undefined, b: Quantization | undefined): boolean {
  if (!a || !b) return a === b;
  return a.scale === b.scale && a.zeroPoint === b.zeroPoint && a.low === b.low && a.high === b.high;
}

/** A scale that is larger by a factor above 1, in float32; by one step where the smallest floats lie too far apart for it. */
export const grownScale = (scale: number, factor: number): number =>
  Math.max(Math.fround(scale * factor), Math.fround(scale + 2 ** -149));
