import { grownScale } from '../graph/quantization.js';

// Where processors have no dot product of bytes in one instruction, products of pairs are sums of 16 bits, and those of two steps of four channels are added
// before they are widened (kernels/int8-words.ts). Activations are at most 127; weights have to leave such a sum within 16 bits whatever these are.

/** What four weights of one sign may add up to. */
const MOST = Math.floor(32767 / 127);

/** Weights `[C, taps]` of one output as the kernels read them: `[tap][channel]`, channels a multiple of 4, the whole a multiple of 8. */
export function weightRow(weights: ArrayLike<number>, taps: number): Float64Array {
  const channels = weights.length / taps;
  const padded = Math.ceil(channels / 4) * 4;
  const row = new Float64Array(Math.ceil((taps * padded) / 8) * 8);
  for (let c = 0; c < channels; c++) {
    for (let tap = 0; tap < taps; tap++) row[tap * padded + c] = weights[c * taps + tap];
  }
  return row;
}

/** The largest sum of weights of one sign that are added in 16 bits. */
function largestSum(row: ArrayLike<number>): number {
  let most = 0;
  for (let k = 0; k < row.length; k += k % 4 === 2 ? 6 : 2) {
    let positive = 0;
    let negative = 0;
    for (const i of [k, k + 1, k + 4, k + 5]) {
      if (row[i] > 0) positive += row[i];
      else negative -= row[i];
    }
    most = Math.max(most, positive, negative);
  }
  return most;
}

/** Whether the sums of all outputs fit: integer weights `[O, C, taps]`. */
export function fitWords(weights: Int8Array, outputs: number, taps: number): boolean {
  const each = weights.length / outputs;
  for (let o = 0; o < outputs; o++) {
    if (largestSum(weightRow(weights.subarray(o * each, (o + 1) * each), taps)) > MOST) return false;
  }
  return true;
}

/** The least scale of an output's weights, `scale` or above, with which they do. Few outputs need another one than that of 8 bits. */
export function wordsScale(weights: Float32Array, taps: number, scale: number): number {
  const row = weightRow(weights, taps);
  let fits = scale;
  for (;;) {
    const sum = largestSum(row.map((w) => Math.max(-127, Math.min(127, Math.round(w / fits)))));
    if (sum <= MOST) return fits;
    fits = grownScale(fits, Math.max(1.002, sum / MOST));
  }
}
