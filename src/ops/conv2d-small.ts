import type { Value } from '../graph/value.js';
import type { Conv2dAttrs } from './conv2d.js';

// Convolutions that would leave a panel of 8 output channels mostly empty: of many small groups, and to a few channels.

/** How many groups are computed together, with zeros between them, so that small ones fill a panel. */
export function mergedGroups(groups: number, outputs: number, channels: number): number {
  let merged = 1;
  while (groups % (2 * merged) === 0 && 2 * merged * Math.max(outputs, channels) <= 8) merged *= 2;
  return merged;
}

/** The weights `[O, C / groups, taps]` of several groups as one of `[O, C, taps]`. */
export function blockDiagonal(
  weight: Float32Array,
  groups: number,
  outputs: number,
  channels: number,
  taps: number,
): Float32Array {
  const dense = new Float32Array(outputs * channels * taps);
  const length = (channels / groups) * taps;
  for (let o = 0; o < outputs; o++) {
    const group = Math.floor((o * groups) / outputs);
    dense.set(weight.subarray(o * length, (o + 1) * length), o * channels * taps + group * length);
  }
  return dense;
}

/** Whether there are so few outputs that the vectors lie along the input channels instead (kernels/few-outputs.ts). */
export function suitsFewOutputs({ attrs, shape }: Value<Conv2dAttrs>, outputs: number, channels: number): boolean {
  const pixels = shape[0] * shape[2] * shape[3];
  return outputs <= 4 && channels >= 16 && channels % 4 === 0 && !attrs.scale && pixels >= 16;
}

/** Packs a weight `[O, C, taps]` of at most 4 outputs as `[tap][C / 4][output][4]`, with 4 outputs unless it is one. */
export function packLanes(weight: Float32Array, outputs: number, channels: number, taps: number): Float32Array {
  const width = outputs === 1 ? 1 : 4;
  const packed = new Float32Array(taps * channels * width);
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < channels; c++) {
      const at = ((c >> 2) * width + o) * 4 + (c & 3);
      for (let tap = 0; tap < taps; tap++)
        packed[tap * channels * width + at] = weight[(o * channels + c) * taps + tap];
    }
  }
  return packed;
}
