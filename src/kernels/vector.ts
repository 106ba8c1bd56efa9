import { Activation } from './opcodes';

/** `a * b + c`: one rounding with relaxed SIMD, two without. */
// @ts-expect-error: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Stores the first `count` (1 to 4) lanes. */
// @ts-expect-error: decorator
@inline
export function storeLanes(at: usize, v: v128, count: i32): void {
  if (count >= 4) {
    v128.store(at, v);
  } else {
    storePart(at, v, count);
  }
}

function storePart(at: usize, v: v128, count: i32): void {
  if (count == 1) {
    v128.store_lane<f32>(at, v, 0);
    return;
  }
  v128.store64_lane(at, v, 0);
  if (count == 3) v128.store_lane<f32>(at, v, 2, 8);
}

/** e^x, good to about 1e-7 relative: 2^n times a polynomial of the rest (Cephes' expf). */
export function exp(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87.3)), f32x4.splat(88.3));
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504)));
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(p, power);
}

function sigmoid(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp(f32x4.neg(x))));
}

/** tanh x: an odd polynomial near zero, where the difference of exponentials would lose its digits (Cephes' tanhf). */
function tanh(x: v128): v128 {
  const z = f32x4.mul(x, x);
  let p = f32x4.splat(-5.70498872745e-3);
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(2.06390887954e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-5.37397155531e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.33314422036e-1));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-3.33332819422e-1));
  const near = f32x4.add(f32x4.mul(f32x4.mul(p, z), x), x);
  const far = f32x4.sub(f32x4.mul(f32x4.splat(2), sigmoid(f32x4.add(x, x))), f32x4.splat(1));
  return v128.bitselect(near, far, f32x4.lt(f32x4.abs(x), f32x4.splat(0.625)));
}

/** An activation of four values; rare ones cost a call. `pmax` and `pmin` are one instruction and, in this order, keep a NaN. */
// @ts-expect-error: decorator
@inline
export function activate(x: v128, activation: i32): v128 {
  if (activation == Activation.None) return x;
  if (activation == Activation.Relu) return f32x4.pmax(x, f32x4.splat(0));
  return activateRare(x, activation);
}

function activateRare(x: v128, activation: i32): v128 {
  const zero = f32x4.splat(0);
  const six = f32x4.splat(6);
  switch (activation) {
    case Activation.Relu6:
      return f32x4.pmin(f32x4.pmax(x, zero), six);
    case Activation.HardSigmoid:
      return f32x4.div(f32x4.pmin(f32x4.pmax(f32x4.add(x, f32x4.splat(3)), zero), six), six);
    case Activation.HardSwish:
      return f32x4.div(f32x4.mul(x, f32x4.pmin(f32x4.pmax(f32x4.add(x, f32x4.splat(3)), zero), six)), six);
    case Activation.Sigmoid:
      return sigmoid(x);
    case Activation.Tanh:
      return tanh(x);
    case Activation.LeakyRelu:
      return v128.bitselect(f32x4.mul(x, f32x4.splat(0.01)), x, f32x4.lt(x, zero));
    default:
      return x;
  }
}
