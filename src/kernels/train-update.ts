import { arg } from './args';
import { first, last } from './share';
import { storeLanes } from './vector';

// What a training step does to the parameters, in place: the optimizers' updates and running averages.

// @ts-expect-error: decorator
@inline
function splatArg(p: usize, i: i32): v128 {
  return v128.load32_splat(p + (i << 2));
}

/**
 * Stochastic gradient descent with momentum as PyTorch has it: `g += decay * w; m = momentum * m + g; w -= lr * (nesterov ? g + momentum * m : m)`.
 * Arguments: 0 parameter, 1 gradient, 2 momentum, 3 count, 4 learning rate (place), 5 momentum, 6 weight decay, 7 whether Nesterov's,
 * 8 factor of the gradient (place).
 */
export function sgd(p: usize, tid: i32, threads: i32): void {
  const count = arg(p, 3);
  const rate = v128.load32_splat(<usize>arg(p, 4));
  const factor = v128.load32_splat(<usize>arg(p, 8));
  const momentum = splatArg(p, 5);
  const decay = splatArg(p, 6);
  const nesterov = arg(p, 7) != 0;
  const end = last(count, 16, tid, threads);
  for (let i = first(count, 16, tid, threads); i < end; i += 4) {
    const at = <usize>i << 2;
    const w = v128.load(<usize>arg(p, 0) + at);
    const g = f32x4.add(f32x4.mul(v128.load(<usize>arg(p, 1) + at), factor), f32x4.mul(decay, w));
    const m = f32x4.add(f32x4.mul(momentum, v128.load(<usize>arg(p, 2) + at)), g);
    const step = nesterov ? f32x4.add(g, f32x4.mul(momentum, m)) : m;
    storeLanes(<usize>arg(p, 2) + at, m, count - i);
    storeLanes(<usize>arg(p, 0) + at, f32x4.sub(w, f32x4.mul(rate, step)), count - i);
  }
}

/**
 * AdamW (Loshchilov and Hutter, 2019): decoupled weight decay.
 * Arguments: 0 parameter, 1 gradient, 2 first moment, 3 second moment, 4 count, 5 learning rate (place), 6 7 betas, 8 epsilon, 9 weight decay,
 * 10 the two bias corrections `1 / (1 - betaᵗ)` (place), 11 factor of the gradient (place).
 */
export function adamw(p: usize, tid: i32, threads: i32): void {
  const count = arg(p, 4);
  const rate = v128.load32_splat(<usize>arg(p, 5));
  const beta1 = splatArg(p, 6);
  const beta2 = splatArg(p, 7);
  const epsilon = splatArg(p, 8);
  const one = f32x4.splat(1);
  const keep = f32x4.sub(one, f32x4.mul(rate, splatArg(p, 9)));
  const correct1 = v128.load32_splat(<usize>arg(p, 10));
  const correct2 = v128.load32_splat(<usize>arg(p, 10), 4);
  const factor = v128.load32_splat(<usize>arg(p, 11));
  const end = last(count, 16, tid, threads);
  for (let i = first(count, 16, tid, threads); i < end; i += 4) {
    const at = <usize>i << 2;
    const g = f32x4.mul(v128.load(<usize>arg(p, 1) + at), factor);
    const m = f32x4.add(f32x4.mul(beta1, v128.load(<usize>arg(p, 2) + at)), f32x4.mul(f32x4.sub(one, beta1), g));
    const square = f32x4.mul(f32x4.sub(one, beta2), f32x4.mul(g, g));
    const v = f32x4.add(f32x4.mul(beta2, v128.load(<usize>arg(p, 3) + at)), square);
    const size = f32x4.add(f32x4.sqrt(f32x4.mul(v, correct2)), epsilon);
    const step = f32x4.div(f32x4.mul(rate, f32x4.mul(m, correct1)), size);
    storeLanes(<usize>arg(p, 2) + at, m, count - i);
    storeLanes(<usize>arg(p, 3) + at, v, count - i);
    const w = v128.load(<usize>arg(p, 0) + at);
    storeLanes(<usize>arg(p, 0) + at, f32x4.sub(f32x4.mul(w, keep), step), count - i);
  }
}

/** `target += weight * (factor * value - target)`. Arguments: 0 target, 1 value, 2 count, 3 weight, 4 factor. */
export function average(p: usize, tid: i32, threads: i32): void {
  const count = arg(p, 2);
  const weight = splatArg(p, 3);
  const factor = splatArg(p, 4);
  const end = last(count, 16, tid, threads);
  for (let i = first(count, 16, tid, threads); i < end; i += 4) {
    const at = <usize>i << 2;
    const target = v128.load(<usize>arg(p, 0) + at);
    const change = f32x4.sub(f32x4.mul(factor, v128.load(<usize>arg(p, 1) + at)), target);
    storeLanes(<usize>arg(p, 0) + at, f32x4.add(target, f32x4.mul(weight, change)), count - i);
  }
}

/**
 * Adds the sum of squares of an array to a place, or makes of that sum the factor that clips a gradient's norm.
 * Arguments: 0 x, 1 count, 2 y (one double), 3 whether it is the first array.
 */
export function squaredNorm(p: usize, tid: i32, threads: i32): void {
  if (tid != 0) return;
  const count = arg(p, 1);
  const y = <usize>arg(p, 2);
  let sum: f64 = arg(p, 3) != 0 ? 0 : load<f64>(y);
  for (let i = 0; i < count; i++) {
    const v = <f64>load<f32>(<usize>arg(p, 0) + (<usize>i << 2));
    sum += v * v;
  }
  store<f64>(y, sum);
}

/** `min(1, limit / (norm + 1e-6))`, PyTorch's clipping. Arguments: 0 the sum of squares (one double), 1 limit, 2 y: the factor and the norm. */
export function clipFactor(p: usize, tid: i32, threads: i32): void {
  if (tid != 0) return;
  const norm = sqrt<f64>(load<f64>(<usize>arg(p, 0)));
  const factor = <f64>load<f32>(p + 4) / (norm + 1e-6);
  store<f32>(<usize>arg(p, 2), <f32>(factor < 1 ? factor : 1));
  store<f32>(<usize>arg(p, 2) + 4, <f32>norm);
}

/** murmur3's finaliser. */
// @ts-expect-error: decorator
@inline
function mixed(h: u32): u32 {
  h = (h ^ (h >>> 16)) * 0x85ebca6b;
  h = (h ^ (h >>> 13)) * 0xc2b2ae35;
  return h ^ (h >>> 16);
}

/**
 * Zeroes a share of the elements and scales the others up; which ones depends on the seed and the element alone.
 * Arguments: 0 x, 1 its row stride, 2 y, 3 its row stride, 4 rows, 5 channels, 6 share, 7 seed (place, an integer as a float), 8 salt.
 */
export function dropout(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const channels = arg(p, 5);
  const share = load<f32>(p + 24);
  const keep: f32 = 1 / (1 - share);
  // Mixed before the elements' numbers are added: the masks of two seeds are then not one, moved along.
  const seed = mixed(<u32>load<f32>(<usize>arg(p, 7)) * 0x9e3779b9 + <u32>arg(p, 8));
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const x = <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4);
    const y = <usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4);
    for (let c = 0; c < channels; c++) {
      const u = <f32>(mixed(<u32>(row * channels + c) * 0x9e3779b9 + seed) >>> 8) * 5.960464477539063e-8;
      const at = <usize>c << 2;
      store<f32>(y + at, u < share ? 0 : load<f32>(x + at) * keep);
    }
  }
}
