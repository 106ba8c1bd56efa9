import { describe, expect, it } from 'vitest';
import { removeIdleRelus } from '../../src/graph/passes/idle-relu.js';
import { countOps, type Value } from '../../src/graph/value.js';
import * as ops from '../../src/ops/index.js';
import { applied, graphOf, Layers } from './support.js';

const activations = (build: (x: Value, l: Layers) => Value) =>
  countOps(
    applied(
      removeIdleRelus,
      graphOf([2, 4, 6, 6], (x) => build(x, new Layers())),
    ),
  ).activation ?? 0;

describe('removeIdleRelus', () => {
  it('takes out a ReLU of what is never negative', () => {
    expect(activations((x) => ops.relu(ops.relu(x)))).toBe(1);
    expect(activations((x) => ops.relu(ops.relu(ops.relu6(x))))).toBe(1);
    expect(activations((x) => ops.relu(ops.maxPool(ops.relu(x), 3, { padding: 1, stride: 2 })))).toBe(1);
    expect(activations((x) => ops.relu(ops.flatten(ops.globalAveragePool(ops.sigmoid(x)))))).toBe(1);
    expect(activations((x, l) => ops.relu(ops.slice(ops.concat([ops.relu(l.conv(x, 3, 1)), ops.relu(x)]), 1, 6)))).toBe(
      2,
    );
  });

  it('keeps every other', () => {
    expect(activations((x) => ops.relu(x))).toBe(1);
    expect(activations((x, l) => ops.relu(l.conv(ops.relu(x), 3, 1)))).toBe(2);
    expect(activations((x) => ops.relu(ops.concat([ops.relu(x), x])))).toBe(2);
    expect(activations((x) => ops.relu(ops.hardSwish(x)))).toBe(2);
    expect(activations((x) => ops.relu6(ops.relu(x)))).toBe(2);
    expect(activations((x) => ops.relu(ops.sub(ops.relu(x), ops.sigmoid(x))))).toBe(3);
  });
});
