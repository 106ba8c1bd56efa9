import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../src/graph/evaluate.js';
import { Blender, type BlendInputs, CompiledBlender, loadBlender } from '../../../src/models/ghost2/blender.js';
import { BlenderDecoder } from '../../../src/models/ghost2/blender-decoder.js';
import { correlationGraph } from '../../../src/models/ghost2/blender-reference.js';
import { grayscale, type Image, masked, resized, stacked } from '../../../src/models/ghost2/images.js';
import type { LabelMap } from '../../../src/models/ghost2/masks.js';
import { Vgg19Pyramid } from '../../../src/models/ghost2/vgg19-pyramid.js';
import { assignNamedWeights, namedInput } from '../../../src/models/named-weights.js';
import { trace } from '../../../src/nn/trace.js';
import { float32, type Tensor } from '../../../src/tensor/tensor.js';
import { executorError } from '../../runtime/support.js';

const [HEIGHT, WIDTH] = [32, 40];
const MAX_CHANNELS = 8;

const tiny = () => assignNamedWeights(new Blender({ maxChannels: MAX_CHANNELS }), 'blender.');

/** A head with hair, skin and eyes, `left` pixels from the border. */
function parsing(left: number): LabelMap {
  const data = new Uint8Array(HEIGHT * WIDTH);
  for (let y = 4; y < 28; y++) data.fill(y < 10 ? 15 : 2, y * WIDTH + left, y * WIDTH + left + 16);
  data.fill(5, 16 * WIDTH + left, 16 * WIDTH + left + 4);
  return { width: WIDTH, height: HEIGHT, data };
}

const inputs = (): BlendInputs => ({
  source: namedInput('source', [1, 3, HEIGHT, WIDTH]),
  target: namedInput('target', [1, 3, HEIGHT, WIDTH]),
  sourceParsing: parsing(8),
  targetParsing: parsing(16),
});

/** A state with the right shapes and no memory behind it: every tensor is a view of the same zeros. */
function state(rename: (key: string) => string): Map<string, Tensor> {
  const zeros = new Float32Array(512 * 512 * 9);
  return new Map(
    [...new Blender().stateShapes()].map(([key, shape]) => [
      rename(key),
      {
        dtype: 'float32',
        shape,
        data: zeros.subarray(
          0,
          shape.reduce((a, b) => a * b, 1),
        ),
      },
    ]),
  );
}

describe('the blender', () => {
  it("has the original's keys and parameters", () => {
    const blender = new Blender();
    expect(blender.parameterCount()).toBe(56_763_555);
    const shapes = blender.stateShapes();
    expect(shapes.get('feature_ext.encoder.34.weight')).toEqual([512, 512, 3, 3]);
    expect(shapes.get('feature_ext.decoder.inner_blocks.3.0.weight')).toEqual([256, 256, 1, 1]);
    expect(shapes.get('feature_ext.decoder.layer_blocks.5.0.bias')).toEqual([256]);
    expect(shapes.get('decoder.conv1_1.2.weight')).toEqual([64, 32, 3, 3]);
    expect(shapes.get('decoder.conv3_3norm_ss.weight')).toEqual([256, 1, 1, 1]);
    expect(shapes.has('decoder.conv3_3norm_ss.bias')).toBe(false);
    expect(shapes.get('decoder.conv8_1.1.weight')).toEqual([256, 512, 3, 3]);
    expect(shapes.get('decoder.conv10_ab.weight')).toEqual([3, 128, 1, 1]);
  });

  it('loads official checkpoints, whatever stands in them beside the generator', () => {
    const official = state((key) => `gen.${key}`);
    official.set('disc.blocks.0.weight', float32([1], [0]));
    official.set('blender_loss.perc_vgg_loss.vgg.weight', float32([1], [0]));
    expect(loadBlender(official).parameterCount()).toBe(56_763_555);
    const old = state((key) => `gen.${key.replace(/(_blocks\.\d)\.0\./, '$1.')}`);
    expect(loadBlender(old)).toBeInstanceOf(Blender);
    expect(loadBlender(state((key) => key))).toBeInstanceOf(Blender);

    official.delete('gen.decoder.conv9_2.bias');
    expect(() => loadBlender(official)).toThrow(/1 missing \(decoder\.conv9_2\.bias\); is this a blender checkpoint/);
  });

  it('runs its networks as they are defined', async () => {
    const { feature_ext, decoder } = tiny();
    expect(await executorError(trace(feature_ext, { input: [1, 3, HEIGHT, WIDTH] }))).toBeLessThan(1e-5);
    // Instance norm divides by the deviation of hardly any pixels here, which widens every error.
    expect(await executorError(trace(decoder, { input: [1, 12, HEIGHT, WIDTH] }))).toBeLessThan(1e-3);
    expect(decoder).toBeInstanceOf(BlenderDecoder);
    expect(feature_ext).toBeInstanceOf(Vgg19Pyramid);
  });

  it('composes what the decoder sees, and the same on two threads', async () => {
    const blender = tiny();
    const net = await CompiledBlender.create(blender, { size: [HEIGHT, WIDTH] });
    const two = await CompiledBlender.create(blender, { size: [HEIGHT, WIDTH], threads: 2 });
    const given = inputs();
    const result = await net.blend(given);
    expect(result.picture.shape).toEqual([1, 3, HEIGHT, WIDTH]);
    expect((await two.blend(given)).picture.data).toEqual(result.picture.data);

    const { masks } = result;
    expect(result.headGray).toEqual(masked(grayscale(given.source), masks.head));
    expect(result.fillColours).toEqual(masked(given.target, masks.fill));
    const at = (image: Image, y: number, x: number) => image.data[y * WIDTH + x];
    expect(at(result.background, 0, 39)).toBe(at(given.target, 0, 39) * (1 - masks.dilated.data[39]));
    expect(at(result.background, 16, 16)).toBe(0);
    // Every colour of the head is one of the target's or a mean of some.
    const bound = Math.max(...given.target.data.map(Math.abs), ...given.source.data.map(Math.abs));
    expect(Math.max(...result.headColours.data.map(Math.abs))).toBeLessThanOrEqual(bound);
    await net.close();
    await two.close();
  });

  it('asks for the picture behind the heads, and takes the filling', async () => {
    const net = await CompiledBlender.create(tiny(), { size: [HEIGHT, WIDTH] });
    const given = inputs();
    let seen: Image | undefined;
    const { fillColours, background, masks } = await net.blend(given, {
      inpaint: (picture, mask) => {
        seen = picture;
        expect([...mask.data]).toEqual([...masks2(given)]);
        return { ...picture, data: new Float32Array(picture.data.length).fill(0.5) };
      },
    });
    const head = masked(given.source, masks.head);
    expect(seen?.data).toEqual(background.data.map((v, i) => v + head.data[i]));
    expect([...fillColours.data.subarray(0, masks.fill.data.length)]).toEqual([...masks.fill.data].map((v) => v / 2));
    await net.close();
  });

  it('colours by correlation alone in training, and around the cycle', async () => {
    const net = await CompiledBlender.create(tiny(), { size: [HEIGHT, WIDTH] });
    const given = inputs();
    const { reference, referenceGray, masks } = await net.trainingForward(given);
    const { generated, label } = await net.cycle(given);
    expect(generated).toEqual(reference);
    expect(referenceGray.shape).toEqual([1, 1, 4, 5]);
    expect(label).toEqual(resized(masked(given.target, masks.targetDilated), 4, 5));
    await net.close();
  });

  it('says what does not fit', async () => {
    await expect(CompiledBlender.create(tiny(), { size: [36, 40] })).rejects.toThrow('multiples of 8 from 32 on');
    const net = await CompiledBlender.create(tiny(), { size: [HEIGHT, WIDTH] });
    const given = inputs();
    const gray = grayscale(given.source);
    await expect(net.blend({ ...given, source: gray })).rejects.toThrow('source: needs [1,3,H,W], got [1,1,32,40]');
    await expect(net.blend({ ...given, target: namedInput('t', [1, 3, 40, 40]) })).rejects.toThrow('target: 40x32');
    const small = { width: 1, height: 1, data: Uint8Array.of(0) };
    await expect(net.blend({ ...given, targetParsing: small })).rejects.toThrow('targetParsing: 1x1 pixels');
    await net.close();
  });
});

/** Both heads with their margin: what an inpainter may change. */
function masks2({ sourceParsing, targetParsing }: BlendInputs): Uint8Array {
  const out = new Uint8Array(HEIGHT * WIDTH);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      for (const { data } of [sourceParsing, targetParsing]) {
        for (let dy = -8; dy <= 8; dy++) {
          for (let dx = -8; dx <= 8; dx++) {
            const inside = y + dy >= 0 && y + dy < HEIGHT && x + dx >= 0 && x + dx < WIDTH;
            if (inside && data[(y + dy) * WIDTH + x + dx]) out[y * WIDTH + x] = 1;
          }
        }
      }
    }
  }
  return out;
}

describe('pictures between the networks', () => {
  it('are stacked, masked and made grey', () => {
    const image = namedInput('i', [1, 3, 2, 3]);
    const stack = stacked([image, grayscale(image)]);
    expect(stack.shape).toEqual([1, 4, 2, 3]);
    expect(stack.data[18]).toBeCloseTo(0.114 * image.data[0] + 0.587 * image.data[6] + 0.2989 * image.data[12], 6);
    const mask = { width: 3, height: 2, data: Uint8Array.of(1, 0, 0, 0, 0, 1) };
    expect([...masked(image, mask).data]).toEqual([...image.data].map((v, i) => v * mask.data[i % 6]));
    expect(() => masked(image, { ...mask, width: 2 })).toThrow('2x2 pixels for a picture of 3x2');
  });

  it('are resized between their pixels', () => {
    const row = float32([1, 1, 1, 3], [0, 2, 6]);
    expect([...resized(row, 1, 5, { alignCorners: true }).data]).toEqual([0, 1, 2, 4, 6]);
    expect([...resized(float32([1, 1, 1, 4], [0, 2, 6, 8]), 1, 2).data]).toEqual([1, 7]);
  });

  it('get their colours in one graph of fixed size', () => {
    const graph = correlationGraph(4, 2, 3);
    const zeros = Object.fromEntries(
      Object.entries(graph.inputs).map(([name, { shape }]) => [
        name,
        new Float64Array(shape.reduce((a, b) => a * b, 1)),
      ]),
    );
    expect(evaluate(graph, zeros).colours.shape).toEqual([15, 6, 3]);
  });
});
