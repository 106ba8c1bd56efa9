import { Fused, Halves } from './int8-dot';
import { sumRow, sumTile } from './int8-tiles';
import { sumWords } from './int8-words';

// Some engines' first compilers have a mistake in the fused dot product: under register pressure the sum that it is added to is lost (V8's
// Liftoff before version 12, as in Node 20). The inner loops are therefore tried before they are used; where they fail, those that add the sum
// themselves run, and if they failed too those of plain SIMD would.

/** What a trial may find: the loops of neither, of one or of the other form are right. */
export const NO_DOTS: i32 = 0;
export const FUSED: i32 = 1;
export const HALVES: i32 = 2;

/** What was found, -1 before the trial. Every thread has its own. */
let found: i32 = -1;
/** Whether sums of 16 bits are faster than what was found. */
let words: bool = false;

const ROWS: i32 = 6;
const PANELS: i32 = 4;
/** Bytes of a row, and of its weights in one panel. */
const K: i32 = 8;
const PANEL: usize = 64;
/** Where they stand, and the biases, behind the sums. */
const A: usize = 256;
const WEIGHTS: usize = 320;
const BIAS: usize = 576;

/** Which loops of dot products can be trusted. `scratch` has room for 1024 bytes. */
export function dotsToTrust(scratch: usize): i32 {
  if (!ASC_FEATURE_RELAXED_SIMD) return NO_DOTS;
  if (found < 0) {
    found = tried<Fused>(scratch) ? FUSED : tried<Halves>(scratch) ? HALVES : NO_DOTS;
    words = found != NO_DOTS && saturates(scratch) && triedWords(scratch);
  }
  return found;
}

/**
 * Whether the processor has no instruction for the fused product: where it is put together, the products of pairs stop at 32767 when the second side has
 * 8 bits, which are never wanted.
 */
function saturates(scratch: usize): bool {
  if (!ASC_FEATURE_RELAXED_SIMD) return false;
  store<i32>(scratch, 0x7f7f7f7f);
  store<i32>(scratch, -1, 4);
  const sum = i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load32_splat(scratch), v128.load32_splat(scratch, 4), i32x4.splat(0));
  return i32x4.extract_lane(sum, 0) == 2 * 32767;
}

/** Whether {@link dotsToTrust} has found that sums of 16 bits are right, and faster than its answer. */
// @ts-expect-error: decorator
@inline
export function prefersWords(): bool {
  return ASC_FEATURE_RELAXED_SIMD && words;
}

/** Whether the form that {@link dotsToTrust} has found is the fused one. */
// @ts-expect-error: decorator
@inline
export function trustsFused(): bool {
  return found == FUSED;
}

/** Numbers that differ everywhere, behind the room for sums. */
function prepare(sums: usize): void {
  const a = sums + A;
  const weights = sums + WEIGHTS;
  const bias = sums + BIAS;
  for (let i = 0; i < ROWS * K; i++) store<i8>(a + <usize>i, <i8>(2 * i + 1));
  for (let i = 0; i < PANELS * 8 * K; i++) store<i8>(weights + <usize>i, <i8>(7 * i - 90));
  for (let i = 0; i < PANELS * 8; i++) store<i32>(bias + (<usize>i << 2), 100000 + i);
}

/** The same loop in words: no sum of the weights there is too large. */
function triedWords(sums: usize): bool {
  prepare(sums);
  sumWords(sums + A, K, K, sums + WEIGHTS, sums + BIAS, sums);
  let right = true;
  for (let row = 0; row < 4; row++) right = same(sums + A, row, sums + WEIGHTS, sums + BIAS, 8, sums + (<usize>row << 5)) && right;
  return right;
}

/** All loops of a form over a short row. */
function tried<T>(sums: usize): bool {
  const a = sums + A;
  const weights = sums + WEIGHTS;
  const bias = sums + BIAS;
  prepare(sums);
  let right = true;
  if (sizeof<T>() == sizeof<Fused>()) {
    sumTile<T, 6>(a, K, K, weights, bias, sums);
    for (let row = 0; row < 6; row++) right = same(a, row, weights, bias, 8, sums + (<usize>row << 5)) && right;
  }
  sumTile<T, 4>(a, K, K, weights, bias, sums);
  for (let row = 0; row < 4; row++) right = same(a, row, weights, bias, 8, sums + (<usize>row << 5)) && right;
  sumRow<T, 4>(a, K, weights, PANEL, bias, sums);
  right = same(a, 0, weights, bias, 32, sums) && right;
  sumRow<T, 1>(a, K, weights, 0, bias, sums);
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
