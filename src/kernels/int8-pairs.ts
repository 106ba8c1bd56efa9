// The inner loops of an int8 convolution without relaxed SIMD, or where neither of its dot products is to be trusted (int8-check.ts): pairs of 16 bits are
// multiplied and added. Activations are widened once for all panels, weights as they are read; their packing is that of int8-tiles.ts.

// @ts-expect-error: decorator
@inline
function dotPairs(w: v128, x: v128, sum: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(w, x));
}

/** Two sums of each output, side by side, become one. */
// @ts-expect-error: decorator
@inline
function joined(low: v128, high: v128): v128 {
  return i32x4.add(v128.shuffle<i32>(low, high, 0, 2, 4, 6), v128.shuffle<i32>(low, high, 1, 3, 5, 7));
}

/**
 * 4 rows of 16-bit activations, `stride` bytes apart and `bytes` long, by half a panel, of which `b`, `bias` and `sums` are
 * the halves too.
 */
export function pairs4x4(a: usize, stride: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  let c: Registers<v128>;
  let q: Registers<usize>;
  const zero = i32x4.splat(0);
  unroll: for (let i = 0; i < 4; i++) {
    unroll: for (let j = 0; j < 2; j++) c[i][j] = zero;
  }
  unroll: for (let i = 0; i < 4; i++) q[i] = i == 0 ? a : q[i - 1] + stride;
  for (const stop = q[0] + bytes; q[0] < stop; b += 64) {
    let w: Registers<v128>;
    let v: v128;
    unroll: for (let step = 0; step < 2; step++) {
      unroll: for (let j = 0; j < 2; j++) w[j] = v128.load8x8_s(b, 32 * step + 8 * j);
      unroll: for (let i = 0; i < 4; i++) {
        v = v128.load64_splat(q[i], 8 * step);
        unroll: for (let j = 0; j < 2; j++) c[i][j] = dotPairs(w[j], v, c[i][j]);
      }
    }
    unroll: for (let i = 0; i < 4; i++) q[i] += 16;
  }
  const start = v128.load(bias);
  unroll: for (let i = 0; i < 4; i++) v128.store(sums, i32x4.add(start, joined(c[i][0], c[i][1])), 32 * i);
}

/** One row of 16-bit activations by a panel. */
export function pairs1x8(a: usize, bytes: usize, b: usize, bias: usize, sums: usize): void {
  let c: Registers<v128>;
  const zero = i32x4.splat(0);
  unroll: for (let j = 0; j < 4; j++) c[j] = zero;
  for (const stop = a + bytes; a < stop; a += 8, b += 32) {
    const v = v128.load64_splat(a);
    unroll: for (let j = 0; j < 4; j++) c[j] = dotPairs(v128.load8x8_s(b, 8 * j), v, c[j]);
  }
  unroll: for (let j = 0; j < 2; j++) v128.store(sums, i32x4.add(v128.load(bias, 16 * j), joined(c[2 * j], c[2 * j + 1])), 16 * j);
}
