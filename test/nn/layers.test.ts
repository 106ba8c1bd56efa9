import { describe, expect, it } from 'vitest';
import { deploy } from '../../src/graph/passes/deploy.js';
import { valuesOf } from '../../src/graph/value.js';
import { batchNorm, type Conv2d, conv2d } from '../../src/nn/layers.js';
import { Module } from '../../src/nn/module.js';
import { trace } from '../../src/nn/trace.js';
import { conv2dOp } from '../../src/ops/conv2d.js';
import * as ops from '../../src/ops/index.js';

describe('a convolution', () => {
  it('has a square kernel or a height and a width', () => {
    expect(conv2d(4, 6, 3, { groups: 2 }).weight.shape).toEqual([6, 2, 3, 3]);
    expect(conv2d(4, 6, [1, 3]).weight.shape).toEqual([6, 4, 1, 3]);
  });

  it.each([
    [() => conv2d(4, 6, 0), 'conv2d: 4 to 6 channels in 1 groups, kernel 0x0: no such convolution'],
    [() => conv2d(4, 0, 1), 'conv2d: 4 to 0 channels in 1 groups, kernel 1x1: no such convolution'],
    [() => conv2d(5, 6, 3, { groups: 2 }), 'conv2d: 5 to 6 channels in 2 groups, kernel 3x3: no such convolution'],
    [() => conv2d(6, 5, [3, 1], { groups: 2 }), 'conv2d: 6 to 5 channels in 2 groups, kernel 3x1: no such convolution'],
  ])('says that there is no such one: %#', (make, message) => {
    expect(make).toThrow(message);
  });

  it('of asymmetric kernels in branches becomes one', () => {
    class AsymmetricBlock extends Module {
      readonly branches: Conv2d[] = [
        conv2d(4, 4, 3, { padding: 1 }),
        conv2d(4, 4, [1, 3], { padding: [0, 1] }),
        conv2d(4, 4, [3, 1], { padding: [1, 0] }),
      ];
      readonly norms = this.branches.map(() => batchNorm(4));
      forward(x: Parameters<Module['forward']>[0]) {
        return this.branches.map((conv, i) => this.norms[i].forward(conv.forward(x))).reduce((a, b) => ops.add(a, b));
      }
    }
    const graph = deploy(trace(new AsymmetricBlock(), { input: [1, 4, 7, 5] }));
    expect([...valuesOf(graph)].filter(({ inputs }) => inputs.length > 0).map(({ op }) => op)).toEqual([conv2dOp]);
  });
});
