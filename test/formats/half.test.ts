import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { narrowToBfloat16, narrowToFloat16, widenBfloat16, widenFloat16 } from '../../src/formats/half.js';

const ALL = Uint16Array.from({ length: 0x10000 }, (_, i) => i);

const FORMATS = [
  { name: 'float16', widen: widenFloat16, narrow: narrowToFloat16, infinity: 0x7c00 },
  { name: 'bfloat16', widen: widenBfloat16, narrow: narrowToBfloat16, infinity: 0x7f80 },
];

describe.each(FORMATS)('$name', ({ widen, narrow, infinity }) => {
  it('narrows every value of its own to itself', () => {
    const values = widen(ALL);
    const back = narrow(values);
    const wrong = ALL.filter((bits) => !Number.isNaN(values[bits]) && back[bits] !== bits);
    expect([...wrong]).toEqual([]);
    expect(ALL.filter((bits) => Number.isNaN(values[bits])).every((bits) => (back[bits] & 0x7fff) > infinity)).toBe(
      true,
    );
  });

  it('rounds to the nearest value, ties to even', () => {
    const ladder = widen(ALL.subarray(0, infinity));
    // One past the largest finite value stands for infinity.
    const limit = 2 * ladder[infinity - 1] - ladder[infinity - 2];
    const step = (i: number) => (i < infinity ? ladder[i] : limit);
    const check = (value: number) => {
      let low = 0;
      let high = infinity;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (step(middle) <= value) low = middle;
        else high = middle;
      }
      const [below, above] = [value - step(low), step(high) - value];
      const nearest = below < above || (below === above && low % 2 === 0) ? low : high;
      const [positive, negative] = narrow(Float32Array.of(value, -value));
      expect([positive, negative]).toEqual([nearest, nearest | 0x8000]);
    };
    for (let i = 0; i + 1 < infinity; i += 7) check(Math.fround((ladder[i] + ladder[i + 1]) / 2));
    fc.assert(
      fc.property(fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }), (v) => check(Math.min(v, limit))),
    );
  });
});

it('knows the landmarks of float16', () => {
  const values = Float32Array.of(1, -2, 65504, 65519, 65520, 2 ** -24, 2 ** -25, Number.NaN, Number.POSITIVE_INFINITY);
  const bits = [0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00, 0x0001, 0x0000, 0x7e00, 0x7c00];
  expect([...narrowToFloat16(values)]).toEqual(bits);
});
