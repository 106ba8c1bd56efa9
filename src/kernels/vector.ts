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

/** erf x: an odd polynomial up to one (Cephes' erff), and 1 - e^-x^2 times a polynomial beyond (Abramowitz and Stegun, 7.1.26). */
export function erf(x: v128): v128 {
  const one = f32x4.splat(1);
  const z = f32x4.mul(x, x);
  let p = f32x4.splat(7.853861353153693e-5);
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-8.010193625184903e-4));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(5.188327685732524e-3));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-2.685381193529856e-2));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.128358514861418e-1));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(-3.7612625824233e-1));
  p = f32x4.add(f32x4.mul(p, z), f32x4.splat(1.12837916709551));
  const near = f32x4.mul(p, x);
  const size = f32x4.abs(x);
  const t = f32x4.div(one, f32x4.add(one, f32x4.mul(size, f32x4.splat(0.3275911))));
  p = f32x4.splat(1.061405429);
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-1.453152027));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(1.421413741));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-0.284496736));
  p = f32x4.add(f32x4.mul(p, t), f32x4.splat(0.254829592));
  const far = f32x4.sub(one, f32x4.mul(f32x4.mul(p, t), exp(f32x4.neg(z))));
  const sign = v128.and(x, f32x4.splat(-0));
  return v128.bitselect(near, v128.or(far, sign), f32x4.lt(size, one));
}

/** x times the normal distribution up to x (Hendrycks and Gimpel, arXiv:1606.08415). */
function gelu(x: v128): v128 {
  const half = f32x4.splat(0.5);
  return f32x4.mul(f32x4.mul(x, half), f32x4.add(f32x4.splat(1), erf(f32x4.mul(x, f32x4.splat(0.70710678)))));
}

/** ln x: that of the mantissa by a polynomial, and the exponent's (Cephes' logf). */
function log(x: v128): v128 {
  // Subnormal numbers have no exponent of their own.
  const small = f32x4.lt(x, f32x4.splat(1.17549435e-38));
  const bits = v128.bitselect(f32x4.mul(x, f32x4.splat(8388608)), x, small);
  // So that the mantissa is between the root of a half and that of two.
  const shifted = i32x4.sub(bits, i32x4.splat(0x3f3504f3));
  const e = f32x4.sub(f32x4.convert_i32x4_s(i32x4.shr_s(shifted, 23)), v128.and(small, f32x4.splat(23)));
  const m = i32x4.add(v128.and(shifted, i32x4.splat(0x007fffff)), i32x4.splat(0x3f3504f3));
  const r = f32x4.sub(m, f32x4.splat(1));
  const z = f32x4.mul(r, r);
  let p = f32x4.splat(7.0376836292e-2);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(-1.1514610310e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.1676998740e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(-1.2420140846e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.4249322787e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(-1.6668057665e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(2.0000714765e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(-2.4999993993e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(3.3333331174e-1));
  let y = f32x4.mul(f32x4.mul(p, r), z);
  y = f32x4.add(y, f32x4.mul(e, f32x4.splat(-2.12194440e-4)));
  y = f32x4.sub(y, f32x4.mul(z, f32x4.splat(0.5)));
  y = f32x4.add(f32x4.add(y, r), f32x4.mul(e, f32x4.splat(0.693359375)));
  // Of zero and of infinity, and of what has none.
  const zero = f32x4.splat(0);
  y = v128.bitselect(f32x4.splat(-Infinity), y, f32x4.eq(x, zero));
  y = v128.bitselect(x, y, f32x4.eq(x, f32x4.splat(Infinity)));
  return v128.bitselect(y, f32x4.splat(NaN), f32x4.ge(x, zero));
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
    case Activation.Gelu:
      return gelu(x);
    case Activation.Erf:
      return erf(x);
    case Activation.Exp:
      return exp(x);
    case Activation.Log:
      return log(x);
    case Activation.Sqrt:
      return f32x4.sqrt(x);
    default:
      return x;
  }
}
