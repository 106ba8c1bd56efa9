import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../src/graph/evaluate.js';
import { input } from '../../src/graph/leaves.js';
import { deploy } from '../../src/graph/passes/deploy.js';
import type { Graph } from '../../src/graph/value.js';
import { GhostModule } from '../../src/models/ghost-module.js';
import { GhostBottleneck } from '../../src/models/ghostnet.js';
import { makeDivisible } from '../../src/models/make-divisible.js';
import { assignNamedWeights, namedInput } from '../../src/models/named-weights.js';
import { type Reparam, RepGhostModule } from '../../src/models/repghost-module.js';
import { RepGhostBottleneck } from '../../src/models/repghostnet.js';
import { conv2d, sequential } from '../../src/nn/layers.js';
import type { Module } from '../../src/nn/module.js';
import { trace } from '../../src/nn/trace.js';
import { GhostkitError } from '../../src/tensor/error.js';
import type { Shape } from '../../src/tensor/tensor.js';

const outputShape = (module: Module, shape: Shape) => module.forward(input('x', shape)).shape;

function run(graph: Graph, shape: Shape): Float64Array {
  return evaluate(graph, { image: Float64Array.from(namedInput('modules.test', shape).data) }).logits.data;
}

describe('makeDivisible', () => {
  it('gives a multiple, near what was asked for, and never more than 10 % below', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.1, max: 4000, noNaN: true }), fc.constantFrom(4, 8), (channels, divisor) => {
        const result = makeDivisible(channels, divisor);
        expect(result % divisor).toBe(0);
        expect(result).toBeGreaterThanOrEqual(Math.max(divisor, 0.9 * channels));
        expect(result).toBeLessThanOrEqual(Math.max(divisor, channels + divisor));
      }),
    );
  });

  it('rounds half up, like the originals', () => {
    expect([5.6, 6, 10, 18, 22].map((c) => makeDivisible(c, 4))).toEqual([8, 8, 12, 20, 24]);
  });
});

describe('GhostModule', () => {
  it('takes any ratio and kernels, and gives the channels asked for', () => {
    const sizes = fc.record({
      outChannels: fc.integer({ min: 1, max: 23 }),
      ratio: fc.integer({ min: 2, max: 5 }),
      kernel: fc.constantFrom(1, 3, 5),
      dwKernel: fc.constantFrom(1, 3, 5, 7),
      stride: fc.constantFrom(1, 2),
      relu: fc.boolean(),
    });
    fc.assert(
      fc.property(sizes, ({ outChannels, ...options }) => {
        const module = new GhostModule(5, outChannels, options);
        const size = Math.ceil(9 / options.stride);
        expect(outputShape(module, [2, 5, 9, 9])).toEqual([2, outChannels, size, size]);
        const intrinsic = Math.ceil(outChannels / options.ratio);
        expect(module.stateShapes().get('cheap_operation.0.weight')).toEqual([
          intrinsic * (options.ratio - 1),
          1,
          options.dwKernel,
          options.dwKernel,
        ]);
      }),
    );
  });

  it('names a ratio or a kernel that it cannot have', () => {
    expect(() => new GhostModule(4, 8, { ratio: 1.5 })).toThrow(GhostkitError);
    expect(() => new GhostModule(4, 8, { ratio: 1 })).toThrow('ratio must be an integer of at least 2, got 1');
    expect(() => new GhostModule(4, 8, { dwKernel: 4 })).toThrow('dwKernel must be an odd number, got 4');
  });

  it('stands for a convolution in another network', () => {
    const network = sequential(
      conv2d(3, 8, 3, { padding: 1 }),
      new GhostModule(8, 12, { kernel: 3, ratio: 3, stride: 2 }),
    );
    expect(outputShape(network, [1, 3, 16, 16])).toEqual([1, 12, 8, 8]);
    expect([...network.stateShapes().keys()]).toContain('1.primary_conv.0.weight');
  });
});

describe('GhostBottleneck', () => {
  it('adds its input, or a projection of it where the shapes differ', () => {
    const keys = (m: Module) => [...m.stateShapes().keys()].filter((key) => key.startsWith('shortcut'));
    expect(keys(new GhostBottleneck(8, 16, 8))).toEqual([]);
    const strided = new GhostBottleneck(8, 16, 8, { stride: 2, dwKernel: 5, seRatio: 0.25, ratio: 3 });
    expect(keys(strided)).toHaveLength(10);
    expect(strided.stateShapes().get('conv_dw.weight')).toEqual([16, 1, 5, 5]);
    expect(strided.stateShapes().get('se.conv_reduce.weight')).toEqual([4, 16, 1, 1]);
    expect(outputShape(strided, [1, 8, 7, 9])).toEqual([1, 8, 4, 5]);
  });
});

describe('both modules', () => {
  it('keep the size of the image, whatever the dilation', () => {
    for (const kernel of [1, 3, 5]) {
      for (const dilation of [1, 2, 3, [1, 2], [3, 1]] as const) {
        const options = { kernel, dilation };
        for (const module of [new GhostModule(3, 4, options), new RepGhostModule(3, 4, options)]) {
          expect(outputShape(module, [1, 3, 12, 13])).toEqual([1, 4, 12, 13]);
        }
      }
    }
  });

  it('have the padding of the originals for an even kernel, and what is asked for', () => {
    for (const Kind of [GhostModule, RepGhostModule]) {
      expect(outputShape(new Kind(3, 4, { kernel: 4 }), [1, 3, 8, 8])).toEqual([1, 4, 9, 9]);
      expect(outputShape(new Kind(3, 4, { kernel: 3, padding: 0, dilation: 2 }), [1, 3, 8, 8])).toEqual([1, 4, 4, 4]);
    }
  });
});

describe('RepGhostModule', () => {
  const reparams: Reparam[] = ['bn', 'identity', 'bn+identity', 'none', 'merged'];

  it.each(reparams)('with %s computes the same in deploy form', (reparam) => {
    const shape = [2, 6, 7, 5];
    for (const options of [{ kernel: 3, dwKernel: 5, stride: 2 }, { relu: false }, {}]) {
      const module = assignNamedWeights(new RepGhostModule(6, 9, { reparam, ...options }));
      const graph = trace(module, { input: shape });
      const [training, deployed] = [run(graph, shape), run(deploy(graph), shape)];
      const error = Math.max(...training.map((v, i) => Math.abs(v - deployed[i])));
      expect(error).toBeLessThan(1e-6);
    }
  });

  it('names a branch that it does not know', () => {
    const reparam = 'toString' as Reparam;
    expect(() => new RepGhostModule(4, 4, { reparam })).toThrow('reparam must be one of bn, identity');
  });

  it('has the keys of the original for its branches', () => {
    const keys = (reparam: Reparam) => [...new RepGhostModule(4, 4, { reparam }).stateShapes().keys()];
    expect(keys('bn').filter((key) => key.startsWith('fusion'))).toEqual([
      'fusion_bn.0.weight',
      'fusion_bn.0.bias',
      'fusion_bn.0.running_mean',
      'fusion_bn.0.running_var',
    ]);
    expect(keys('identity')).toEqual(keys('none'));
    expect(keys('bn+identity')).toEqual(keys('bn'));
    expect(keys('merged').filter((key) => key.startsWith('cheap'))).toEqual([
      'cheap_operation.weight',
      'cheap_operation.bias',
    ]);
  });
});

describe('RepGhostBottleneck', () => {
  it('without shortcut still has the projection', () => {
    const shapes = (stride: number) => new RepGhostBottleneck(8, 4, 8, { stride, shortcut: false }).stateShapes();
    expect(shapes(1).has('shortcut.0.weight')).toBe(false);
    expect(shapes(2).has('shortcut.0.weight')).toBe(true);
  });

  it('without shortcut leaves its input out', () => {
    const shape = [1, 8, 5, 5];
    const of = (shortcut: boolean) =>
      run(trace(assignNamedWeights(new RepGhostBottleneck(8, 4, 8, { shortcut })), { input: shape }), shape);
    const [withIt, without] = [of(true), of(false)];
    const x = namedInput('modules.test', shape).data;
    expect(Math.max(...withIt.map((v, i) => Math.abs(v - without[i] - x[i])))).toBeLessThan(1e-12);
  });
});
