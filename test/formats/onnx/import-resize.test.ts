import { describe, expect, it } from 'vitest';
import type { Shape } from '../../../src/tensor/tensor.js';
import { ints, tensor } from '../../support/onnx-files.mjs';
import { type Attribute, type Case, expectImported, fileOf, image, importFile } from './imported.js';

interface Resizing {
  readonly x?: Shape;
  readonly scales?: readonly number[];
  readonly sizes?: readonly number[];
  readonly opset?: number;
  readonly op?: string;
  readonly [attribute: string]: unknown;
}

/** A Resize of `x` whose other properties are its attributes. */
function resize({ x = image, scales, sizes, opset, op = 'Resize', ...attributes }: Resizing): Case {
  const list = scales && tensor([scales.length], scales);
  const older = opset !== undefined && opset < 11;
  const others = older ? [list] : [undefined, list, ...(sizes ? [ints(...sizes)] : [])];
  return { x, op, opset, attributes: attributes as Record<string, Attribute>, others };
}

const asymmetric = { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };

const CASES: Record<string, Resizing> = {
  'nearest as PyTorch has it': { ...asymmetric, mode: 'nearest', scales: [1, 1, 2, 2] },
  'nearest by default': { scales: [1, 1, 2, 3] },
  'nearest, the upper of two in the middle': { nearest_mode: 'round_prefer_ceil', scales: [1, 1, 4, 3] },
  'nearest to a size between': { ...asymmetric, sizes: [2, 6, 10, 13] },
  'nearest by a scale that float32 rounds down': { ...asymmetric, x: [1, 2, 6, 9], scales: [1, 1, 5 / 3, 5 / 3] },
  'nearest, smaller': { ...asymmetric, x: [1, 2, 6, 9], scales: [1, 1, 0.5, 1 / 3] },
  'nearest, smaller and rounded up': {
    ...{ ...asymmetric, nearest_mode: 'ceil' },
    ...{ x: [1, 2, 6, 9], scales: [1, 1, 0.5, 1 / 3] },
  },
  'nearest, of one pixel': { ...asymmetric, x: [1, 6, 1, 1], scales: [1, 1, 2.5, 3.7] },
  'in version 10': { scales: [1, 1, 2, 3], opset: 10 },
  'in version 10, by no whole factor': { x: [1, 2, 6, 4], scales: [1, 1, 1.5, 1.25], opset: 10 },
  'in version 10, smaller': { x: [1, 2, 6, 8], scales: [1, 1, 0.5, 0.25], opset: 10 },
  Upsample: { op: 'Upsample', mode: 'nearest', scales: [1, 1, 2, 2], opset: 9 },
  'Upsample by no whole factor': { op: 'Upsample', x: [1, 2, 6, 4], scales: [1, 1, 1.5, 1.25], opset: 9 },
  'bilinear to sizes': {
    ...{ mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' },
    sizes: [2, 6, 14, 5],
  },
  'bilinear by scales': { mode: 'linear', x: [1, 2, 6, 8], scales: [1, 1, 5 / 3, 0.75] },
  'aligned corners': { mode: 'linear', coordinate_transformation_mode: 'align_corners', sizes: [2, 6, 13, 18] },
  'aligned corners by scales that make no whole size': {
    ...{ mode: 'linear', coordinate_transformation_mode: 'align_corners' },
    scales: [1, 1, 1.3, 1.7],
  },
};

describe('an imported Resize', () => {
  it.each(Object.entries(CASES))('%s', async (_, each) => {
    await expectImported(fileOf(resize(each)));
  });

  const uneven = /node it \(Resize\): scales that make no whole size of \[2,6,7,9\] are not supported/;
  const REFUSED: Record<string, [Resizing, RegExp]> = {
    'scales that make no whole size, nearest': [{ ...asymmetric, scales: [1, 1, 2, 1.5] }, uneven],
    'scales that make no whole size, bilinear': [{ mode: 'linear', scales: [1, 1, 0.5, 2] }, uneven],
    'pixels that are rounded up': [
      { nearest_mode: 'ceil', scales: [1, 1, 2, 2] },
      /nearest pixels by half_pixel, ceil are not supported from 7 to 14/,
    ],
    'pixels that are rounded down, of centres': [{ nearest_mode: 'floor', scales: [1, 1, 2, 2] }, /half_pixel, floor/],
    'the nearest of centres by no whole factor': [{ sizes: [2, 6, 10, 9] }, /from 7 to 10/],
    'in version 10, smaller by no whole factor': [
      { x: [1, 2, 7, 10], scales: [1, 1, 1, 0.4], opset: 10 },
      /nearest pixels by asymmetric, ceil are not supported from 10 to 4/,
    ],
    'bilinear in version 10': [{ mode: 'linear', scales: [1, 1, 2, 2], opset: 10 }, /asymmetric is not supported/],
    'a kept aspect ratio': [
      { ...asymmetric, sizes: [2, 6, 14, 14], keep_aspect_ratio_policy: 'not_larger', opset: 18 },
      /node it \(Resize\): keep_aspect_ratio_policy not_larger is not supported/,
    ],
  };
  it.each(Object.entries(REFUSED))('refuses %s', (_, [each, message]) => {
    expect(() => importFile(fileOf(resize(each)))).toThrow(message);
  });
});
