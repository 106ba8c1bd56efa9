/**
 * float16 and bfloat16 exist only in files. Both are handled as their 16-bit patterns: widening is exact, narrowing
 * rounds to the nearest value, ties to even, as PyTorch and the hardware do.
 */

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

// 65,536 float16 values are few enough to tabulate, and a look-up is several times faster than the arithmetic.
let float16Values: Float32Array | undefined;

/** float16 bit patterns to their values. */
export function widenFloat16(bits: Uint16Array): Float32Array {
  float16Values ??= Float32Array.from({ length: 0x10000 }, (_, i) => float16Value(i));
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = float16Values[bits[i]];
  return out;
}

const FLOAT16_MAX = 65504;

/** Whether float16 has room for all of some values; what is beyond its range would become infinity. */
export const fitsFloat16 = (values: Float32Array): boolean => values.every((v) => Math.abs(v) <= FLOAT16_MAX);

/** Values to float16 bit patterns; beyond 65,504 becomes infinity. */
export function narrowToFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    single[0] = values[i];
    const bits = word[0];
    const sign = (bits >>> 16) & 0x8000;
    const magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) {
      out[i] = sign | 0x7e00;
    } else if (magnitude >= 0x47800000) {
      out[i] = sign | 0x7c00;
    } else if (magnitude >= 0x38800000) {
      // A normal float16: rebias the exponent by 112; a carry out of the fraction rounds into the exponent, as it should.
      out[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else {
      // A subnormal float16 counts units of 2^-24. Adding 0.5 leaves exactly those units in the fraction, rounded by
      // the float32 addition itself.
      single[0] = Math.abs(values[i]) + 0.5;
      out[i] = sign | (word[0] - 0x3f000000);
    }
  }
  return out;
}

/** bfloat16 bit patterns (the upper half of a float32) to their values. */
export function widenBfloat16(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i] << 16;
  return new Float32Array(out.buffer);
}

/** Values to bfloat16 bit patterns. */
export function narrowToBfloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    single[0] = values[i];
    const bits = word[0];
    const notANumber = (bits & 0x7fffffff) > 0x7f800000;
    out[i] = notANumber ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
  return out;
}
