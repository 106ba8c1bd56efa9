import { describe, expect, it } from 'vitest';
import { input } from '../../src/graph/leaves.js';
import { modelStats } from '../../src/models/stats.js';
import { vgg16 } from '../../src/models/vgg.js';
import { expectSameForms, missingGradients } from './forms.js';

const CIFAR = [1, 3, 32, 32];

describe('VGG-16 for CIFAR-10', () => {
  it('is as large and as expensive as papers on compression say: 15 M and 313 M', () => {
    expect(modelStats(vgg16(), CIFAR)).toEqual({ parameters: 14987722, macs: 313463808 });
    expect(modelStats(vgg16({ hidden: 0 }), CIFAR)).toEqual({ parameters: 14724042, macs: 313201664 });
  });

  it('has the names of torchvision’s vgg16_bn for its convolutions', () => {
    const shapes = vgg16().stateShapes();
    expect(Object.fromEntries(shapes)).toMatchObject({
      'features.0.weight': [64, 3, 3, 3],
      'features.1.running_var': [64],
      'features.3.weight': [64, 64, 3, 3],
      'features.7.weight': [128, 64, 3, 3],
      'features.40.weight': [512, 512, 3, 3],
      'features.41.bias': [512],
      'classifier.0.weight': [512, 512],
      'classifier.1.running_mean': [512],
      'classifier.4.weight': [10, 512],
    });
    expect(shapes.has('features.0.bias')).toBe(false);
    expect(vgg16({ hidden: 0 }).stateShapes().get('classifier.1.weight')).toEqual([10, 512]);
  });

  it('gives every stage, for images of 32 pixels and more', () => {
    const model = vgg16({ width: 0.25, classes: 4, inChannels: 1, dropout: 0.5 });
    const outputs = model.stages(input('image', [2, 1, 64, 32]));
    expect(Object.keys(outputs)).toEqual([
      'features.6',
      'features.13',
      'features.23',
      'features.33',
      'features.43',
      'logits',
    ]);
    expect(outputs['features.43'].shape).toEqual([2, 128, 2, 1]);
    expect(outputs.logits.shape).toEqual([2, 4]);
  });

  it('computes the same in both forms', async () => {
    await expectSameForms(vgg16({ width: 0.125, hidden: 24 }), [2, 3, 32, 32]);
    await expectSameForms(vgg16({ width: 0.125, hidden: 0 }), [1, 3, 40, 37]);
  });

  it('can be trained as a whole', () => {
    expect(missingGradients(vgg16({ width: 0.125, dropout: 0.5 }), [2, 3, 32, 32])).toEqual([]);
  });
});
