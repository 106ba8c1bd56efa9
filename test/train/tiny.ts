import type { Value } from '../../src/graph/value.js';
import { BatchNorm2d, Conv2d, Linear } from '../../src/nn/layers.js';
import { Module } from '../../src/nn/module.js';
import * as ops from '../../src/ops/index.js';
import { type Shape, sizeOf } from '../../src/tensor/tensor.js';
import type { Batch } from '../../src/train/step.js';

export const INPUT: Shape = [4, 2, 9, 8];
export const CLASSES = 3;

/** Numbers in (-1/2, 1/2) that other languages make of the same integers. */
export function numbers(key: number, shape: Shape): Float32Array {
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => (((i * 7919 + key * 104729 + 13) % 97) - 48) / 97);
}

/** A network with one of everything; `pytorch-steps.py` has the same. */
export class TinyNetwork extends Module {
  readonly conv = new Conv2d(2, 5, 3, { stride: 2, padding: 1 });
  readonly bn1 = new BatchNorm2d(5);
  readonly dw = new Conv2d(5, 5, 3, { padding: 1, groups: 5, bias: true });
  readonly fc = new Linear(5, CLASSES);

  constructor(private readonly dropout = 0) {
    super();
    for (const [key, [name, p]] of [...this.namedParameters()].entries()) {
      const around = /^bn.*(weight|var)$/.test(name) ? 1 : 0;
      p.data = numbers(key, p.shape).map((v) => v + around);
    }
  }

  forward(x: Value): Value {
    const first = ops.relu(this.bn1.forward(this.conv.forward(x)));
    const second = ops.relu(this.dw.forward(first));
    return this.fc.forward(ops.dropout(ops.flatten(ops.globalAveragePool(second)), this.dropout));
  }
}

export function batchOf(step: number, learningRate: number): Batch {
  const [n] = INPUT;
  const targets = new Float32Array(n * CLASSES).fill(0.1 / CLASSES);
  for (let i = 0; i < n; i++) targets[i * CLASSES + ((3 * i + step) % CLASSES)] += 0.9;
  return { images: numbers(100 + step, INPUT), targets, learningRate };
}
