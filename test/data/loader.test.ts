import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Augmentation } from '../../src/data/augment/augmentation.js';
import { parseRandAugment } from '../../src/data/augment/rand-augment.js';
import { type Dataset, MemoryDataset } from '../../src/data/dataset.js';
import type { Batch } from '../../src/data/loader/batch.js';
import { cacheMemory, PixelCache } from '../../src/data/loader/cache.js';
import { createLoader, type LoadingOptions } from '../../src/data/loader/loader.js';
import { openDataset } from '../../src/data/open-dataset.js';
import { IMAGENET, toTensor } from '../../src/data/transform.js';
import { encoder, pattern } from '../support/pictures.js';

let root: string;
let good: Dataset;
let damaged: Dataset;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ghostkit-loader-'));
  for (const set of ['good', 'damaged']) {
    for (let i = 0; i < 23; i++) {
      const folder = join(root, set, `class${i % 3}`);
      await mkdir(folder, { recursive: true });
      const bytes = await encoder(pattern(20 + i, 30))
        .jpeg()
        .toBuffer();
      const broken = set === 'damaged' && i % 5 === 1;
      await writeFile(join(folder, `${String(i).padStart(2, '0')}.jpg`), broken ? bytes.subarray(0, 200) : bytes);
    }
  }
  good = (await openDataset(join(root, 'good'))).train;
  damaged = (await openDataset(join(root, 'damaged'))).train;
});
afterAll(() => rm(root, { recursive: true, force: true }));

const preprocessing = { ...IMAGENET, size: 16 };

const augmentation: Augmentation = {
  crop: { kind: 'resized', scale: [0.3, 1], ratio: [0.75, 4 / 3], interpolation: 'random' },
  flip: 0.5,
  randAugment: parseRandAugment('rand-m9-mstd0.5'),
  colorJitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
  erasing: { probability: 0.5, mode: 'pixel', area: [0.02, 1 / 3] },
};

const training: LoadingOptions = {
  batchSize: 4,
  preprocessing,
  mode: 'train',
  augmentation,
  mixing: { mixup: 0.2, cutmix: 1, probability: 0.8, switchProbability: 0.5 },
  smoothing: 0.1,
  seed: 7,
};

const copy = (batch: Batch): Batch => ({
  ...batch,
  images: Float32Array.from(batch.images),
  labels: Int32Array.from(batch.labels),
  indices: Int32Array.from(batch.indices),
  ...(batch.targets && { targets: Float32Array.from(batch.targets) }),
});

/** All batches of an epoch, and the pictures that could not be read. */
async function load(set: Dataset, options: LoadingOptions, epoch = 0, from = 0) {
  const loader = await createLoader(set, options);
  const batches: Batch[] = [];
  for await (const batch of loader.epoch(epoch, from)) batches.push(copy(batch));
  const unreadable = loader.unreadable;
  await loader.close();
  return { batches, unreadable };
}

describe('a training epoch', () => {
  it('is the same whatever the number of workers, the prefetch and the cache', async () => {
    const { batches } = await load(good, training, 2);
    expect(batches.map(({ number, count, epoch }) => [number, count, epoch])).toEqual(
      [0, 1, 2, 3, 4].map((n) => [n, 4, 2]),
    );
    for (const change of [
      { workers: 1 },
      { workers: 2, prefetch: 5, cacheBytes: 1e6 },
      { workers: 0, cacheBytes: 5000 },
      { workers: 2, prefetch: 1, cacheBytes: 3000 },
    ]) {
      expect((await load(good, { ...training, ...change }, 2)).batches).toEqual(batches);
    }
  });

  it('has every picture at most once, in another order in each epoch and for each seed', async () => {
    const orders = await Promise.all(
      [
        [7, 0],
        [7, 1],
        [8, 0],
      ].map(async ([seed, epoch]) => {
        const { batches } = await load(good, { ...training, seed }, epoch);
        const order = batches.flatMap(({ indices }) => [...indices]);
        expect(new Set(order).size).toBe(20);
        return order.join();
      }),
    );
    expect(new Set(orders).size).toBe(3);
  });

  it('gives another picture in each epoch', async () => {
    const inMemory = new MemoryDataset(
      ['a', 'b'],
      [0, 1].map((label) => ({ image: pattern(30, 30), label })),
    );
    const options = { ...training, batchSize: 2, mixing: undefined };
    const first = (await load(inMemory, options, 0)).batches[0];
    const second = (await load(inMemory, options, 1)).batches[0];
    const rows = [first, second].flatMap(({ images }) => [images.subarray(0, 768), images.subarray(768)].map(String));
    expect(new Set(rows).size).toBe(4);
  });

  it('resumes at any batch, and after a loop that was left', async () => {
    const { batches } = await load(good, training, 1);
    expect((await load(good, { ...training, workers: 1 }, 1, 3)).batches).toEqual(batches.slice(3));
    const loader = await createLoader(good, { ...training, workers: 2 });
    for await (const batch of loader.epoch(0)) if (batch.number === 1) break;
    const rest: Batch[] = [];
    for await (const batch of loader.epoch(1, 2)) rest.push(copy(batch));
    expect(rest).toEqual(batches.slice(2));
    await loader.close();
    await expect(loader.epoch(0).next()).rejects.toThrow('the loader is closed');
  });

  it('has targets whose rows sum to 1 and agree with the labels', async () => {
    const { batches } = await load(good, { ...training, mixing: { ...training.mixing, probability: 0 } as never });
    const { targets, labels } = batches[0];
    for (let row = 0; row < 4; row++) {
      const values = [...(targets as Float32Array).subarray(row * 3, row * 3 + 3)];
      expect(values.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
      expect(values.indexOf(Math.max(...values))).toBe(labels[row]);
      expect(Math.max(...values)).toBeCloseTo(0.9 + 0.1 / 3, 5);
    }
    expect((await load(good, { ...training, mixing: undefined })).batches[0].targets).toBeUndefined();
    const off = await load(good, { ...training, mixUntil: 3 }, 3);
    expect(Math.max(...(off.batches[0].targets as Float32Array))).toBeCloseTo(0.9 + 0.1 / 3, 5);
  });

  it('puts the next readable picture in the place of one that is not, and names it', async () => {
    const options = { ...training, mixing: undefined };
    const { batches, unreadable } = await load(damaged, options);
    const names = unreadable.map(({ name }) => name);
    expect(names).toEqual(
      ['class0/06.jpg', 'class0/21.jpg', 'class1/01.jpg', 'class1/16.jpg', 'class2/11.jpg'].filter((n) =>
        names.includes(n),
      ),
    );
    expect(names.length).toBeGreaterThan(2);
    expect(unreadable[0].reason).toMatch(/06\.jpg: the picture is damaged or cut off/);
    const order = (await load(good, options)).batches.flatMap(({ indices }) => [...indices]);
    const bad = new Set(unreadable.map(({ index }) => index));
    const expected = order.map((i) => (bad.has(i) ? (i + 1) % 23 : i));
    expect(batches.flatMap(({ indices }) => [...indices])).toEqual(expected);
    expect(batches.flatMap(({ labels }) => [...labels])).toEqual(expected.map((i) => damaged.label(i)));
    const others = await load(damaged, { ...options, workers: 2, cacheBytes: 1e6 });
    expect(others.batches).toEqual(batches);
    // What the decoder says behind it may be of a picture that another thread reads at the same time.
    const stable = (list: typeof unreadable) => list.map((u) => ({ ...u, reason: u.reason.replace(/ \(.*\)$/, '') }));
    expect(stable(others.unreadable)).toEqual(stable(unreadable));
  });
});

describe('an evaluation', () => {
  const options: LoadingOptions = { batchSize: 8, preprocessing, mode: 'eval' };

  it('has every picture once, in order, as toTensor makes them', async () => {
    const { batches } = await load(good, options);
    expect(batches.map(({ count }) => count)).toEqual([8, 8, 7]);
    expect(batches.flatMap(({ indices }) => [...indices])).toEqual([...Array(23).keys(), -1]);
    const last = batches[2];
    expect(last.labels[7]).toBe(-1);
    expect(last.images.subarray(7 * 768)).toEqual(new Float32Array(768));
    const pictures = await Promise.all([16, 17, 18, 19, 20, 21, 22].map((i) => good.pixels(i)));
    expect(last.images.subarray(0, 7 * 768)).toEqual(toTensor(pictures, preprocessing).data);
    expect((await load(good, { ...options, workers: 1, cacheBytes: 1e6 })).batches).toEqual(batches);
  });

  it('leaves out what cannot be read', async () => {
    const { batches, unreadable } = await load(damaged, options);
    expect(unreadable).toHaveLength(5);
    expect(batches.map(({ count }) => count)).toEqual([6, 6, 6]);
    const bad = new Set(unreadable.map(({ index }) => index));
    const read = batches.flatMap(({ indices }) => [...indices].filter((i) => i >= 0));
    expect(read).toEqual([...Array(23).keys()].filter((i) => !bad.has(i)));
    const picture = await damaged.pixels(batches[1].indices[5]);
    expect(batches[1].images.subarray(5 * 768, 6 * 768)).toEqual(toTensor(picture, preprocessing).data);
  });
});

describe('a loader', () => {
  it.each([0, 1, 2])('that is closed within a loop ends it, with %i workers', async (workers) => {
    const loader = await createLoader(good, { ...training, workers });
    const seen: number[] = [];
    const loop = async () => {
      for await (const { number } of loader.epoch(0)) {
        seen.push(number);
        if (number === 1) await loader.close();
      }
    };
    await expect(loop()).rejects.toThrow(/^the loader is closed$/);
    expect(seen).toEqual([0, 1]);
  });

  it('that is closed tells whoever waits for a batch', async () => {
    const loader = await createLoader(good, { ...training, workers: 1 });
    const waits = expect(loader.epoch(0).next()).rejects.toThrow(/^the loader is closed$/);
    await loader.close();
    await waits;
  });

  it('says what is wrong', async () => {
    const options: LoadingOptions = { ...training, batchSize: 24 };
    await expect(createLoader(good, options)).rejects.toThrow('the batch size is 24, but there are only 23 pictures');
    await expect(createLoader(good, { ...options, batchSize: 0 })).rejects.toThrow(
      'batch size: a whole number of at least 1',
    );
    await expect(createLoader(good, { ...training, workers: -1 })).rejects.toThrow(
      'workers: a whole number of at least 0',
    );
    const inMemory = new MemoryDataset(['a'], [{ image: pattern(8, 8), label: 0 }]);
    await expect(createLoader(inMemory, { ...options, batchSize: 1, workers: 1 })).rejects.toThrow('use 0 workers');
    await expect(createLoader(new MemoryDataset(['a'], []), training)).rejects.toThrow('there are no pictures');
  });

  it('says when nothing can be read, with workers and without', async () => {
    for (const [i, part] of ['a', 'b'].entries()) {
      await mkdir(join(root, 'none', part), { recursive: true });
      await writeFile(join(root, 'none', part, `${i}.jpg`), 'no picture');
    }
    const none = (await openDataset(join(root, 'none'))).train;
    for (const workers of [0, 1]) {
      const loader = await createLoader(none, { ...training, batchSize: 2, workers });
      await expect(loader.epoch(0).next()).rejects.toThrow('none of the pictures can be read');
      expect(loader.unreadable).toHaveLength(2);
      await loader.close();
    }
  });

  it('reads a file only once when there is room for its pixels', async () => {
    let reads = 0;
    const counted: Dataset = Object.create(good, {
      pixels: {
        value: (i: number) => {
          reads++;
          return good.pixels(i);
        },
      },
    });
    const loader = await createLoader(counted, { ...training, cacheBytes: 1e6 });
    for (const epoch of [0, 1, 2]) for await (const _ of loader.epoch(epoch));
    expect(reads).toBeLessThanOrEqual(23);
    await loader.close();
  });
});

describe('the pixel cache', () => {
  it('gives back what was put, until it is full', async () => {
    const memory = cacheMemory(4, 1000);
    const cache = new PixelCache(memory);
    cache.put(2, pattern(10, 10));
    cache.put(0, pattern(20, 20));
    cache.put(1, pattern(10, 20));
    expect(cache.get(2)).toEqual(pattern(10, 10));
    expect(cache.get(0)).toBeUndefined();
    expect(new PixelCache(memory).get(1)).toEqual(pattern(10, 20));
    expect(cache.get(3)).toBeUndefined();
  });

  it('has room for small ones behind one that was too large', () => {
    const memory = cacheMemory(5, 1000);
    const [one, other] = [new PixelCache(memory), new PixelCache(memory)];
    one.put(0, pattern(10, 10));
    for (const i of [1, 2]) other.put(i, pattern(18, 18));
    one.put(3, pattern(10, 11));
    other.put(4, pattern(10, 10));
    expect([0, 1, 2, 3, 4].map((i) => one.get(i))).toEqual([
      ...[pattern(10, 10), undefined, undefined],
      ...[pattern(10, 11), pattern(10, 10)],
    ]);
  });

  it('shrinks larger pictures when asked to', async () => {
    const file = join(root, 'large.png');
    await writeFile(file, await encoder(pattern(300, 200)).png().toBuffer());
    const { loadImage } = await import('../../src/data/image.js');
    expect(await loadImage(file, { shortSide: 100 })).toMatchObject({ width: 150, height: 100 });
    expect(await loadImage(await readFile(file), { shortSide: 400 })).toEqual(pattern(300, 200));
  });
});
