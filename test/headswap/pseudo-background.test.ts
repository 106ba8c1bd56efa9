import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pseudoBackground } from '../../src/headswap/pseudo-background.js';
import { dilateSquare, type LabelMap, without } from '../../src/models/ghost2/masks.js';
import { namedInput } from '../../src/models/named-weights.js';

function person(width: number, height: number, pixels: readonly number[]): LabelMap {
  const data = new Uint8Array(width * height);
  for (const [i, pixel] of pixels.entries()) data[pixel % data.length] = 1 + (i % 20);
  return { width, height, data };
}

/** The original's way: all distances from every pixel of the person to every pixel of the rim, the first least one counts. */
function byDefinition(image: Float32Array, parsing: LabelMap, sigma: number): Float64Array {
  const { width, height } = parsing;
  const inside = dilateSquare({ ...parsing, data: parsing.data.map((v) => (v > 0 ? 1 : 0)) }, 15);
  const rim = [...without(dilateSquare(inside, 3), inside).data.entries()].filter(([, v]) => v).map(([i]) => i);
  const side = Math.exp(-0.5 / sigma ** 2);
  const weights = [side, 1, side].map((v) => v / (1 + 2 * side));
  const mirror = (i: number, n: number) => (i < 0 ? -i : i >= n ? 2 * n - 2 - i : i);
  const out = Float64Array.from(image);
  for (let i = 0; i < inside.data.length; i++) {
    if (!inside.data[i]) continue;
    const distances = rim.map(
      (r) => (Math.floor(r / width) - Math.floor(i / width)) ** 2 + ((r % width) - (i % width)) ** 2,
    );
    const nearest = rim[distances.indexOf(Math.min(...distances))];
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let k = 0; k < 9; k++) {
        const y = mirror(Math.floor(nearest / width) + Math.floor(k / 3) - 1, height);
        const x = mirror((nearest % width) + (k % 3) - 1, width);
        sum += weights[Math.floor(k / 3)] * weights[k % 3] * image[(c * height + y) * width + x];
      }
      out[c * width * height + i] = sum;
    }
  }
  return out;
}

describe('the pseudo background', () => {
  it('has the blurred colour of the nearest pixel around the person', () => {
    const cases = fc.record({
      width: fc.integer({ min: 24, max: 48 }),
      height: fc.integer({ min: 24, max: 40 }),
      pixels: fc.array(fc.nat(5000), { minLength: 1, maxLength: 3 }),
      sigma: fc.double({ min: 0.1, max: 2, noNaN: true }),
    });
    fc.assert(
      fc.property(cases, ({ width, height, pixels, sigma }) => {
        const image = namedInput('target', [1, 3, height, width]);
        const parsing = person(width, height, pixels);
        const { data } = pseudoBackground(image, parsing, { sigma });
        const expected = byDefinition(image.data, parsing, sigma);
        expect(Math.max(...data.map((v, i) => Math.abs(v - expected[i])))).toBeLessThan(1e-6);
      }),
      { numRuns: 25 },
    );
  });

  it('is the picture itself where nobody is in it', () => {
    const image = namedInput('target', [1, 3, 20, 20]);
    expect(pseudoBackground(image, person(20, 20, []))).toBe(image);
  });

  it('leaves its input as it was, and says what does not fit', () => {
    const image = namedInput('target', [1, 3, 30, 30]);
    const before = image.data.slice();
    const parsing = person(30, 30, [450]);
    expect(pseudoBackground(image, parsing).data).not.toEqual(before);
    expect(image.data).toEqual(before);
    const everywhere = { ...parsing, data: parsing.data.map(() => 2) };
    expect(() => pseudoBackground(image, everywhere)).toThrow('the person fills the whole picture');
    expect(() => pseudoBackground(image, person(20, 20, [1]))).toThrow('20x20 pixels for a picture of 30x30');
    expect(() => pseudoBackground(image, parsing, { sigma: 0 })).toThrow('sigma must be positive');
  });
});
