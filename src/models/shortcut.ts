import { batchNorm, conv2d, type Sequential, sequential } from '../nn/layers.js';

/** One kernel for every channel, padded so that only the stride changes the size of the image. */
export function depthwise(channels: number, kernel: number, stride: number) {
  return conv2d(channels, channels, kernel, { stride, padding: Math.floor((kernel - 1) / 2), groups: channels });
}

/**
 * The shortcut of a ghost bottleneck whose input and output differ in shape (GhostNet, section 3.2): a depthwise convolution
 * that takes the stride and a pointwise one that takes the channels. `undefined` where the input itself is the shortcut.
 */
export function projection(
  inChannels: number,
  outChannels: number,
  kernel: number,
  stride: number,
): Sequential | undefined {
  if (inChannels === outChannels && stride === 1) return undefined;
  return sequential(
    depthwise(inChannels, kernel, stride),
    batchNorm(inChannels),
    conv2d(inChannels, outChannels, 1),
    batchNorm(outChannels),
  );
}
