import { expect, it } from 'vitest';
import { countOps } from '../../../src/graph/value.js';
import { scalar } from '../../support/onnx-files.mjs';
import { type Case, computedBy, expectImported, fileOf, image, importFile } from './imported.js';
import { noise, runOnnx } from './run.js';

const inf = Number.POSITIVE_INFINITY;

const clip = (low: number | undefined, high: number | undefined): Omit<Case, 'x'> => ({
  op: 'Clip',
  others: [low === undefined ? undefined : scalar(low), high === undefined ? undefined : scalar(high)],
});

const LARGE: Record<string, Omit<Case, 'x'>> = {
  'Clip to what float16 holds': clip(-65504, 65504),
  'Clip to a large number': clip(undefined, 1e6),
  'Clip from a large number': clip(-1e6, undefined),
  'Clip to bounds of which one is large': clip(-1, 70_000),
  'Clip to bounds that are far apart': clip(-1e20, 17),
  'Clip to no bounds': clip(-3.4028234e38, inf),
  'Min of a large number': { op: 'Min', others: [scalar(1e6)] },
  'Max of a large number': { op: 'Max', others: [scalar(-1e6)] },
};

/** Ordinary values, tiny ones, those around the bounds, and some that are far beyond any. */
const sizes = [1e-9, 1, 16, 17, 17.5, 65503, 65504, 65505, 70_001, 1e6, 1_000_001, 2e6, 1e12, 1e30, 1.5e38, 3e38];
const values = Float32Array.from([0, ...noise([100], 1).map((v) => 3 * v), ...sizes, ...sizes.map((v) => -v)]);
// A zero may lose its sign.
const signless = (data: ArrayLike<number>) => Array.from(data, (v) => v + 0);

it.each(Object.entries(LARGE))('%s leaves what is within as it is, digit by digit', async (_, each) => {
  const x = [1, values.length];
  const file = fileOf({ ...each, x });
  const wanted = await runOnnx(file, { x: { shape: x, data: values } });
  const computed = await computedBy(importFile(file), { x: values });
  expect(signless(computed.y0.data)).toEqual(signless(wanted.y0.data));
});

const ROUNDED: Record<string, Omit<Case, 'x'>> = {
  'Clip to large numbers below zero': clip(-65504, -1),
  'Clip to large numbers above zero': clip(1, 65504),
  'Clip to zero and a large number': clip(0, 65504),
  'Clip to bounds that are hardly finite': clip(-1.5e38, 1.5e38),
};

it.each(Object.entries(ROUNDED))('%s leaves what is within its digits', async (_, each) => {
  const x = [1, values.length];
  const file = fileOf({ ...each, x });
  const wanted = await runOnnx(file, { x: { shape: x, data: values } });
  const { data } = (await computedBy(importFile(file), { x: values })).y0;
  for (const [i, v] of wanted.y0.data.entries()) {
    expect(Math.abs(data[i] - v), `of ${values[i]}`).toBeLessThanOrEqual(1e-7 + 4e-7 * Math.abs(v));
  }
});

// Where there is no bound an infinity stays, of which onnxruntime makes the largest number.
it.each([
  [clip(-3, 3), [inf, -inf]],
  [clip(-1, undefined), [-inf]],
  [clip(undefined, 2), [inf]],
  [clip(-65504, 65504), [inf, -inf]],
  [clip(undefined, 1e6), [inf]],
  [clip(0, 1e6), [inf, -inf]],
  [clip(-1e6, -1), [inf, -inf]],
  [clip(-1.5e38, 1.5e38), [inf, -inf]],
  [clip(5, 5), [inf, -inf]],
  [clip(2, 1), [inf, -inf]],
])('infinities end at bounds', async (each, infinities) => {
  const x = [1, infinities.length];
  const file = fileOf({ ...each, x });
  const data = Float32Array.from(infinities);
  const { y0 } = await runOnnx(file, { x: { shape: x, data } });
  expect(signless((await computedBy(importFile(file), { x: data })).y0.data)).toEqual(signless(y0.data));
});

it('Clip to small bounds is one ReLU6', async () => {
  const graph = await expectImported(fileOf({ x: image, ...clip(-1, 1) }));
  expect(countOps(graph)).toMatchObject({ activation: 1, binary: 4 });
  expect(countOps(importFile(fileOf({ x: image, ...clip(0, 6) })))).toEqual({ input: 1, activation: 1 });
});
