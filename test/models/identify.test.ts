import { describe, expect, it } from 'vitest';
import { countOps } from '../../src/graph/value.js';
import { DeployedClassifier } from '../../src/models/deployed.js';
import { guessModel, identify, metadataOf } from '../../src/models/identify.js';
import { assignNamedWeights } from '../../src/models/named-weights.js';
import { createModel, findModel, listModels, type ModelOptions } from '../../src/models/registry.js';
import { type Classifier, trace } from '../../src/nn/trace.js';
import { float32 } from '../../src/tensor/tensor.js';

const stateOf = (name: string, options: ModelOptions = {}) => createModel(name, { classes: 3, ...options }).state();

describe('guessModel', () => {
  // The ablations without a shortcut or a branch have the shapes of others; their names must be given.
  const distinct = listModels().filter(({ name }) => !/_(wo|norep)_/.test(name));

  it.each(distinct.map(({ name }) => name))('knows %s by its shapes', (name) => {
    expect(guessModel(stateOf(name))).toMatchObject({ entry: { name }, options: {}, form: 'training' });
  });

  it('knows other widths, and converted RepGhostNets', () => {
    expect(guessModel(stateOf('repghostnet_100', { width: 0.35, reparam: 'merged' }))).toMatchObject({
      entry: { family: 'repghostnet' },
      options: { width: 0.35, reparam: 'merged' },
    });
  });

  it.each([
    ['ghostnet_100', 0.33],
    ['repghostnet_100', 0.666],
    ['mobilenetv3_small_100', 3.2],
  ])('knows %s at width %d', (name, width) => {
    const guess = guessModel(stateOf(name, { width, classes: 2 }));
    expect(guess?.entry.name).toBe(name);
    const same = createModel(name, { ...guess?.options, classes: 2 });
    expect(same.stateShapes()).toEqual(createModel(name, { width, classes: 2 }).stateShapes());
  });

  it('knows nothing of other tensors', () => {
    expect(guessModel(new Map([['conv_stem.weight', float32([1], [0])]]))).toBeUndefined();
    expect(guessModel(new Map())).toBeUndefined();
  });

  it('does not believe a shape that holds nothing', () => {
    const state = new Map([['conv_stem.weight', float32([16, 1e9, 0, 0], [])]]);
    expect(guessModel(state, { 'ghostkit.model': 'ghostnet_100', 'ghostkit.form': 'deploy' })).toBeDefined();
    const checkpoint = {
      state,
      metadata: { 'ghostkit.model': 'ghostnet_100', 'ghostkit.form': 'deploy' },
      source: 'root',
      format: 'safetensors',
      storedTypes: [],
    } as const;
    expect(() => identify(checkpoint)).toThrow('conv_stem.weight: the file has [16,1000000000,0,0]');
  });
});

describe('identify', () => {
  it('keeps what a file says of the network that is named, though no shape tells it', () => {
    const options = { stemStride: 1, width: 0.3, classes: 3 };
    const model = assignNamedWeights(createModel('repghostnet_100', options));
    const entry = findModel('repghostnet_100');
    const metadata = metadataOf({ entry, options: { stemStride: 1, width: 0.3 }, form: 'training' });
    const checkpoint = { state: model.state(), metadata } as unknown as Parameters<typeof identify>[0];
    for (const name of [undefined, 'repghostnet_100', 'repghostnet_1_0x']) {
      expect(identify(checkpoint, name)?.options).toEqual({ stemStride: 1, width: 0.3 });
    }
    // Of another network nothing that the file says holds.
    expect(() => identify(checkpoint, 'ghostnet_100')).toThrow('these are the weights of repghostnet at width 0.3');
  });
});

describe('options of a network that nothing is called', () => {
  const options = { stemStride: 1, width: 0.3, classes: 3 };
  const state = assignNamedWeights(createModel('repghostnet_100', options)).state();
  const stored = { 'ghostkit.options': JSON.stringify({ stemStride: 1, width: 0.3 }) };
  const checkpoint = (metadata: object) => ({ state, metadata }) as unknown as Parameters<typeof identify>[0];

  it('are not left out, since no shape would tell', () => {
    const named = { ...stored, 'ghostkit.model': 'repghost\u001b[2Jnet' };
    expect(guessModel(state, named)).toBeUndefined();
    expect(() => identify(checkpoint(named))).toThrow(
      'the metadata ghostkit.model is repghost\\u{1b}[2Jnet, a network that ghostkit does not know; name the one that it is',
    );
    expect(() => identify(checkpoint(stored))).toThrow(
      'the metadata ghostkit.options is of a network that is not named; name it',
    );
    // Weights that say nothing are told by their shapes.
    expect(identify(checkpoint({}))?.options).toEqual({ width: 0.3 });
  });

  it('are those of the network that is named', () => {
    const named = { ...stored, 'ghostkit.model': 'somebody' };
    expect(identify(checkpoint(named), 'repghostnet_100')?.options).toEqual({ stemStride: 1, width: 0.3 });
  });
});

describe('metadataOf', () => {
  const asStored = (model: Classifier, metadata: Readonly<Record<string, string>>) =>
    ({ state: model.state(), metadata }) as unknown as Parameters<typeof identify>[0];

  it.each<[string, ModelOptions, ModelOptions]>([
    ['repghostnet_050', { shortcut: false }, { shortcut: false }],
    ['repghostnet_050', { squeezeExcite: false, reparam: 'none' }, { squeezeExcite: false, reparam: 'none' }],
    ['ghostnet_050', { dropout: 0.1, classes: 3, inChannels: 1 }, {}],
    ['mobilenetv3_small_100', { width: 0.5, epsilon: 1e-5, stemStride: undefined }, { width: 0.5, epsilon: 1e-5 }],
  ])('of %s with %j is what identify takes', (name, options, kept) => {
    const model = assignNamedWeights(createModel(name, options));
    const metadata = metadataOf({ entry: findModel(name), options, form: 'training' });
    const loaded = identify(asStored(model, metadata));
    expect(loaded?.options).toEqual(kept);
    expect(loaded?.model.state()).toEqual(model.state());
    const input = [1, model.inChannels, 32, 32];
    expect(countOps(trace(loaded?.model as Classifier, { input }))).toEqual(countOps(trace(model, { input })));
  });

  it('is not believed when it says what cannot be', () => {
    const model = createModel('repghostnet_050');
    for (const options of [{ shortcut: 'no' }, { squeezeExcite: 1 }, { classes: 1e9 }, { width: 1e9 }]) {
      const metadata = { 'ghostkit.model': 'repghostnet_050', 'ghostkit.options': JSON.stringify(options) };
      expect(() => identify(asStored(model, metadata))).toThrow('the metadata ghostkit.options is not valid');
    }
  });
});

describe('DeployedClassifier', () => {
  it('is loaded by what it was stored as', () => {
    const model = assignNamedWeights(createModel('repghostnet_050', { classes: 3 }));
    const deployed = new DeployedClassifier(model);
    const guess = { entry: listModels()[3], options: {}, form: 'deploy' } as const;
    expect(guess.entry.name).toBe('repghostnet_050');
    const loaded = identify({
      state: deployed.state(),
      metadata: metadataOf(guess),
      source: 'root',
      format: 'safetensors',
      storedTypes: [],
    });
    expect(loaded?.model).toBeInstanceOf(DeployedClassifier);
    expect(loaded?.model.state()).toEqual(deployed.state());
    expect(loaded?.model.numClasses).toBe(3);
  });
});
