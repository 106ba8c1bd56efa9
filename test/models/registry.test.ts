import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { countOps, type Graph, valuesOf } from '../../src/graph/value.js';
import { createModel, findModel, listModels, type ModelOptions, remapKeys } from '../../src/models/registry.js';
import { resnet50 } from '../../src/models/resnet.js';
import { modelStats } from '../../src/models/stats.js';
import { type Classifier, trace } from '../../src/nn/trace.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { float32, type Shape, sizeOf, type Tensor } from '../../src/tensor/tensor.js';

const zeros = (shape: Shape) => float32(shape, new Float32Array(sizeOf(shape)));

describe('the registry', () => {
  it('has every network once', () => {
    const names = listModels().flatMap(({ name, aliases }) => [name, ...aliases]);
    expect(new Set(names).size).toBe(names.length);
    for (const entry of listModels()) {
      for (const name of [entry.name, ...entry.aliases]) expect(findModel(name)).toBe(entry);
    }
  });

  it.each([
    ['repghostnet_0_8x', 'repghostnet_080'],
    ['repghostnet_1_11x', 'repghostnet_111'],
    ['repghostnet_repid_0_5x', 'repghostnet_repid_050'],
    ['ghostnet-1.0', 'ghostnet_100'],
    ['GhostNet-0.5', 'ghostnet_050'],
    ['ghostnet_0_5x', 'ghostnet_050'],
    ['repghostnet_200.in1k', 'repghostnet_200'],
    ['mobilenet_v3_large', 'mobilenetv3_large_100'],
  ])('knows %s', (alias, name) => {
    expect(findModel(alias).name).toBe(name);
  });

  it('names the nearest when there is no such network', () => {
    expect(() => createModel('repghostnet_o80')).toThrow(
      'unknown model repghostnet_o80; did you mean repghostnet_080?',
    );
    expect(() => createModel('resnet')).toThrow(GhostkitError);
    expect(() => createModel('constructor')).toThrow('unknown model constructor; see listModels()');
  });

  it('creates what the name says, and takes options', () => {
    expect(createModel('repghostnet_050', { classes: 3 }).numClasses).toBe(3);
    const classifier = (name: string) => createModel(name).parameterCount();
    expect(classifier('repghostnet_norep_0_5x')).toBe(2309008);
    expect(classifier('repghostnet_wo_0_5x')).toBe(2313968);
    expect(createModel('ghostnet_100', { width: 0.5 }).parameterCount()).toBe(2587292);
  });

  it('takes an option that is undefined for one that is not given', () => {
    const of = (name: string, options?: ModelOptions) => [...createModel(name, options).stateShapes()];
    const nothing = { width: undefined, classes: undefined, reparam: undefined, shortcut: undefined };
    for (const name of ['repghostnet_050', 'repghostnet_norep_050', 'resnet56', 'vgg16_cifar', 'ghost_vgg16']) {
      expect(of(name, nothing)).toEqual(of(name));
    }
    const stem = (options?: ModelOptions) => trace(createModel('resnet56', options), { input: [1, 3, 32, 32] });
    const sizes = (graph: Graph) => valuesOf(graph).map(({ shape }) => shape);
    expect(sizes(stem({ stemStride: undefined, dropout: undefined }))).toEqual(sizes(stem()));
    const dropped = (model: Classifier) => countOps(trace(model, { input: [1, 3, 32, 32] })).dropout;
    expect(dropped(resnet50({ dropout: undefined, width: 0.125 }))).toBeUndefined();
  });

  it.each(listModels().filter(({ paper }) => paper?.params))('$name has the size and cost of its paper', (entry) => {
    const { parameters, macs } = modelStats(createModel(entry.name), [1, 3, 224, 224]);
    // The papers give two digits of the parameters; MobileNetV3's count a little more than torchvision's version needs.
    expect(Math.abs(parameters - (entry.paper?.params ?? 0))).toBeLessThan(1e5);
    expect(Math.abs(macs / (entry.paper?.macs ?? 0) - 1)).toBeLessThan(0.012);
  });
});

describe('remapKeys', () => {
  it('leaves a profiler’s counters behind and the rest of a Ghost network as it is', () => {
    const keys = ['total_ops', 'conv_stem.weight', 'conv_stem.total_ops', 'blocks.0.0.ghost1.total_params', 'bn1.bias'];
    const state = new Map(keys.map((key) => [key, zeros([1])]));
    for (const name of ['ghostnet_100', 'repghostnet_080']) {
      expect([...remapKeys(name, state).keys()]).toEqual(['conv_stem.weight', 'bn1.bias']);
    }
  });

  const timm: Record<string, Record<string, number[]>> = JSON.parse(
    readFileSync(new URL('fixtures/timm-mobilenetv3.json', import.meta.url), 'utf8'),
  );

  it.each(Object.keys(timm))('turns timm’s keys of %s into torchvision’s', (name) => {
    const learnable = [...createModel(name).namedParameters()].filter(([, p]) => p.learnable);
    const state = remapKeys(name, new Map(Object.entries(timm[name]).map(([key, shape]) => [key, zeros(shape)])));
    const shapes = (entries: Iterable<[string, Tensor]>) =>
      Object.fromEntries([...entries].map(([key, { shape }]) => [key, shape]));
    expect(shapes(state)).toEqual(Object.fromEntries(learnable.map(([key, { shape }]) => [key, shape])));
    expect(shapes(remapKeys(name, state))).toEqual(shapes(state));
  });
});
