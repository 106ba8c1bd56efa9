import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { IMAGENET } from '../../src/data/transform.js';
import { SHIPPED_WEIGHTS } from '../../src/hub/shipped.js';
import {
  compile,
  compileToBytes,
  createModel,
  loadClassifier,
  loadImage,
  loadState,
  readCheckpoint,
  toTensor,
  writeSafetensors,
} from '../../src/index.js';

const uri: string = createRequire(import.meta.url)('baboon-image-uri');
const picture = Buffer.from(uri.slice(uri.indexOf(',') + 1), 'base64');

const folder = mkdtempSync(join(tmpdir(), 'ghostkit-classify-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The shipped network by hand: its logits for a picture, without anything that its file says of it. */
async function byHand(): Promise<Float32Array> {
  const model = createModel('repghostnet_050', { classes: 200, stemStride: 1 });
  const { state } = await readCheckpoint(SHIPPED_WEIGHTS);
  model.assign(loadState(model.stateShapes(), state));
  const net = await compile(model, { input: [1, 3, 64, 64] });
  const preprocessing = { ...IMAGENET, size: 64, cropRatio: 1, interpolation: 'bilinear' as const };
  return net.run({ image: toTensor(await loadImage(picture), preprocessing) }).logits.data;
}

describe('loadClassifier', () => {
  it('refuses pixels and preparations that can only give nonsense', async () => {
    const model = await loadClassifier();
    const data = new Uint8Array(16);
    for (const pixels of [
      { width: 2, height: 2, data },
      { width: 0, height: 0, data: data.subarray(16) },
    ]) {
      await expect(model.classify(pixels)).rejects.toThrow(/pixels are red, green and blue, three bytes each; /);
    }
    await model.close();
    for (const options of [{ std: [0, 1, 1] }, { mean: [0.5, 0.5] }, { interpolation: 'nearest' }]) {
      await expect(loadClassifier(undefined, options as object)).rejects.toThrow(/pictures cannot be prepared so: /);
    }
  });

  it('says that the network gives no numbers', async () => {
    const model = createModel('repghostnet_050', { classes: 3 });
    for (const [, parameter] of model.namedParameters()) parameter.data.fill(Number.NaN);
    const path = join(folder, 'nan.safetensors');
    writeFileSync(path, writeSafetensors(model.state()));
    const broken = await loadClassifier(path, { size: 32 });
    await expect(broken.classify(picture)).rejects.toThrow('the network gives no numbers for it (NaN or infinity)');
    await broken.close();
  });

  it('takes the network, its preprocessing and its labels from the file', async () => {
    const logits = await byHand();
    const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a]);
    const sum = logits.reduce((s, v) => s + Math.exp(v), 0);
    const model = await loadClassifier();
    const top = await model.classify(picture, { topK: 3 });
    expect(top.map(({ index }) => index)).toEqual(order.slice(0, 3));
    for (const { index, probability } of top) expect(probability).toBeCloseTo(Math.exp(logits[index]) / sum, 5);
    expect(top.map(({ label }) => label)).toEqual(order.slice(0, 3).map((i) => model.labels?.[i]));
    expect(model).toMatchObject({ title: 'repghostnet_050', numClasses: 200 });
    expect(await model.classify(picture)).toHaveLength(5);
    await model.close();
  });

  it('takes paths, bytes and pixels, and compiled models for one picture or several', async () => {
    const path = join(folder, 'baboon.png');
    writeFileSync(path, picture);
    const weights = await loadClassifier(SHIPPED_WEIGHTS, { threads: 2 });
    const expected = await weights.classify(path);
    expect(await weights.classify(picture)).toEqual(expected);
    expect(await weights.classify(await loadImage(picture))).toEqual(expected);
    const model = createModel('repghostnet_050', { classes: 3 }).initialize(1);
    const logits: unknown[] = [];
    for (const batch of [1, 3]) {
      const file = join(folder, `batch-${batch}.ghost.safetensors`);
      writeFileSync(file, compileToBytes(model, { input: [batch, 3, 64, 64] }));
      const compiled = await loadClassifier(file, { labels: ['one', 'two', 'three'] });
      const top = await compiled.classify(picture);
      expect(top.map(({ label }) => label).sort()).toEqual(['one', 'three', 'two']);
      logits.push(top.map(({ probability, ...rest }) => ({ ...rest, probability: probability.toFixed(5) })));
    }
    expect(logits[1]).toEqual(logits[0]);
  });

  it('says in one line what is wrong', async () => {
    await expect(loadClassifier(join(folder, 'nothing.pth'))).rejects.toThrow(/nothing\.pth: .*no such file/);
    await expect(loadClassifier(SHIPPED_WEIGHTS, { labels: ['cat'] })).rejects.toThrow(/1 names for the 200 classes/);
    const grey = join(folder, 'grey.ghost.safetensors');
    writeFileSync(
      grey,
      compileToBytes(createModel('repghostnet_050', { classes: 3, inChannels: 1 }).initialize(1), {
        input: [1, 1, 64, 64],
      }),
    );
    await expect(loadClassifier(grey)).rejects.toThrow(/grey\.ghost\.safetensors: the model takes 1 channels/);
    const model = await loadClassifier();
    await expect(model.classify(picture, { topK: 0 })).rejects.toThrow(/^topK: a positive integer, got 0$/);
    await expect(model.classify(Buffer.from('no picture'))).rejects.toThrow(/not a picture/);
    for (const wrong of ['', undefined, new URL('file:///a.jpg'), {}]) {
      await expect(model.classify(wrong as never)).rejects.toThrow(/^a picture is the path of a file, its bytes/);
    }
    await model.close();
    await expect(model.classify(picture)).rejects.toThrow(/closed/);
  });
});
