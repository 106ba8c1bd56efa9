import { describe, expect, it } from 'vitest';
import { decodeBoxes, overlap, suppress } from '../../src/headswap/detect/boxes.js';
import { Pyramid } from '../../src/headswap/detect/pyramid.js';
import { normalized } from '../../src/headswap/detect/tensor.js';
import { loadFaceNetworks } from '../../src/headswap/detect/weights.js';
import { IDENTITY, rotationAround } from '../../src/headswap/geometry.js';
import { compile } from '../../src/nn/compile.js';
import { float32 } from '../../src/tensor/tensor.js';
import { pattern, plain } from '../support/pictures.js';

/** A picture of cosines, three different ones. */
function cosines(side: number) {
  const data = Uint8Array.from({ length: side * side * 3 }, (_, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % side, Math.floor(i / (3 * side))];
    return Math.round(127.5 + 127.5 * Math.cos(x / (17 + 5 * c) + c) * Math.cos(y / (23 - 4 * c) + 2 * c));
  });
  return { width: side, height: side, data };
}

async function run(which: 'detector' | 'landmarks', side: number, mean: readonly [number, number, number]) {
  const network = await compile((await loadFaceNetworks())[which], { input: [1, 3, side, side] });
  try {
    return network.run({ image: normalized(cosines(side), mean, new Float32Array(3 * side * side)) }).logits;
  } finally {
    network.close();
  }
}

// The expected numbers are those of face-api.js 1.7.15 on TensorFlow.js 4.22 (wasm), with the same weights.
describe('the networks of face-api.js', () => {
  it('detect as the original does', async () => {
    const { shape, data } = await run('detector', 320, [117.001, 114.697, 97.404]);
    expect(shape).toEqual([1, 25, 10, 10]);
    const expected = [
      [0, 0, 0, 0.9263244],
      [0, 0, 4, -8.4155922],
      [3, 7, 9, -11.4287062],
      [5, 5, 14, -8.3793297],
      [9, 9, 24, -14.4509869],
      [9, 0, 22, -0.0178341],
      [4, 2, 17, -0.0073024],
    ];
    for (const [y, x, c, value] of expected) expect(Math.abs(data[c * 100 + y * 10 + x] - value)).toBeLessThan(1e-4);
  });

  it('find landmarks as the original does', async () => {
    const { shape, data } = await run('landmarks', 112, [122.782, 117.001, 104.298]);
    expect(shape).toEqual([1, 136]);
    const expected = {
      0: 0.173558,
      1: 0.555871,
      60: 0.393777,
      61: 0.487233,
      90: 0.591371,
      134: 0.399499,
      135: 0.637462,
    };
    for (const [i, value] of Object.entries(expected)) expect(data[Number(i)]).toBeCloseTo(value, 5);
  });

  it('say which file of theirs is damaged or missing', async () => {
    const damaged = loadFaceNetworks(async (name) => new TextEncoder().encode(name.endsWith('.json') ? '[{}]' : ''));
    await expect(damaged).rejects.toThrow(/^tiny_face_detector_model: not a valid TensorFlow\.js weights manifest/);
    const wrong = JSON.stringify([{ paths: [], weights: [] }]);
    await expect(loadFaceNetworks(async () => new TextEncoder().encode(wrong))).rejects.toThrow(
      'missing (conv0.filters',
    );
  });
});

describe('boxes', () => {
  it('are decoded from one position of the output', () => {
    const data = new Float32Array(25 * 6).fill(-20);
    const set = (field: number, value: number) => {
      data[(5 + field) * 6 + 4] = value;
    };
    // The second anchor in the second row and column of 2 x 3.
    for (const [field, value] of [0, 0, Math.log(2), 0, 3].entries()) set(field, value);
    const output = float32([1, 25, 2, 3], data);
    const [box, ...others] = decodeBoxes(output, 0.5, IDENTITY);
    expect(others).toEqual([]);
    expect(box.score).toBeCloseTo(1 / (1 + Math.exp(-3)), 6);
    expect([...box.center]).toEqual([47.5, 47.5]);
    expect([box.width, box.height]).toEqual([expect.closeTo(2 * 6.041143 * 32, 3), expect.closeTo(7.080126 * 32, 3)]);
    const [turned] = decodeBoxes(output, 0.5, rotationAround([47.5, 47.5], 0.5, 2, [10, 20]));
    expect([...turned.center, turned.angle, turned.width / box.width]).toEqual(
      [10, 20, 0.5, 2].map((v) => expect.closeTo(v, 9)),
    );
  });

  it('of one face are reduced to the best', () => {
    const box = (x: number, score: number) => ({ center: [x, 0] as const, width: 10, height: 20, angle: 0, score });
    const boxes = [box(0, 0.9), box(2, 0.8), box(30, 0.7), box(9, 0.6)];
    expect(overlap(boxes[0], boxes[1])).toBeCloseTo(8 / 12, 9);
    expect(overlap(boxes[0], boxes[2])).toBe(0);
    expect(suppress(boxes, 0.3)).toEqual([boxes[0], boxes[2], boxes[3]]);
  });
});

describe('Pyramid', () => {
  it('gives the picture itself, and parts of any size where they are', () => {
    const image = pattern(97, 65);
    expect(new Pyramid(image).sample(IDENTITY, 97, 65).data).toEqual(image.data);
    // A ramp stays the same ramp when it is shrunk, whichever level it is taken from.
    const ramp = {
      width: 256,
      height: 8,
      data: Uint8Array.from({ length: 256 * 8 * 3 }, (_, i) => Math.floor(i / 3) % 256),
    };
    for (const scale of [0.9, 0.5, 0.4, 0.25, 0.13]) {
      const { data } = new Pyramid(ramp).sample([scale, 0, 5, 0, scale, -3.5 * scale], 40, 1);
      for (const x of [12, 20, 30]) expect(Math.abs(data[x * 3] - (x - 5) / scale)).toBeLessThan(1.1);
    }
  });

  it('does not alias, and takes a picture of one pixel', () => {
    const stripes = {
      width: 64,
      height: 64,
      data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (Math.floor(i / 3) % 2) * 200),
    };
    const { data } = new Pyramid(stripes).sample([0.25, 0, 0, 0, 0.25, 0], 14, 14);
    expect(Math.max(...data.subarray(3, 30)) - Math.min(...data.subarray(3, 30))).toBe(0);
    expect(new Pyramid(plain(1, 1, [5, 6, 7])).sample([0.01, 0, 0, 0, 0.01, 0], 1, 1).data).toEqual(
      Uint8Array.of(5, 6, 7),
    );
  });
});
