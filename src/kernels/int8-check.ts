import { Fused, Halves } from './int8-dot';
import { dots1x32, dots1x8, dots4x8, dots6x8 } from './int8-tiles';

// Some engines' first compilers have a mistake in the fused dot product: under register pressure the sum that it is added to is lost (V8's
// Liftoff before version 12, as in Node 20). The inner loops are therefore tried before they are used; where they fail, those that add the sum
// themselves run, and if they failed too those of plain SIMD would.

/** What a trial may find: the loops of neither, of one or of the other form are right. */
export const NO_DOTS: i32 = 0;
export const FUSED: i32 = 1;
export const HALVES: i32 = 2;

/** What was found, -1 before the trial. Every thread has its own. */
let found: i32 = -1;

const ROWS: i32 = 6;
const PANELS: i32 = 4;
/** Bytes of a row, and of its weights in one panel. */
const K: i32 = 8;
const PANEL: usize = 64;

/** Which loops of dot products can be trusted. `scratch` has room for 1024 bytes. */
export function dotsToTrust(scratch: usize): i32 {
  if (!ASC_FEATURE_RELAXED_SIMD) return NO_DOTS;
  if (found < 0) found = tried<Fused>(scratch) ? FUSED : tried<Halves>(scratch) ? HALVES : NO_DOTS;
  return found;
}

/** Whether the form that {@link dotsToTrust} has found is the fused one. */
// @ts-expect-error: decorator
@inline
export function trustsFused(): bool {
  return found == FUSED;
}

/** All loops of a form over a short row, on numbers that differ everywhere. */
function tried<T>(sums: usize): bool {
  const a = sums + 256;
  const weights = a + 64;
  const bias = weights + 256;
  for (let i = 0; i < ROWS * K; i++) store<i8>(a + <usize>i, <i8>(2 * i + 1));
  for (let i = 0; i < PANELS * 8 * K; i++) store<i8>(weights + <usize>i, <i8>(7 * i - 90));
  for (let i = 0; i < PANELS * 8; i++) store<i32>(bias + (<usize>i << 2), 100000 + i);
  let right = true;
  if (sizeof<T>() == sizeof<Fused>()) {
    dots6x8<T>(a, K, K, weights, bias, sums);
    for (let row = 0; row < 6; row++) right = same(a, row, weights, bias, 8, sums + (<usize>row << 5)) && right;
  }
  dots4x8<T>(a, K, K, weights, bias, sums);
  for (let row = 0; row < 4; row++) right = same(a, row, weights, bias, 8, sums + (<usize>row << 5)) && right;
  dots1x32<T>(a, K, weights, PANEL, bias, sums);
  right = same(a, 0, weights, bias, 32, sums) && right;
  dots1x8<T>(a, K, weights, bias, sums);
  return same(a, 0, weights, bias, 8, sums) && right;
}

function same(a: usize, row: i32, weights: usize, bias: usize, outputs: i32, sums: usize): bool {
  for (let o = 0; o < outputs; o++) {
    let sum = load<i32>(bias + (<usize>o << 2));
    const panel = weights + <usize>(o >> 3) * PANEL + (<usize>(o & 7) << 2);
    for (let k = 0; k < K; k++) {
      const w = load<i8>(panel + (<usize>(k >> 2) << 5) + <usize>(k & 3));
      sum += <i32>load<i8>(a + <usize>(row * K + k)) * <i32>w;
    }
    if (load<i32>(sums + (<usize>o << 2)) != sum) return false;
  }
  return true;
}
