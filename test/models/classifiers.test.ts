import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { input } from '../../src/graph/leaves.js';
import { ghostnet } from '../../src/models/ghostnet.js';
import { mobilenetV3Large, mobilenetV3Small } from '../../src/models/mobilenetv3.js';
import { repghostnet } from '../../src/models/repghostnet.js';
import { modelStats } from '../../src/models/stats.js';

const IMAGENET = [1, 3, 224, 224];

describe('GhostNet and RepGhostNet', () => {
  it('are as large and as expensive as the papers say', () => {
    expect(modelStats(ghostnet(), IMAGENET)).toEqual({ parameters: 5182508, macs: 141150512 });
    expect(modelStats(ghostnet({ width: 0.5 }), IMAGENET)).toEqual({ parameters: 2587292, macs: 42328152 });
    expect(modelStats(repghostnet(), IMAGENET)).toEqual({ parameters: 4073604, macs: 142394128 });
  });

  it('cost the same for one image whatever the batch', () => {
    const model = repghostnet({ width: 0.5, classes: 10 });
    expect(modelStats(model, [7, 3, 96, 64])).toEqual(modelStats(model, [1, 3, 96, 64]));
  });

  it('have channels divisible by 4 at any width, and take images of any size', () => {
    const cases = fc.record({
      width: fc.double({ min: 0.05, max: 2.5, noNaN: true }),
      height: fc.integer({ min: 1, max: 100 }),
      classes: fc.integer({ min: 1, max: 40 }),
      inChannels: fc.integer({ min: 1, max: 5 }),
      stemStride: fc.constantFrom(1, 2, 4),
      create: fc.constantFrom(ghostnet, repghostnet),
    });
    fc.assert(
      fc.property(cases, ({ create, height, ...options }) => {
        const model = create(options);
        const { logits, ...blocks } = model.stages(input('image', [2, options.inChannels, height, 50]));
        expect(logits.shape).toEqual([2, options.classes]);
        expect(Object.keys(blocks)).toEqual(Array.from({ length: 10 }, (_, i) => `blocks.${i}`));
        for (const { shape } of Object.values(blocks)) expect(shape[1] % 4).toBe(0);
        expect(blocks['blocks.0'].shape[2]).toBe(Math.ceil(height / options.stemStride));
      }),
      { numRuns: 25 },
    );
  });

  it('have no squeeze-and-excitation where that is asked for', () => {
    const keys = [...repghostnet({ squeezeExcite: false }).stateShapes().keys()];
    expect(keys.some((key) => key.includes('.se.'))).toBe(false);
  });

  it('name an option that cannot be', () => {
    expect(() => ghostnet({ width: 0 })).toThrow('width must be a positive number, got 0');
    expect(() => ghostnet({ width: Number.NaN })).toThrow('width must be');
    expect(() => repghostnet({ classes: 2.5 })).toThrow('classes must be a positive integer, got 2.5');
    expect(() => repghostnet({ dropout: 1 })).toThrow('dropout must be');
  });
});

describe('MobileNetV3', () => {
  it('is as large and as expensive as torchvision says', () => {
    expect(modelStats(mobilenetV3Large(), IMAGENET)).toEqual({ parameters: 5483032, macs: 216589760 });
    expect(modelStats(mobilenetV3Small(), IMAGENET)).toEqual({ parameters: 2542856, macs: 56510400 });
  });

  it('has the names and shapes of torchvision', () => {
    const large = mobilenetV3Large().stateShapes();
    expect(Object.fromEntries(large)).toMatchObject({
      'features.0.0.weight': [16, 3, 3, 3],
      'features.0.1.running_var': [16],
      'features.1.block.0.0.weight': [16, 1, 3, 3],
      'features.1.block.1.0.weight': [16, 16, 1, 1],
      'features.4.block.2.fc1.weight': [24, 72, 1, 1],
      'features.4.block.2.fc2.bias': [72],
      'features.4.block.3.1.bias': [40],
      'features.16.0.weight': [960, 160, 1, 1],
      'classifier.0.weight': [1280, 960],
      'classifier.3.weight': [1000, 1280],
    });
    expect(large.size).toBe(312 - 46); // torchvision's, less the step counters of 46 batch norms
  });

  it('starts like torchvision: convolutions by fan out, biases at 0', () => {
    const state = mobilenetV3Small({ width: 2, classes: 2 }).initialize(1).state();
    const weight = state.get('features.12.0.weight');
    const [out] = weight?.shape ?? [];
    const data = weight?.data ?? new Float32Array();
    const variance = data.reduce((sum, v) => sum + v * v, 0) / data.length;
    expect(variance * out).toBeCloseTo(2, 1);
    expect(state.get('features.1.block.1.fc1.bias')?.data.every((v) => v === 0)).toBe(true);
  });

  it('gives every stage', () => {
    const outputs = mobilenetV3Small({ width: 0.5, classes: 4 }).stages(input('image', [1, 3, 64, 64]));
    expect(outputs['features.12'].shape).toEqual([1, 288, 2, 2]);
    expect(outputs.logits.shape).toEqual([1, 4]);
  });
});
