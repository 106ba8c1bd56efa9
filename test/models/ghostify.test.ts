import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ABLATION, ghostifyTables, numberOf, PAPER, withTables } from '../../scripts/ghostify-doc.mjs';
import { deploy, optimize } from '../../src/graph/passes/deploy.js';
import { countOps, type Graph, isOp, type Value, valuesOf } from '../../src/graph/value.js';
import { GhostModule } from '../../src/models/ghost-module.js';
import { ghostResnet50, ghostResnet56, ghostVgg16 } from '../../src/models/ghostified.js';
import { type GhostifyLayer, ghostify } from '../../src/models/ghostify.js';
import { ghostnet } from '../../src/models/ghostnet.js';
import { identify, metadataOf } from '../../src/models/identify.js';
import { mobilenetV3Small } from '../../src/models/mobilenetv3.js';
import { createModel, findModel, listModels } from '../../src/models/registry.js';
import { RepGhostModule } from '../../src/models/repghost-module.js';
import { CifarResNet, resnet50, resnet56 } from '../../src/models/resnet.js';
import { graphStats, modelStats } from '../../src/models/stats.js';
import { vgg16 } from '../../src/models/vgg.js';
import {
  BatchNorm2d,
  batchNorm,
  Conv2d,
  conv2d,
  Identity,
  Lambda,
  ReLU,
  type Sequential,
  sequential,
} from '../../src/nn/layers.js';
import { Module } from '../../src/nn/module.js';
import { trace } from '../../src/nn/trace.js';
import * as ops from '../../src/ops/index.js';
import { type FloatTensor, sizeOf } from '../../src/tensor/tensor.js';
import { TrainingStep } from '../../src/train/step.js';
import { expectSameForms, missingGradients } from './forms.js';

const SMALL = [2, 3, 16, 16];

/** A stem, and one convolution with what follows it. */
const stemAnd = (...layers: Module[]) => sequential(conv2d(3, 16, 3, { padding: 1 }), ...layers);

const ghostified = (model: Sequential, options = {}) => ghostify(model, { input: SMALL, ...options });

/** The activations that a Ghost module has itself. */
const hasRelu = (module: Module) => {
  const { layers } = (module as GhostModule).primary_conv;
  return layers[2] instanceof ReLU;
};

describe('the networks of the GhostNet paper', () => {
  const ghosts = PAPER.filter(({ name }) => name.startsWith('Ghost'));

  it.each(ghosts)('$name costs what the paper says, within 5 %', ({ of, input, macs }) => {
    const model = of({ ghostVgg16, ghostResnet56, ghostResnet50 });
    expect(Math.abs(modelStats(model, input).macs / numberOf(macs) - 1)).toBeLessThan(0.05);
  });

  it.each(ABLATION)('Ghost-VGG-16 with s=$ratio and d=$kernel has the size and cost of the paper', (row) => {
    const { parameters, macs } = modelStats(ghostVgg16({}, row.ratio), [1, 3, 32, 32]);
    const other = ghostify(vgg16(), { ratio: row.ratio, kernel: row.kernel, input: [1, 3, 32, 32] });
    const stats = modelStats(other, [1, 3, 32, 32]);
    if (row.kernel === 3) expect(stats).toEqual({ parameters, macs });
    expect(Math.abs(stats.macs / numberOf(row.macs) - 1)).toBeLessThan(0.03);
    expect(Math.abs(stats.parameters / numberOf(row.params) - 1)).toBeLessThan(0.01);
  });

  it('are, with their numbers, what the page says', () => {
    const convolutions = (graph: Graph) => valuesOf(graph).filter((value) => isOp(value, ops.conv2dOp));
    const ghostkit = {
      ...{ vgg16, resnet50, resnet56, ghostVgg16, ghostResnet50, ghostResnet56 },
      ...{ ghostify, modelStats, graphStats, trace, deploy, convolutions },
    };
    const page = readFileSync(new URL('../../docs/ghostify.md', import.meta.url), 'utf8');
    expect(withTables(page, ghostifyTables(ghostkit))).toBe(page);
  });

  it('have Ghost modules everywhere but at the image', () => {
    const keys = [...ghostResnet50().stateShapes().keys()];
    const convolutions = keys.filter((key) => key.endsWith('primary_conv.0.weight'));
    expect(convolutions).toHaveLength(52);
    expect(keys.slice(0, 2)).toEqual(['conv1.weight', 'bn1.weight']);
    expect(keys.filter((key) => /bn\d\.weight$/.test(key))).toEqual(['bn1.weight']);
    expect(keys).toContain('layer2.0.downsample.0.cheap_operation.1.running_var');
  });

  it('compute the same in both forms', async () => {
    await expectSameForms(ghostResnet50({ width: 0.125, classes: 6 }, 4), [1, 3, 40, 33]);
    await expectSameForms(ghostVgg16({ width: 0.125, hidden: 16 }), [2, 3, 32, 32]);
    const repghost = ghostify(new CifarResNet(20), { module: 'repghost', input: [1, 3, 32, 32] });
    await expectSameForms(repghost, [1, 3, 20, 24]);
  });

  it('can be trained as a whole', () => {
    expect(missingGradients(ghostResnet50({ width: 0.125, classes: 6 }), [2, 3, 32, 32])).toEqual([]);
    expect(missingGradients(ghostVgg16({ width: 0.125 }), [2, 3, 32, 32])).toEqual([]);
    const repghost = ghostify(new CifarResNet(20), { module: 'repghost', reparam: 'bn+identity' });
    expect(missingGradients(repghost, [2, 3, 32, 32])).toEqual([]);
  });

  it.each(['ghost', 'repghost'] as const)('learn with %s modules', async (module) => {
    const model = ghostify(new CifarResNet(20, { width: 0.5, classes: 2 }), { module }).initialize(1);
    const input = [8, 3, 12, 12];
    const step = await TrainingStep.create(model, { input, optimizer: { name: 'sgd', momentum: 0.9 } });
    const images = Float32Array.from({ length: sizeOf(input) }, (_, i) => Math.sin(i * i));
    const targets = Float32Array.from({ length: 16 }, (_, i) => Number(i % 4 === 0 || i % 4 === 3));
    const losses = Array.from({ length: 12 }, () => step.run({ images, targets, learningRate: 0.05 }).loss);
    step.close();
    expect(losses[11]).toBeLessThan(0.5 * losses[0]);
  });

  it('have names, are no part of the table, and are known by their weights', () => {
    const all = listModels({ all: true });
    const names = all.flatMap(({ name, aliases }) => [name, ...aliases]);
    expect(new Set(names).size).toBe(names.length);
    for (const entry of all) for (const name of [entry.name, ...entry.aliases]) expect(findModel(name)).toBe(entry);
    expect(listModels().some(({ name }) => name.includes('resnet'))).toBe(false);

    const model = createModel('ghost_resnet56', { classes: 3 });
    const state = model.state() as Map<string, FloatTensor>;
    const found = identify({ state, metadata: {} } as Parameters<typeof identify>[0]);
    expect(found?.entry.name).toBe('ghost_resnet56');
    const entry = findModel('ghost_resnet56');
    const metadata = metadataOf({ entry, options: {}, form: 'training' });
    expect(identify({ state, metadata } as Parameters<typeof identify>[0])?.model.numClasses).toBe(3);
  });
});

describe('ghostify', () => {
  it('replaces in place, keeps names, and leaves every other weight as it is', () => {
    const model = stemAnd(batchNorm(16), new ReLU(), conv2d(16, 32, 3, { padding: 1 }), batchNorm(32), new ReLU());
    const stem = model.state().get('0.weight')?.data;
    expect(ghostified(model)).toBe(model);
    expect([...model.stateShapes()].filter(([key]) => /weight$/.test(key))).toEqual([
      ['0.weight', [16, 3, 3, 3]],
      ['1.weight', [16]],
      ['3.primary_conv.0.weight', [16, 16, 3, 3]],
      ['3.primary_conv.1.weight', [16]],
      ['3.cheap_operation.0.weight', [16, 1, 3, 3]],
      ['3.cheap_operation.1.weight', [16]],
    ]);
    expect(model.layers[4]).toBeInstanceOf(Identity);
    expect(model.state().get('0.weight')?.data).toBe(stem);
  });

  it('keeps kernel, stride, padding and dilation in the primary convolution', () => {
    const cases = [
      { kernel: 3, stride: 2, padding: 1 },
      { kernel: 5, padding: [0, 2] as const },
      { kernel: 3, padding: [1, 0, 2, 1] as const, stride: [1, 2] as const },
      { kernel: 3, padding: 2, dilation: 2 },
      { kernel: 1 },
    ];
    for (const { kernel, ...options } of cases) {
      for (const module of ['ghost', 'repghost'] as const) {
        const build = () => stemAnd(conv2d(16, 24, kernel, options));
        const shapeOf = (model: Module) => trace(model, { input: SMALL }).outputs.logits.shape;
        const dwKernel = kernel === 1 ? 3 : 5; // with 5, a Ghost module would have more weights than a pointwise convolution
        const model = ghostified(build(), { module, kernel: dwKernel });
        expect(shapeOf(model)).toEqual(shapeOf(build()));
        expect(model.stateShapes().get('1.cheap_operation.0.weight')?.slice(1)).toEqual([1, dwKernel, dwKernel]);
      }
    }
  });

  it('takes over the batch norm and the ReLU that are behind a convolution, and nothing else', () => {
    const conv = () => conv2d(16, 32, 1);
    const behind = (...layers: Module[]) => ghostified(stemAnd(conv(), ...layers)).layers;

    const usual = behind(batchNorm(32, { epsilon: 0.01, momentum: 0.3 }), new ReLU());
    expect([hasRelu(usual[1]), usual[2] instanceof Identity]).toEqual([true, true]);
    const inner = valuesOf(trace(usual[1], { input: [1, 16, 4, 4] })).filter((v) => isOp(v, ops.batchNormOp));
    expect(inner.map(({ attrs }) => attrs)).toMatchObject([
      { epsilon: 0.01, momentum: 0.3 },
      { epsilon: 0.01, momentum: 0.3 },
    ]);

    expect(hasRelu(behind(new ReLU())[1])).toBe(true);
    expect(hasRelu(behind()[1])).toBe(false);
    const linear = behind(batchNorm(32));
    expect([hasRelu(linear[1]), linear[2] instanceof Identity]).toEqual([false, true]);
    const swish = behind(batchNorm(32), new Lambda(ops.hardSwish));
    expect([hasRelu(swish[1]), swish[2] instanceof Identity]).toEqual([false, true]);
    const later = behind(new Lambda((x) => ops.maxPool(x, 2)), batchNorm(32), new ReLU());
    expect([hasRelu(later[1]), later[3] instanceof BatchNorm2d]).toEqual([false, true]);
  });

  it('leaves a batch norm that someone else needs', () => {
    class Shared extends Module {
      readonly stem = conv2d(3, 16, 3, { padding: 1 });
      readonly conv = conv2d(16, 16, 3, { padding: 1 });
      readonly bn = batchNorm(16);
      forward(x: Value): Value {
        const y = this.stem.forward(x);
        return ops.add(this.bn.forward(y), this.bn.forward(this.conv.forward(y)));
      }
    }
    const model = ghostify(new Shared(), { input: SMALL });
    expect(model.conv).toBeInstanceOf(GhostModule);
    expect(model.bn).toBeInstanceOf(BatchNorm2d);
  });

  it('replaces a shared convolution once, and not at all if what follows it differs', () => {
    class Twice extends Module {
      readonly heads: Module[];
      readonly stem = conv2d(3, 16, 3, { padding: 1 });
      readonly bn = batchNorm(16);
      constructor(private readonly same: boolean) {
        super();
        const conv = conv2d(16, 16, 3, { padding: 1 });
        this.heads = [conv, conv];
      }
      forward(x: Value): Value {
        const y = this.stem.forward(x);
        const [a, b] = this.heads.map((head) => head.forward(y));
        return ops.add(this.bn.forward(a), this.same ? this.bn.forward(b) : ops.relu(b));
      }
    }
    const same = ghostify(new Twice(true), { input: SMALL });
    expect(same.heads[0]).toBeInstanceOf(GhostModule);
    expect(same.heads[1]).toBe(same.heads[0]);
    expect(same.bn).toBeInstanceOf(Identity);
    expect(() => ghostify(new Twice(false), { input: SMALL })).toThrow('none of the 2 convolutions');
  });

  it('leaves what would not become cheaper or is no feature map', () => {
    const stays = (...layers: Module[]) => {
      const model = stemAnd(...layers, conv2d(layers.length ? 32 : 16, 32, 3));
      return ghostified(model)
        .layers.slice(1, -1)
        .filter((layer) => layer instanceof Conv2d).length;
    };
    expect(stays(conv2d(16, 32, 3, { padding: 1, groups: 2 }))).toBe(1);
    expect(stays(conv2d(16, 16, 3, { padding: 1, groups: 16 }), conv2d(16, 32, 1))).toBe(1);
    expect(stays(conv2d(16, 7, 1), conv2d(7, 32, 1))).toBe(2); // the second has too few inputs to save anything
    expect(stays(conv2d(16, 32, 1))).toBe(0);
    const [wide, tall] = [conv2d(16, 16, [1, 7], { padding: [0, 3] }), conv2d(16, 32, [7, 1], { padding: [3, 0] })];
    expect(stays(wide, tall)).toBe(2); // Ghost modules have square kernels
    expect(ghostified(stemAnd(conv2d(16, 7, 1)), { minOutputs: 7 }).layers[1]).toBeInstanceOf(GhostModule);

    const names: string[] = [];
    const replaces = ({ name }: GhostifyLayer) => {
      names.push(name);
      return true;
    };
    ghostify(mobilenetV3Small(), { replaces });
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter((name) => name.includes('fc'))).toEqual([]);
  });

  it('replaces what it is asked to', () => {
    const layers: GhostifyLayer[] = [];
    const model = ghostify(resnet50(), {
      replaces: (layer) => {
        layers.push(layer);
        return layer.kernel === 3;
      },
    });
    expect(layers).toHaveLength(52);
    expect(layers[1]).toEqual({
      name: 'layer1.0.conv2',
      inChannels: 64,
      outChannels: 64,
      kernel: 3,
      output: [1, 64, 56, 56],
    });
    expect([...model.stateShapes().keys()].filter((key) => key.endsWith('primary_conv.0.weight'))).toHaveLength(16);
    expect(model.stateShapes().has('layer1.0.bn1.weight')).toBe(true);
  });

  it('needs no ReLU behind a Ghost module any more', () => {
    const model = ghostify(vgg16({ width: 0.25 }));
    const counts = (graph: Graph) => countOps(graph).activation ?? 0;
    const graph = trace(model, { input: [1, 3, 32, 32] });
    expect(counts(graph)).toBe(14 + 24);
    expect(counts(optimize(deploy(graph)))).toBe(0);
  });

  it('collapses RepGhost modules for deployment', () => {
    const model = ghostified(stemAnd(conv2d(16, 32, 3, { padding: 1 }), batchNorm(32), new ReLU()), {
      module: 'repghost',
    });
    expect(model.layers[1]).toBeInstanceOf(RepGhostModule);
    const deployed = optimize(deploy(trace(model, { input: SMALL })));
    expect(countOps(deployed)).toEqual({ input: 1, parameter: 1, constant: 4, conv2d: 3 });
  });

  it('says what it cannot do, and then changes nothing', () => {
    const error = (options: object, model: Module = resnet50()) => expect(() => ghostify(model, options as never));
    error({ ratio: 1 }).toThrow('ghostify: ratio must be an integer of at least 2, got 1');
    error({ ratio: 2.5 }).toThrow('ratio must be');
    error({ kernel: 4 }).toThrow('ghostify: kernel must be an odd number, got 4');
    error({ module: 'ghostly' }).toThrow('module must be ghost or repghost, got ghostly');
    error({ module: 'repghost', ratio: 2 }).toThrow('RepGhost modules have no ratio');
    error({ module: 'repghost', reparam: 'sum' }).toThrow('reparam must be one of');
    error({ reparam: 'bn' }).toThrow('set module to repghost');
    error({ minOutputs: 0 }).toThrow('minOutputs must be at least 1');
    error({}, conv2d(3, 8, 3)).toThrow('no convolutions below it');
    error({}, sequential(conv2d(3, 8, 3))).toThrow('none of the 1 convolutions can be replaced');
    error({}, ghostResnet50()).toThrow('none of the 1 convolutions can be replaced');
    error({ replaces: () => false }).toThrow('none of the 53 convolutions');
    error({ input: [1, 4, 64, 64] }).toThrow('does not fit weight');

    class Peeking extends Module {
      readonly stem = conv2d(3, 16, 1);
      readonly conv = conv2d(16, 16, 1);
      forward(x: Value): Value {
        return ops.conv2d(this.stem.forward(x), this.conv.weight.value);
      }
    }
    const peeking = new Peeking();
    error({}, peeking).toThrow('does more with a layer than to run it');
    expect(peeking.conv).toBeInstanceOf(Conv2d);
  });

  it('leaves the Ghost modules of a network alone', () => {
    const names: string[] = [];
    ghostify(ghostnet(), {
      replaces: ({ name }) => {
        names.push(name);
        return true;
      },
    });
    expect(names).toEqual(
      [1, 3, 5, 6, 7].map((i) => `blocks.${i}.${i === 6 ? 3 : 0}.shortcut.2`).concat('blocks.9.0.conv'),
    );
  });
});
