import { type Shape, sizeOf } from '../tensor/tensor.js';

/** Fills an array of `shape` from a stream of uniform numbers in [0, 1). */
export type Initializer = (shape: Shape, uniform: () => number) => Float32Array;

const fanIn = (shape: Shape) => sizeOf(shape.slice(1));

export const constantInit =
  (value: number): Initializer =>
  (shape) =>
    new Float32Array(sizeOf(shape)).fill(value);

export const uniformInit =
  (bound: number): Initializer =>
  (shape, uniform) =>
    Float32Array.from({ length: sizeOf(shape) }, () => (2 * uniform() - 1) * bound);

/** PyTorch's default for convolutions and linear layers: uniform in ±1/sqrt(fan in). */
export const defaultWeightInit: Initializer = (shape, uniform) =>
  uniformInit(1 / Math.sqrt(fanIn(shape)))(shape, uniform);

/** PyTorch's default for the bias of a layer whose weight has `fanIn` inputs to each output. */
export const defaultBiasInit = (fanInOfWeight: number): Initializer => uniformInit(1 / Math.sqrt(fanInOfWeight));

/** Normally distributed around 0 (Box and Muller's transform). */
export const normalInit =
  (deviation: number): Initializer =>
  (shape, uniform) =>
    Float32Array.from({ length: sizeOf(shape) }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      return radius * Math.cos(2 * Math.PI * uniform()) * deviation;
    });

/** He's initialisation by fan out, for a convolution whose ReLU follows it: normal, variance 2 / (outputs * kernel area). */
export const heFanOutInit: Initializer = (shape, uniform) =>
  normalInit(Math.sqrt(2 / (shape[0] * sizeOf(shape.slice(2)))))(shape, uniform);
