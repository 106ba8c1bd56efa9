import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../src/graph/evaluate.js';
import { input } from '../../../src/graph/leaves.js';
import {
  areaOf,
  dilateSquare,
  type Mask,
  maskOf,
  resizeMask,
  union,
  without,
} from '../../../src/models/ghost2/masks.js';
import { close, dilate, disc, erode, type StructuringElement } from '../../../src/models/ghost2/morphology.js';
import { maxPool } from '../../../src/ops/index.js';

const maskArbitrary = (maxSide: number, minSide = 1): fc.Arbitrary<Mask> =>
  fc
    .tuple(fc.integer({ min: minSide, max: maxSide }), fc.integer({ min: minSide, max: maxSide }))
    .chain(([width, height]) =>
      fc
        .array(fc.boolean(), { minLength: width * height, maxLength: width * height })
        .map((bits) => ({ width, height, data: Uint8Array.from(bits, Number) })),
    );

/** kornia's definition: a maximum of `x + element` over windows padded with -1e4, a minimum of `x - element` over ones padded with 1e4. */
function byDefinition(mask: Mask, element: StructuringElement, kind: 'dilate' | 'erode'): number[] {
  const sign = kind === 'dilate' ? 1 : -1;
  const [top, left] = [Math.floor(element.height / 2), Math.floor(element.width / 2)];
  return Array.from(mask.data, (_, i) => {
    const [y, x] = [Math.floor(i / mask.width), i % mask.width];
    let best = -Infinity;
    for (let p = 0; p < element.data.length; p++) {
      const [py, px] = [y + Math.floor(p / element.width) - top, x + (p % element.width) - left];
      const inside = py >= 0 && py < mask.height && px >= 0 && px < mask.width;
      const value = inside ? mask.data[py * mask.width + px] : -sign * 1e4;
      const counts = element.data[kind === 'dilate' ? element.data.length - 1 - p : p];
      best = Math.max(best, sign * value + (counts ? 0 : -1e4));
    }
    return sign * best;
  });
}

describe('masks', () => {
  it('are the pixels with the labels', () => {
    const labels = { width: 3, height: 2, data: Uint8Array.of(0, 2, 15, 20, 15, 3) };
    const hair = maskOf(labels, [15, 20]);
    expect([...hair.data]).toEqual([0, 0, 1, 1, 1, 0]);
    expect(areaOf(hair)).toBe(3);
    const skin = maskOf(labels, [2, 15]);
    expect([...union(hair, skin).data]).toEqual([0, 1, 1, 1, 1, 0]);
    expect([...without(skin, hair).data]).toEqual([0, 1, 0, 0, 0, 0]);
    expect(() => union(hair, { ...skin, width: 2 })).toThrow('3x2 and 2x2 pixels');
  });

  it('grow by a square as a maximum pooling does', () => {
    fc.assert(
      fc.property(maskArbitrary(12, 4), fc.constantFrom(1, 3, 5, 7), (mask, size) => {
        const x = input('x', [1, 1, mask.height, mask.width]);
        const y = maxPool(x, size, { stride: 1, padding: size >> 1 });
        const { data } = evaluate({ inputs: { x }, outputs: { y } }, { x: Float64Array.from(mask.data) }).y;
        expect([...dilateSquare(mask, size).data]).toEqual([...data]);
      }),
      { numRuns: 60 },
    );
  });

  it('keep the upper left pixel when they shrink', () => {
    const data = Uint8Array.from({ length: 64 }, (_, i) => (i % 7 === 0 ? 1 : 0));
    const small = resizeMask({ width: 8, height: 8, data }, 4, 2);
    expect([...small.data]).toEqual([0, 2, 4, 6, 32, 34, 36, 38].map((i) => data[i]));
  });
});

describe('morphology', () => {
  it('is that of the definition, for elements of any form', () => {
    fc.assert(
      fc.property(maskArbitrary(9), maskArbitrary(6), (mask, element) => {
        fc.pre(areaOf(element) > 0);
        const sees = byDefinition(mask, element, 'dilate');
        // Where no counted neighbour lies inside, the definition leaves its padding; here such a pixel is outside of the mask, or inside.
        expect([...dilate(mask, element).data]).toEqual(sees.map((v) => (v > 0 ? 1 : 0)));
        expect([...erode(mask, element).data]).toEqual(
          byDefinition(mask, element, 'erode').map((v) => (v > 0 ? 1 : 0)),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('closes what a disc does not fit into', () => {
    expect([...disc(3).data]).toEqual([0, 1, 0, 1, 1, 1, 0, 1, 0]);
    expect(areaOf(disc(5))).toBe(13);
    const ring = { width: 7, height: 5, data: new Uint8Array(35) };
    for (const y of [1, 2, 3]) for (const x of [2, 3, 4]) ring.data[y * 7 + x] = y === 2 && x === 3 ? 0 : 1;
    const closed = close(ring, disc(5));
    expect(closed.data[2 * 7 + 3]).toBe(1);
    expect(areaOf(without(ring, closed))).toBe(0);
    expect(closed.data[0]).toBe(0);
    expect(() => dilate(ring, { width: 1, height: 1, data: Uint8Array.of(0) })).toThrow('element is empty');
  });
});
