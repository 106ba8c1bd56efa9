import { describe, expect, it } from 'vitest';
import { dataOf, input, nameOf } from '../../src/graph/leaves.js';
import { SpectralConv2d, SpectralLinear, settleSpectralNorm } from '../../src/nn/spectral-norm.js';

/** The weight that a layer computes with. */
const weightOf = (layer: SpectralConv2d | SpectralLinear, shape: number[]) =>
  layer.forward(input('x', shape)).inputs[1];

describe('spectral norm', () => {
  it('divides by u · W v, as in evaluation mode', () => {
    const layer = new SpectralLinear(2, 2, { bias: false });
    layer.weight_orig.data = Float32Array.of(1, 2, 3, 4);
    layer.weight_u.data = Float32Array.of(1, 0.5);
    layer.weight_v.data = Float32Array.of(2, -1);
    // W v = (0, 2), so sigma = 1.
    expect([...(dataOf(weightOf(layer, [1, 2])) as Float32Array)]).toEqual([1, 2, 3, 4]);
    layer.weight_u.data = Float32Array.of(1, -0.25);
    expect([...(dataOf(weightOf(layer, [1, 2])) as Float32Array)]).toEqual([-2, -4, -6, -8]);
  });

  it('keeps the names of the original and calls the divided weight `weight`', () => {
    const layer = new SpectralConv2d(3, 4, 3, { bias: true, padding: 1 });
    layer.nameParameters();
    expect(Object.fromEntries(layer.stateShapes())).toEqual({
      bias: [4],
      weight_orig: [4, 3, 3, 3],
      weight_u: [4],
      weight_v: [27],
    });
    expect(layer.parameterCount()).toBe(4 + 108);
    expect(nameOf(weightOf(layer, [1, 3, 5, 5]))).toBe('weight');
  });

  it('settles on the largest singular value', () => {
    const layer = new SpectralConv2d(2, 4, 2);
    // Two orthogonal rows among zeros: their lengths are the singular values.
    const rows = [
      [0, 3, 0, 0, 0, 4, 0, 0],
      [0, 0, 2, 0, 0, 0, 0, 0],
    ];
    layer.weight_orig.data = Float32Array.from({ length: 32 }, (_, i) => rows[i >> 3]?.[i & 7] ?? 0);
    settleSpectralNorm(layer);
    const weight = dataOf(weightOf(layer, [1, 2, 3, 3])) as Float32Array;
    weight.forEach((w, i) => void expect(w).toBeCloseTo(layer.weight_orig.data[i] / 5, 6));
  });
});
