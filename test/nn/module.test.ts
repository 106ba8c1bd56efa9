import { describe, expect, it } from 'vitest';
import { heFanOutInit, normalInit, uniformInit } from '../../src/nn/init.js';
import { batchNorm, conv2d, Linear, ReLU, sequential } from '../../src/nn/layers.js';
import { Module, Parameter } from '../../src/nn/module.js';
import { uniformStream } from '../../src/nn/random.js';
import { trace } from '../../src/nn/trace.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { float32 } from '../../src/tensor/tensor.js';

const network = () =>
  sequential(conv2d(3, 4, 3, { bias: true }), false, batchNorm(4), new ReLU(), sequential(conv2d(4, 2, 1)));

describe('a module', () => {
  it.each([undefined, [1, 3, 0, 32], [1, 3, 32.5, 32], 'image', [1, 3, '32', 32]])(
    'is not traced for the shape %j',
    (input) => {
      expect(() => trace(network(), { input: input as unknown as number[] })).toThrow(
        /^input: the shape of the pictures, \[N,C,H,W\], got/,
      );
    },
  );

  it('has PyTorch’s names, in order, and none for what is absent', () => {
    expect([...network().stateShapes()]).toEqual([
      ['0.weight', [4, 3, 3, 3]],
      ['0.bias', [4]],
      ['2.weight', [4]],
      ['2.bias', [4]],
      ['2.running_mean', [4]],
      ['2.running_var', [4]],
      ['4.0.weight', [2, 4, 1, 1]],
    ]);
  });

  it('numbers the modules of an array', () => {
    class Heads extends Module {
      readonly heads = [new Linear(2, 1), new Linear(2, 3)];
      forward(x: Parameters<Linear['forward']>[0]) {
        return this.heads[1].forward(x);
      }
    }
    expect([...new Heads().stateShapes().keys()]).toEqual([
      'heads.0.weight',
      'heads.0.bias',
      'heads.1.weight',
      'heads.1.bias',
    ]);
  });

  it('puts a module in the place of another, under its name', () => {
    const model = network();
    model.replaceChild('4', sequential(conv2d(4, 2, 1), batchNorm(2)));
    expect([...model.stateShapes().keys()].slice(-5)[0]).toBe('4.0.weight');
    expect(trace(model, { input: [1, 3, 8, 8] }).outputs.logits.op.name).toBe('batch_norm');

    class Heads extends Module {
      readonly heads: Module[] = [new ReLU(), new ReLU()];
      readonly last: Module = new ReLU();
      forward(x: Parameters<Linear['forward']>[0]) {
        return this.last.forward(x);
      }
    }
    const heads = new Heads();
    for (const [key] of [...heads.namedChildren()]) heads.replaceChild(key, batchNorm(1));
    expect([...heads.stateShapes().keys()].filter((key) => key.endsWith('weight'))).toEqual([
      'heads.0.weight',
      'heads.1.weight',
      'last.weight',
    ]);
  });

  it('counts what is learnt and not what is only kept', () => {
    expect(network().parameterCount()).toBe(108 + 4 + 8 + 8);
  });

  it('counts and names once what stands in it twice, and stores it under both names', () => {
    class Twice extends Module {
      readonly a = new Linear(3, 3);
      readonly between = new Linear(3, 3);
      readonly b = this.a;
      forward(x: Parameters<Linear['forward']>[0]) {
        return this.b.forward(this.between.forward(this.a.forward(x)));
      }
    }
    const model = new Twice();
    expect(model.parameterCount()).toBe(2 * (9 + 3));
    expect([...model.distinctParameters()].map(([key]) => key)).toEqual([
      'a.weight',
      'a.bias',
      'between.weight',
      'between.bias',
    ]);
    const state = model.state();
    expect([...state.keys()].slice(-2)).toEqual(['b.weight', 'b.bias']);
    expect(state.get('b.weight')?.data).toBe(state.get('a.weight')?.data);
    expect(model.a.weight.name).toBe('a.weight');
  });

  it('starts from a seed, the same for the same', () => {
    const weights = (seed: number) => network().initialize(seed).state().get('0.weight')?.data;
    expect(weights(1)).toEqual(weights(1));
    expect(weights(1)).not.toEqual(weights(2));
    expect(network().initialize(1).state().get('2.running_var')?.data).toEqual(new Float32Array(4).fill(1));
  });

  it('takes over tensors by key', () => {
    const model = network();
    model.assign(new Map([['2.bias', float32([4], [1, 2, 3, 4])]]));
    expect([...(model.state().get('2.bias')?.data ?? [])]).toEqual([1, 2, 3, 4]);
  });

  it('names its parameters when it is traced', () => {
    const model = network();
    const graph = trace(model, { input: [1, 3, 8, 8] });
    expect(graph.outputs.logits.shape).toEqual([1, 2, 6, 6]);
    expect([...model.namedParameters()].every(([key, p]) => p.name === key)).toBe(true);
  });
});

describe('a parameter', () => {
  it('refuses data of another size, by name', () => {
    const parameter = new Parameter([2, 2]);
    parameter.name = 'conv.weight';
    expect(() => {
      parameter.data = new Float32Array(3);
    }).toThrow(new GhostkitError('conv.weight: 3 elements for [2,2]'));
  });
});

describe('initialisation', () => {
  const moments = (data: Float32Array) => {
    const mean = data.reduce((a, b) => a + b, 0) / data.length;
    return { mean, deviation: Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length) };
  };

  it('by a normal distribution', () => {
    const data = normalInit(0.5)([20000], uniformStream(7));
    const { mean, deviation } = moments(data);
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(deviation).toBeCloseTo(0.5, 1);
    const within = data.filter((v) => Math.abs(v) < 0.5).length / data.length;
    expect(within).toBeCloseTo(0.683, 1);
  });

  it('by fan out', () => {
    const { deviation } = moments(heFanOutInit([32, 64, 3, 3], uniformStream(1)));
    expect(deviation / Math.sqrt(2 / (32 * 9))).toBeCloseTo(1, 1);
  });

  it('uniformly, within its bound', () => {
    const data = uniformInit(0.1)([1000], uniformStream(3));
    expect(Math.max(...data.map(Math.abs))).toBeLessThanOrEqual(Math.fround(0.1));
  });
});
