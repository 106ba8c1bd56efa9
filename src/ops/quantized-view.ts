import type { View } from '../graph/lowering.js';
import type { Shape } from '../tensor/tensor.js';
import { rowsAndChannels } from './shapes.js';

/** Bytes from one row of a quantised value to the next: whole vectors of 8 channels, or one word for what has few channels (an image). */
export function paddedChannels(channels: number): number {
  return channels <= 4 ? 4 : Math.ceil(channels / 8) * 8;
}

/** Memory of its own for a quantised value. */
export function quantizedView(shape: Shape): View {
  const { rows, channels } = rowsAndChannels(shape);
  const stride = paddedChannels(channels);
  // Kernels read and write whole vectors.
  const buffer = { floats: Math.ceil((rows * stride + 16) / 4) };
  return { buffer, offset: 0, bytes: 1, rows, channels, stride };
}

/** How many channels of a view may be written: where nobody else uses what stands behind them, whole vectors. */
export function writableChannels({ channels, stride, shared }: View): number {
  const padded = paddedChannels(channels);
  return !shared && stride === padded ? padded : channels;
}
