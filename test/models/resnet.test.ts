import { describe, expect, it } from 'vitest';
import { input } from '../../src/graph/leaves.js';
import { createModel } from '../../src/models/registry.js';
import { CifarResNet, resnet18, resnet34, resnet50, resnet56, resnet101 } from '../../src/models/resnet.js';
import { modelStats } from '../../src/models/stats.js';
import { compile } from '../../src/nn/compile.js';
import { expectSameForms, missingGradients } from './forms.js';

const IMAGENET = [1, 3, 224, 224];
const CIFAR = [1, 3, 32, 32];

describe('ResNet for ImageNet', () => {
  it.each([
    [resnet18, 11689512, 1814073344, 102],
    [resnet34, 21797672, 3663761408, 182],
    [resnet50, 25557032, 4089184256, 267],
    [resnet101, 44549160, 7801405440, 522],
  ])('%o is as large and as expensive as torchvision’s', (create, parameters, macs, entries) => {
    expect(modelStats(create(), IMAGENET)).toEqual({ parameters, macs });
    // torchvision's state dict, less the step counters of the batch norms.
    expect(create().stateShapes().size).toBe(entries);
  });

  it('has the names and shapes of torchvision', () => {
    expect(Object.fromEntries(resnet50().stateShapes())).toMatchObject({
      'conv1.weight': [64, 3, 7, 7],
      'bn1.running_mean': [64],
      'layer1.0.conv1.weight': [64, 64, 1, 1],
      'layer1.0.downsample.0.weight': [256, 64, 1, 1],
      'layer1.0.downsample.1.running_var': [256],
      'layer2.0.conv2.weight': [128, 128, 3, 3],
      'layer3.5.bn3.bias': [1024],
      'layer4.2.conv3.weight': [2048, 512, 1, 1],
      'fc.weight': [1000, 2048],
      'fc.bias': [1000],
    });
    const basic = resnet18().stateShapes();
    expect(basic.get('layer4.0.downsample.0.weight')).toEqual([512, 256, 1, 1]);
    expect(basic.has('layer1.0.downsample.0.weight')).toBe(false);
  });

  it('gives every stage', () => {
    const outputs = resnet50({ width: 0.25, classes: 7 }).stages(input('image', [2, 3, 64, 96]));
    expect(Object.fromEntries(Object.entries(outputs).map(([name, { shape }]) => [name, shape]))).toEqual({
      layer1: [2, 64, 16, 24],
      layer2: [2, 128, 8, 12],
      layer3: [2, 256, 4, 6],
      layer4: [2, 512, 2, 3],
      logits: [2, 7],
    });
  });

  it('has a wider or thinner middle where that is asked for', () => {
    expect(resnet50({ baseWidth: 128 }).parameterCount()).toBe(68883240); // torchvision's wide_resnet50_2
    expect(resnet50({ baseWidth: 32 }).stateShapes().get('layer1.0.conv2.weight')).toEqual([32, 32, 3, 3]);
  });

  it.each([resnet18, resnet50])('%o computes the same in both forms', async (create) => {
    await expectSameForms(create({ width: 0.125, classes: 5 }), [2, 3, 45, 40]);
  });

  it.each([resnet18, resnet50])('%o can be trained as a whole', (create) => {
    const model = create({ width: 0.125, classes: 5, dropout: 0.1 });
    expect(missingGradients(model, [2, 3, 32, 32])).toEqual([]);
  });

  it('is no part of the table, and has a name', () => {
    expect(createModel('resnet50', { classes: 3 }).parameterCount()).toBe(25557032 - 997 * 2049);
    expect(() => resnet50({ classes: 0 })).toThrow('classes must be a positive integer');
  });
});

describe('ResNet for CIFAR-10', () => {
  it('has the sizes of its paper, whose table 6 gives 0.27, 0.46, 0.66, 0.85 and 1.7 M', () => {
    const sizes = ([20, 32, 44, 56, 110] as const).map((depth) => new CifarResNet(depth).parameterCount());
    expect(sizes).toEqual([269722, 464154, 658586, 853018, 1727962]);
    expect(modelStats(resnet56(), CIFAR).macs).toBe(125485696);
  });

  it('has the common names, and shortcuts without weights', () => {
    const shapes = resnet56().stateShapes();
    expect(Object.fromEntries(shapes)).toMatchObject({
      'conv1.weight': [16, 3, 3, 3],
      'layer1.8.bn2.running_mean': [16],
      'layer2.0.conv1.weight': [32, 16, 3, 3],
      'layer3.8.conv2.weight': [64, 64, 3, 3],
      'linear.weight': [10, 64],
    });
    expect([...shapes.keys()].filter((key) => key.includes('downsample'))).toEqual([]);
  });

  it('takes every other pixel for a shortcut, between channels of zeros', async () => {
    const { layer2 } = new CifarResNet(20);
    const [block] = layer2.layers;
    // With weights of zero, the block is the ReLU of its shortcut.
    for (const [key, p] of block.namedParameters()) {
      if (key !== 'bn1.running_var' && key !== 'bn2.running_var') p.data = new Float32Array(p.data.length);
    }
    const shape = [1, 16, 4, 4];
    const net = await compile(block, { input: shape, deploy: false });
    const data = Float32Array.from({ length: 256 }, (_, i) => i + 1);
    const { logits } = net.run({ image: { dtype: 'float32', shape, data } });
    expect(logits.shape).toEqual([1, 32, 2, 2]);
    const expected = new Float32Array(128);
    for (let c = 0; c < 16; c++) {
      for (let p = 0; p < 4; p++) {
        expected[(c + 8) * 4 + p] = data[c * 16 + Math.floor(p / 2) * 8 + (p % 2) * 2];
      }
    }
    expect(logits.data).toEqual(expected);
  });

  it('computes the same in both forms, for any number of channels', async () => {
    await expectSameForms(new CifarResNet(20), [1, 3, 32, 32]);
    await expectSameForms(new CifarResNet(20, { width: 0.3, classes: 3, inChannels: 1 }), [2, 1, 19, 18]);
  });

  it('can be trained as a whole', () => {
    expect(missingGradients(new CifarResNet(20), [2, 3, 32, 32])).toEqual([]);
  });
});
