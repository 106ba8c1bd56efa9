import { fileURLToPath } from 'node:url';

/**
 * The weights that come with the package: RepGhostNet 0.5x with a stem of stride 1, trained on Tiny-ImageNet-200 at 64 pixels, in training form
 * and 16 bits. Where the command line takes weights and none are named it is these.
 */
export const SHIPPED_WEIGHTS = fileURLToPath(
  new URL('../../weights/repghostnet_050-tiny-imagenet.safetensors', import.meta.url),
);
