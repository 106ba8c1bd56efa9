import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportOnnx } from '../../src/formats/onnx/export.js';
import { constant, input } from '../../src/graph/leaves.js';
import type { Value } from '../../src/graph/value.js';
import { openOnnx } from '../../src/headswap/backends.js';
import { decodeScrfd, scrfdDetector } from '../../src/headswap/detect-scrfd.js';
import { fillFromAround } from '../../src/headswap/inpaint-fill.js';
import { toImage, toRgb } from '../../src/headswap/pictures.js';
import { onnxInpainter, onnxMatting, onnxSegmenter } from '../../src/headswap/plugins-onnx.js';
import { arc, fillPolygon, gaussianBlur } from '../../src/headswap/raster.js';
import {
  headFromLandmarks,
  landmarkMatting,
  landmarkSegmenter,
  landmarksFromFive,
} from '../../src/headswap/segment-landmarks.js';
import type { Image } from '../../src/models/ghost2/images.js';
import type { Mask } from '../../src/models/ghost2/masks.js';
import * as ops from '../../src/ops/index.js';
import { float32 } from '../../src/tensor/tensor.js';
import { pattern, plain } from '../support/pictures.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ghostkit-plugins-'));
});
afterAll(() => rm(folder, { recursive: true }));

const RGB = { mean: [0, 0, 0], std: [1, 1, 1] } as const;
const HINT = { landmarks: [] };

/** Writes a network of a few operators as an ONNX file. */
async function network(
  name: string,
  inputs: Record<string, number[]>,
  build: (values: Value[]) => Value,
): Promise<string> {
  const values = Object.entries(inputs).map(([key, shape]) => [key, input(key, shape)] as const);
  const output = build(values.map(([, value]) => value));
  const path = join(folder, `${name}.onnx`);
  await writeFile(path, exportOnnx({ inputs: Object.fromEntries(values), outputs: { output } }));
  return path;
}

/** A pointwise convolution: for each output the weights of red, green and blue. */
const mix = (x: Value, rows: number[][], bias: number[]) =>
  ops.conv2d(x, constant([rows.length, 3, 1, 1], rows.flat()), constant([rows.length], bias));

/** Red on the left, blue on the right. */
const halves: Image = toImage({
  width: 32,
  height: 32,
  data: Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => {
    const left = Math.floor(i / 3) % 32 < 16;
    return [left ? 255 : 0, 0, left ? 0 : 255][i % 3];
  }),
});

describe('networks as ONNX files', () => {
  it('parse heads, from one plane for each label', async () => {
    const path = await network(
      'parser',
      { image: [1, 3, 32, 32] },
      ([x]) =>
        mix(
          x,
          [
            [0, 0, 0],
            [0, 0, 1],
            [1, 0, 0],
          ],
          [0.5, 0, 0],
        ), // prettier: one row for each label
    );
    const segmenter = await onnxSegmenter({ name: 'parser', path, input: RGB });
    const { width, height, data } = await segmenter.parse(halves, HINT);
    expect({ width, height }).toEqual({ width: 32, height: 32 });
    expect([data[0], data[31]]).toEqual([2, 1]);
    expect(segmenter.name).toMatch(/^parser \(onnxruntime-/);
    await segmenter.close?.();
  });

  it('parse heads, from the labels themselves', async () => {
    const path = await network('labels', { image: [1, 3, 32, 32] }, ([x]) => mix(x, [[15, 0, 2]], [0]));
    const segmenter = await onnxSegmenter({ name: 'labels', path, input: RGB });
    const { data } = await segmenter.parse(halves, HINT);
    expect([data[0], data[31]]).toEqual([15, 2]);
    await segmenter.close?.();
  });

  it('cut people out, and get their pictures normalised', async () => {
    const path = await network('matting', { image: [1, 3, 32, 32] }, ([x]) => mix(x, [[1, 0, 0]], [0]));
    const matting = await onnxMatting({ name: 'matting', path, input: { mean: [0.5, 0, 0], std: [0.25, 1, 1] } });
    const alpha = await matting.alpha(halves, HINT);
    // (1 - 0.5) / 0.25 = 2 and (0 - 0.5) / 0.25 = -2, which alpha cannot be.
    expect([alpha.shape, alpha.data[0], alpha.data[31]]).toEqual([[1, 1, 32, 32], 1, 0]);
    await matting.close?.();
  });

  it('fill gaps', async () => {
    const path = await network('inpaint', { image: [1, 3, 32, 32], mask: [1, 1, 32, 32] }, ([image, mask]) =>
      ops.add(
        mix(
          image,
          [
            [255, 0, 0],
            [0, 255, 0],
            [0, 0, 255],
          ],
          [0, 0, 0],
        ),
        ops.mul(mask, constant([1], [100])),
      ),
    );
    const inpainter = await onnxInpainter({ name: 'inpaint', path, input: RGB });
    const mask: Mask = { width: 32, height: 32, data: new Uint8Array(1024).fill(1, 0, 16) };
    const filled = toRgb(await inpainter.fill(halves, mask));
    expect([...filled.data.subarray(0, 3)]).toEqual([255, 100, 100]);
    expect([...filled.data.subarray(31 * 3, 32 * 3)]).toEqual([0, 0, 255]);
    await inpainter.close?.();
  });

  it('say what is wrong', async () => {
    const path = join(folder, 'broken.onnx');
    await writeFile(path, 'not a network');
    await expect(openOnnx('thing', path)).rejects.toThrow(/^thing cannot be opened in onnxruntime-\w+ on cpu: /);
    const small = await network('small', { image: [1, 3, 32, 32] }, ([x]) => mix(x, [[1, 0, 0]], [0]));
    const matting = await onnxMatting({ name: 'small', path: small, input: { ...RGB, size: 64 } });
    await expect(matting.alpha(halves, HINT)).rejects.toThrow('small: takes 64 x 64 pixels, got 32 x 32');
    await matting.close?.();
  });
});

describe('SCRFD', () => {
  /** The outputs for one square of `size`: nothing but one face at a cell of the grid of stride 16. */
  function outputs(size: number) {
    const grids = [8, 16, 32].map((stride) => 2 * (size / stride) ** 2);
    const zeros = (columns: number) => grids.map((n) => float32([n, columns], new Float32Array(n * columns)));
    const [scores, boxes, points] = [zeros(1), zeros(4), zeros(10)];
    const at = (3 * (size / 16) + 4) * 2;
    scores[1].data[at] = 0.9;
    boxes[1].data.set([1, 2, 3, 4], at * 4);
    points[1].data.set([-1, -1, 1, -1, 0, 0, -1, 1, 1, 1], at * 10);
    // The other box at that place is nearly the same, and worse.
    scores[1].data[at + 1] = 0.8;
    boxes[1].data.set([1, 2, 3, 4.1], at * 4 + 4);
    return [...scores, ...boxes, ...points];
  }

  it('decodes boxes and points in the pixels of the picture', () => {
    const faces = decodeScrfd(outputs(128), 128, 2);
    expect(faces).toHaveLength(1);
    const [{ score, box, points }] = faces;
    expect(score).toBeCloseTo(0.9);
    expect(box).toEqual({ left: 96, top: 32, width: 128, height: 192 });
    expect(points).toEqual([
      [96, 64],
      [160, 64],
      [128, 96],
      [96, 128],
      [160, 128],
    ]);
  });

  it('runs as an ONNX file', async () => {
    const path = await network('scrfd', { image: [1, 3, 64, 64] }, ([x]) =>
      ops.reshape(mix(x, [[1, 1, 1]], [0]), [4096, 1]),
    );
    const detector = await scrfdDetector({ name: 'scrfd', path, input: { ...RGB, size: 64 } });
    // One output alone says nothing of boxes.
    expect(await detector.detect(pattern(100, 50))).toEqual([]);
    await detector.close?.();
  });
});

describe('what is built in', () => {
  const points = [
    [200, 240],
    [312, 240],
    [256, 300],
    [215, 350],
    [297, 350],
  ] as const;

  it('draws a head from its landmarks, upright and turned', () => {
    const landmarks = landmarksFromFive(points);
    expect(landmarks).toHaveLength(68);
    const { data } = headFromLandmarks(landmarks, 512, 512);
    const at = (x: number, y: number) => data[y * 512 + x];
    expect(at(200, 240)).toBe(5);
    expect(at(312, 240)).toBe(6);
    expect(at(256, 190)).toBe(2);
    expect(at(256, 295)).toBe(12);
    expect(at(256, 352)).toBe(9);
    expect(at(256, 90)).toBe(15);
    expect(at(20, 20)).toBe(0);
    const turned = landmarks.map(([x, y]) => [511 - y, x] as const);
    const { data: side } = headFromLandmarks(turned, 512, 512);
    // Up is where it was turned to: a quarter clockwise.
    expect(side[256 * 512 + (511 - 90)]).toBe(15);
    expect(side[200 * 512 + (511 - 240)]).toBe(5);
  });

  it('says that it is a guess', async () => {
    expect(landmarkSegmenter.caveat).toContain('landmarks');
    const picture = toImage(plain(64, 64, [9, 9, 9]));
    const landmarks = landmarksFromFive(points).map(([x, y]) => [x / 8, y / 8] as const);
    const alpha = await landmarkMatting.alpha(picture, { landmarks });
    expect(alpha.shape).toEqual([1, 1, 64, 64]);
    expect(alpha.data[35 * 64 + 32]).toBeCloseTo(1);
    expect(alpha.data[0]).toBe(0);
    const mask = float32([1, 1, 64, 64], new Float32Array(4096).fill(0.25));
    expect(await landmarkMatting.alpha(picture, { landmarks, mask })).toBe(mask);
  });

  it('fills gaps with what is around them, and touches nothing else', () => {
    const size = 48;
    const picture = float32(
      [1, 3, size, size],
      Float32Array.from({ length: 3 * size * size }, (_, i) => ((i % size) / size) * 2 - 1),
    );
    const mask: Mask = { width: size, height: size, data: new Uint8Array(size * size) };
    fillPolygon(mask, arc([24, 24], [12, 0], [0, 12], 0, 2 * Math.PI), 1);
    const broken = { ...picture, data: picture.data.map((v, i) => (mask.data[i % (size * size)] ? 99 : v)) };
    const filled = fillFromAround(broken, mask);
    let worst = 0;
    for (const [i, v] of filled.data.entries()) {
      if (mask.data[i % (size * size)]) worst = Math.max(worst, Math.abs(v - picture.data[i]));
      else expect(v).toBe(picture.data[i]);
    }
    // A gradient goes on through the gap.
    expect(worst).toBeLessThan(0.12);
  });

  it('survives a mask of everything', () => {
    const picture = toImage(plain(16, 16, [200, 100, 50]));
    const mask: Mask = { width: 16, height: 16, data: new Uint8Array(256).fill(1) };
    expect([...fillFromAround(picture, mask).data].every(Number.isFinite)).toBe(true);
  });
});

describe('rasters', () => {
  it('fills exactly what is inside', () => {
    const map: Mask = { width: 8, height: 8, data: new Uint8Array(64) };
    const square = [
      [1.5, 1.5],
      [4.5, 1.5],
      [4.5, 4.5],
      [1.5, 4.5],
    ] as const;
    fillPolygon(map, square, 1);
    expect(map.data.reduce((a, b) => a + b)).toBe(9);
    fillPolygon(
      map,
      square.map(([x, y]) => [x - 100, y] as const),
      1,
    );
    expect(map.data.reduce((a, b) => a + b)).toBe(9);
  });

  it('blurs without changing the sum', () => {
    const plane = new Float32Array(41 * 41);
    plane[20 * 41 + 20] = 1;
    const blurred = gaussianBlur(plane, 41, 41, 2);
    expect(blurred.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    expect(blurred[20 * 41 + 20]).toBeCloseTo(1 / (2 * Math.PI * 4), 3);
  });
});

describe('pictures for networks', () => {
  it('are the same when they come back', () => {
    const image = pattern(20, 10);
    const { shape, data } = toImage(image);
    expect(shape).toEqual([1, 3, 10, 20]);
    // Blue comes first.
    expect(data[0]).toBeCloseTo((image.data[2] / 255 - 0.5) / 0.5, 6);
    const back = toRgb({ dtype: 'float32', shape, data });
    expect(back.data).toEqual(image.data);
  });
});
