import { describe, expect, it, vi } from 'vitest';
import { createModel } from '../../src/models/registry.js';
import { compileToBytes } from '../../src/nn/compile.js';
import { loadCompiledBytes } from '../../src/runtime/compiled-file.js';
import { float32 } from '../../src/tensor/tensor.js';
import { Engine, inputsByName, type ModelInput } from '../../src/web/engine.js';

it.each([[[1, 3, 32, 48]], [[2, 3, 32, 32]], [[1, 1, 32, 32]]])(
  'says that %j is no picture as it prepares them',
  async (input) => {
    const model = createModel('repghostnet_050', { classes: 4, inChannels: input[1] }).initialize(1);
    const engine = Engine.of(await loadCompiledBytes(compileToBytes(model, { input })));
    // Before it looks at the picture.
    await expect(engine.classify('picture' as unknown as Blob, 1)).rejects.toThrow(
      /^this model takes \[.*\], and pictures are prepared as \[1,3,\d+,\d+\]: give run what you prepare yourself$/,
    );
    const image = new Float32Array(input.reduce((a, b) => a * b));
    expect(engine.run({ image }).logits.shape).toEqual([input[0], 4]);
    engine.close();
  },
);

it('says that there are no probabilities where a score is no number', async () => {
  const input = [1, 3, 32, 32];
  const model = createModel('repghostnet_050', { classes: 4 }).initialize(1);
  const net = await loadCompiledBytes(compileToBytes(model, { input }));
  const engine = Engine.of(net);
  const pixels = { width: 32, height: 32, data: new Uint8ClampedArray(32 * 32 * 4), colorSpace: 'srgb' };
  vi.stubGlobal('ImageData', function ImageData() {});
  Object.setPrototypeOf(pixels, ImageData.prototype);
  expect((await engine.classify(pixels as ImageData, 1)).top[0].label).toMatch(/^class \d$/);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const scores = vi.spyOn(net, 'run').mockReturnValue({ logits: float32([1, 4], [1, bad, 0, 2]) });
    await expect(engine.classify(pixels as ImageData, 1)).rejects.toThrow(/^the network gives no numbers for it/);
    scores.mockReturnValue({ logits: float32([1, 4], [1, Number.NEGATIVE_INFINITY, 0, 2]) });
    expect((await engine.classify(pixels as ImageData, 1)).top[0].index).toBe(3);
    scores.mockRestore();
  }
  vi.unstubAllGlobals();
  engine.close();
});

describe('what run is given', () => {
  const image = new Float32Array(3);
  const byName = (input: unknown, inputs = { image: [3] } as Record<string, number[]>) =>
    inputsByName(input as ModelInput, inputs);

  it('may be the only input, or each by its name', () => {
    expect(byName(image)).toEqual({ image });
    expect(byName(float32([3], image))).toEqual({ image: float32([3], image) });
    expect(byName({ a: image, b: image }, { a: [3], b: [3] })).toEqual({ a: image, b: image });
    expect(() => byName(image, { a: [3], b: [3] })).toThrow(/^give each input by its name: a, b$/);
  });

  it('is refused in one line when it is no input', () => {
    for (const input of [undefined, null, 'x', 5, () => image]) {
      expect(() => byName(input)).toThrow(/^run: needs a Float32Array or a tensor, or one for each input by its name$/);
    }
    const half = { dtype: 'float16', shape: [3], data: new Uint16Array(3) };
    for (const input of [new Float64Array(3), [1, 2, 3], half, { image: null }, { image: 'x' }, { image: {} }]) {
      expect(() => byName(input)).toThrow(/^input image: needs float32, in a Float32Array$/);
    }
  });
});
