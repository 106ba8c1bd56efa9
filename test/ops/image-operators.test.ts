import { describe, expect, it } from 'vitest';
import { evaluate } from '../../src/graph/evaluate.js';
import { constant, input } from '../../src/graph/leaves.js';
import type { Value } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';
import type { Shape } from '../../src/tensor/tensor.js';

/** Against numbers by hand; `test/formats/onnx` has the same operators against onnxruntime. */
function compute(shape: Shape, data: number[], build: (x: Value) => Value): number[] {
  const x = input('x', shape);
  const { y } = evaluate({ inputs: { x }, outputs: { y: build(x) } }, { x: Float64Array.from(data) });
  return [...y.data];
}

describe('instance_norm', () => {
  it('normalises every channel of every image by itself', () => {
    const y = compute([2, 1, 1, 2], [1, 3, -10, 10], (x) => ops.instanceNorm(x, undefined, { epsilon: 0 }));
    expect(y).toEqual([-1, 1, -1, 1]);
  });

  it('scales and shifts by channel or by image and channel', () => {
    const pixels = [1, 3, 1, 3, 1, 3, 1, 3];
    const norm = (scale: Value, shift: Value) =>
      compute([2, 2, 1, 2], pixels, (x) => ops.instanceNorm(x, { scale, shift }, { epsilon: 0 }));
    expect(norm(constant([2], [2, 3]), constant([2], [0, 1]))).toEqual([-2, 2, -2, 4, -2, 2, -2, 4]);
    const each = [constant([2, 2], [1, 2, 3, 4]), constant([2, 2], [10, 20, 30, 40])];
    expect(norm(each[0], each[1])).toEqual([9, 11, 18, 22, 27, 33, 36, 44]);
  });

  it('says what does not fit', () => {
    const x = input('x', [2, 3, 4, 4]);
    const affine = { scale: constant([2], [1, 1]), shift: constant([3], [0, 0, 0]) };
    expect(() => ops.instanceNorm(x, affine)).toThrow('input [2,3,4,4] does not fit scale [2] and shift [3]');
  });
});

describe('prelu', () => {
  it('has a slope for each channel, or one for all', () => {
    const x = [-1, 2, -3, -4];
    expect(compute([1, 2, 1, 2], x, (v) => ops.prelu(v, constant([2], [0.5, 2])))).toEqual([-0.5, 2, -6, -8]);
    expect(compute([1, 2, 1, 2], x, (v) => ops.leakyRelu(v, 0.25))).toEqual([-0.25, 2, -0.75, -1]);
    expect(() => ops.prelu(input('x', [1, 2]), constant([3], [1, 1, 1]))).toThrow('does not fit slope [3]');
  });
});

describe('resize', () => {
  const row = (build: (x: Value) => Value) => compute([1, 1, 1, 3], [0, 10, 20], build);

  it('repeats pixels', () => {
    expect(compute([1, 1, 2, 2], [1, 2, 3, 4], (x) => ops.upsampleNearest(x, 2))).toEqual([
      ...[1, 1, 2, 2],
      ...[1, 1, 2, 2],
      ...[3, 3, 4, 4],
      ...[3, 3, 4, 4],
    ]);
    expect(row((x) => ops.resizeNearest(x, [1, 2]))).toEqual([0, 10]);
  });

  it('keeps the outer edges, or the centres of the corners', () => {
    expect(row((x) => ops.resizeBilinear(x, [1, 6]))).toEqual([0, 2.5, 7.5, 12.5, 17.5, 20]);
    expect(row((x) => ops.resizeBilinear(x, [1, 5], { alignCorners: true }))).toEqual([0, 5, 10, 15, 20]);
    expect(row((x) => ops.resizeBilinear(x, [1, 1], { alignCorners: true }))).toEqual([0]);
    expect(row((x) => ops.resizeBilinear(x, [1, 1]))).toEqual([10]);
  });

  it('is nothing at the same size, and refuses none', () => {
    const x = input('x', [1, 1, 2, 3]);
    expect(ops.resizeNearest(x, [2, 3])).toBe(x);
    expect(() => ops.resizeNearest(x, [0, 3])).toThrow('resize: a size of positive integers is needed, got [0,3]');
  });
});
