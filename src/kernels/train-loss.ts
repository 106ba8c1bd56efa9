import { arg, floatArg } from './args';
import { erf, exp, storeLanes } from './vector';
import { first, last } from './share';
import { Activation } from './opcodes';

/** The largest of a row. */
function largest(x: usize, count: i32): f32 {
  let most: f32 = -Infinity;
  for (let c = 0; c < count; c++) most = max(most, load<f32>(x + (<usize>c << 2)));
  return most;
}

// @ts-expect-error: decorator
@inline
function exponential(x: f32): f32 {
  return f32x4.extract_lane(exp(f32x4.splat(x)), 0);
}

/** The sum of the exponentials of the differences to the largest. */
function exponentials(x: usize, count: i32, most: f32): f64 {
  let sum: f64 = 0;
  for (let c = 0; c < count; c++) sum += <f64>exponential(load<f32>(x + (<usize>c << 2)) - most);
  return sum;
}

/** ln x for x > 0. By hand: the library's has tables, and these kernels own no memory for static data. */
function logarithm(x: f64): f64 {
  const bits = reinterpret<u64>(x);
  let exponent = <i32>((bits >> 52) & 0x7ff) - 1023;
  let m = reinterpret<f64>((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  // 2 atanh((m - 1) / (m + 1)), |s| < 0.172.
  const s = (m - 1) / (m + 1);
  const z = s * s;
  let sum: f64 = 0;
  for (let k: f64 = 19; k > 0; k -= 2) sum = sum * z + 1 / k;
  return 2 * s * sum + <f64>exponent * 0.6931471805599453;
}

/**
 * The mean over rows of the cross-entropy of softmax(logits) and target probabilities.
 * Arguments: 0 logits, 1 their row stride, 2 targets, 3 their row stride, 4 rows, 5 classes, 6 y (one float).
 */
export function crossEntropy(p: usize, tid: i32, threads: i32): void {
  if (tid != 0) return;
  const rows = arg(p, 4);
  const classes = arg(p, 5);
  let total: f64 = 0;
  for (let row = 0; row < rows; row++) {
    const x = <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4);
    const t = <usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4);
    const most = largest(x, classes);
    const logSum = <f64>most + logarithm(exponentials(x, classes, most));
    for (let c = 0; c < classes; c++) {
      const target = <f64>load<f32>(t + (<usize>c << 2));
      if (target != 0) total += target * (logSum - <f64>load<f32>(x + (<usize>c << 2)));
    }
  }
  store<f32>(<usize>arg(p, 6), <f32>(total / <f64>rows));
}

/** The gradient of the logits. Arguments: 0-5 as of {@link crossEntropy}, 6 the loss's gradient (one float), 7 y, 8 its row stride. */
export function crossEntropyGradient(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 4);
  const classes = arg(p, 5);
  const factor = load<f32>(<usize>arg(p, 6)) / <f32>rows;
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const x = <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4);
    const t = <usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4);
    const y = <usize>arg(p, 7) + <usize>(row * arg(p, 8) * 4);
    const most = largest(x, classes);
    let targets: f32 = 0;
    for (let c = 0; c < classes; c++) targets += load<f32>(t + (<usize>c << 2));
    const scale = <f32>(<f64>targets / exponentials(x, classes, most));
    for (let c = 0; c < classes; c++) {
      const at = <usize>c << 2;
      store<f32>(y + at, factor * (scale * exponential(load<f32>(x + at) - most) - load<f32>(t + at)));
    }
  }
}

/**
 * The gradient in front of an activation, from what stands behind it (in front of it for hard-swish and GELU).
 * Arguments: 0 source, 1 its row stride, 2 gradient, 3 its row stride, 4 y, 5 its row stride, 6 rows, 7 channels, 8 activation.
 */
export function activationGradient(p: usize, tid: i32, threads: i32): void {
  const rows = arg(p, 6);
  const channels = arg(p, 7);
  const activation = arg(p, 8);
  if (arg(p, 1) == channels && arg(p, 3) == channels && arg(p, 5) == channels) {
    // Without gaps the rows are one long one, shared in whole vectors.
    const from = first(rows * channels, 16, tid, threads);
    const to = last(rows * channels, 16, tid, threads);
    for (let i = from; i < to; i += 4) {
      const at = <usize>i << 2;
      const g = v128.load(<usize>arg(p, 2) + at);
      storeLanes(<usize>arg(p, 4) + at, slope(v128.load(<usize>arg(p, 0) + at), g, activation), to - i);
    }
    return;
  }
  const end = last(rows, 1, tid, threads);
  for (let row = first(rows, 1, tid, threads); row < end; row++) {
    const x = <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4);
    const g = <usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4);
    const y = <usize>arg(p, 4) + <usize>(row * arg(p, 5) * 4);
    for (let c = 0; c < channels; c += 4) {
      const at = <usize>c << 2;
      storeLanes(y + at, slope(v128.load(x + at), v128.load(g + at), activation), channels - c);
    }
  }
}

// @ts-expect-error: decorator
@inline
function slope(x: v128, g: v128, activation: i32): v128 {
  if (activation == Activation.Relu) return v128.and(g, f32x4.gt(x, f32x4.splat(0)));
  return rareSlope(x, g, activation);
}

function rareSlope(x: v128, g: v128, activation: i32): v128 {
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  switch (activation) {
    case Activation.Relu6:
      return v128.and(g, v128.and(f32x4.gt(x, zero), f32x4.lt(x, f32x4.splat(6))));
    case Activation.HardSigmoid:
      return v128.and(f32x4.div(g, f32x4.splat(6)), v128.and(f32x4.gt(x, zero), f32x4.lt(x, one)));
    case Activation.HardSwish: {
      const middle = f32x4.div(f32x4.add(f32x4.add(x, x), f32x4.splat(3)), f32x4.splat(6));
      const high = f32x4.ge(x, f32x4.splat(3));
      const inside = f32x4.gt(x, f32x4.splat(-3));
      return v128.and(f32x4.mul(g, v128.bitselect(one, middle, high)), inside);
    }
    case Activation.Sigmoid:
      return f32x4.mul(g, f32x4.mul(x, f32x4.sub(one, x)));
    case Activation.Tanh:
      return f32x4.mul(g, f32x4.sub(one, f32x4.mul(x, x)));
    case Activation.LeakyRelu:
      return v128.bitselect(f32x4.mul(g, f32x4.splat(0.01)), g, f32x4.lt(x, zero));
    case Activation.Gelu: {
      const below = f32x4.mul(f32x4.add(one, erf(f32x4.mul(x, f32x4.splat(0.70710678)))), f32x4.splat(0.5));
      const density = f32x4.mul(exp(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5))), f32x4.splat(0.39894228));
      return f32x4.mul(g, f32x4.add(below, f32x4.mul(x, density)));
    }
    default:
      return g;
  }
}

/**
 * Sums rows of pixels to a shape that broadcasts to them; see ops/reduce.ts. The channels, or else everything, stay with one thread.
 * Arguments: 0 x, 1 its row stride, 2 a factor of every element, 3 its row stride, 4 whether there is one (2) or not (1), 5 y, 6-9 its strides
 * over n, h, w and c, 10 N, 11 H, 12 W, 13 C, 14 factor.
 */
export function sumTo(p: usize, tid: i32, threads: i32): void {
  const channels = arg(p, 13);
  let from = 0;
  let to = channels;
  if (arg(p, 9) == 1) {
    from = first(channels, 4, tid, threads);
    to = last(channels, 4, tid, threads);
  } else if (tid != 0) {
    return;
  }
  clear(p, from, arg(p, 9) == 0 ? 1 : to);
  const factor = floatArg(p, 14);
  for (let n = 0; n < arg(p, 10); n++) {
    for (let h = 0; h < arg(p, 11); h++) {
      const row = (n * arg(p, 11) + h) * arg(p, 12);
      const x = <usize>arg(p, 0) + <usize>(row * arg(p, 1) * 4);
      const other = <usize>arg(p, 2) + <usize>(row * arg(p, 3) * 4);
      const y = <usize>arg(p, 5) + <usize>((n * arg(p, 6) + h * arg(p, 7)) * 4);
      if (arg(p, 8) == 0 && arg(p, 9) == 1) sumLine(p, x, other, y, from, to, factor);
      else sumScalars(p, x, other, y, from, to, factor);
    }
  }
}

/** Zeroes the sums of the channels `from` to `to`: each thread those that it sums. They may have gaps between them. */
function clear(p: usize, from: i32, to: i32): void {
  const images = arg(p, 6) == 0 ? 1 : arg(p, 10);
  const height = arg(p, 7) == 0 ? 1 : arg(p, 11);
  const width = arg(p, 8) == 0 ? 1 : arg(p, 12);
  for (let n = 0; n < images; n++) {
    for (let h = 0; h < height; h++) {
      for (let w = 0; w < width; w++) {
        const y = n * arg(p, 6) + h * arg(p, 7) + w * arg(p, 8);
        for (let c = from; c < to; c++) store<f32>(<usize>arg(p, 5) + <usize>((y + c * arg(p, 9)) << 2), 0);
      }
    }
  }
}

function sumLine(p: usize, x: usize, other: usize, y: usize, from: i32, to: i32, factor: f32): void {
  const stepX = <usize>arg(p, 1) << 2;
  const stepO = <usize>arg(p, 3) << 2;
  const both = arg(p, 4) == 2;
  const width = arg(p, 12);
  for (let c = from; c < to; c += 4) {
    let q = x + (<usize>c << 2);
    let o = other + (<usize>c << 2);
    let sum = f32x4.splat(0);
    if (both) {
      for (let w = 0; w < width; w++, q += stepX, o += stepO) sum = f32x4.add(sum, f32x4.mul(v128.load(q), v128.load(o)));
    } else {
      for (let w = 0; w < width; w++, q += stepX) sum = f32x4.add(sum, v128.load(q));
    }
    const at = y + (<usize>c << 2);
    storeLanes(at, f32x4.add(v128.load(at), f32x4.mul(sum, f32x4.splat(factor))), to - c);
  }
}

function sumScalars(p: usize, x: usize, other: usize, y: usize, from: i32, to: i32, factor: f32): void {
  const both = arg(p, 4) == 2;
  for (let w = 0; w < arg(p, 12); w++) {
    for (let c = from; c < to; c++) {
      const at = y + <usize>((w * arg(p, 8) + c * arg(p, 9)) << 2);
      let v = load<f32>(x + <usize>((w * arg(p, 1) + c) << 2));
      if (both) v *= load<f32>(other + <usize>((w * arg(p, 3) + c) << 2));
      store<f32>(at, load<f32>(at) + factor * v);
    }
  }
}
