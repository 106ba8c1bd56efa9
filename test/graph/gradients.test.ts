import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../src/graph/evaluate.js';
import { constant, input } from '../../src/graph/leaves.js';
import { defineOperator, type Operator } from '../../src/graph/operator.js';
import { gradients } from '../../src/graph/passes/gradients.js';
import { apply, type Value, valuesOf } from '../../src/graph/value.js';
import { uniformStream } from '../../src/nn/random.js';
import { batchNormTrain, batchStatistics } from '../../src/ops/batch-norm-train.js';
import * as ops from '../../src/ops/index.js';
import { sumTo } from '../../src/ops/reduce.js';
import { sizeOf } from '../../src/tensor/tensor.js';
import { type Case, differentiable, type Operand } from './differentiable.js';

const cases = differentiable({ batch: 2, pixels: 5, channels: 4, scaleAnywhere: true });

const STEP = 2e-5;
/** Elements of each operand that are moved. */
const PROBES = 12;

/** A random linear functional of a value: a number that depends on each of its elements. */
function functional(y: Value): { loss: Value; weights: Value } {
  const weights = input('functional', y.shape);
  const ones = y.shape.map(() => 1);
  return { loss: sumTo([y, weights], ones), weights };
}

const valuesFor = ({ shape, of = (v: number) => v }: Operand, uniform: () => number): Float64Array =>
  Float64Array.from({ length: sizeOf(shape) }, (_, i) => of(2 * uniform() - 1, i));

/** Moves some elements of every operand and compares what the loss makes of it with the gradient. */
function compareWithDifferences({ operands, build }: Case, seed: number) {
  const uniform = uniformStream(seed);
  const values = Object.fromEntries(Object.entries(operands).map(([name, { shape }]) => [name, input(name, shape)]));
  const { loss, weights } = functional(build(values));
  const inputs = { ...values, functional: weights };
  const at: Record<string, Float64Array> = { functional: valuesFor({ shape: weights.shape }, uniform) };
  for (const [name, operand] of Object.entries(operands)) at[name] = valuesFor(operand, uniform);

  const differentiated = Object.keys(operands).filter((name) => !operands[name].fixed);
  const grads = gradients(
    loss,
    differentiated.map((name) => values[name]),
  );
  const results = evaluate({ inputs, outputs: Object.fromEntries(grads.map((g, i) => [i, g as Value])) }, at);
  const lossAt = (name: string, i: number, step: number) => {
    const moved = Float64Array.from(at[name]);
    moved[i] += step;
    return evaluate({ inputs, outputs: { loss } }, { ...at, [name]: moved }).loss.data[0];
  };
  const slope = (name: string, i: number, step: number) =>
    (lossAt(name, i, step) - lossAt(name, i, -step)) / (2 * step);

  let error = 0;
  let compared = 0;
  let bends = 0;
  for (const [k, name] of differentiated.entries()) {
    const grad = results[k];
    expect(grad.shape).toEqual(operands[name].shape);
    const scale = grad.data.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
    for (let probe = 0; probe < PROBES; probe++) {
      const i = Math.floor(uniform() * grad.data.length);
      const [far, near] = [slope(name, i, STEP), slope(name, i, STEP / 2)];
      // Where the loss has a bend within the step, the differences do not even agree with each other.
      if (Math.abs(far - near) > 1e-7 * scale) bends++;
      else {
        compared++;
        const off = Math.abs(near - grad.data[i]) / scale;
        if (!(off <= error)) error = off;
      }
    }
  }
  return { error, compared, bends };
}

describe("every operator's gradient agrees with finite differences in double precision", () => {
  it.each(Object.entries(cases))('%s', (_, arbitrary) => {
    let compared = 0;
    let bends = 0;
    fc.assert(
      fc.property(arbitrary, fc.nat(), (each, seed) => {
        const result = compareWithDifferences(each, seed);
        expect(result.error).toBeLessThan(1e-6);
        compared += result.compared;
        bends += result.bends;
      }),
      { numRuns: 40 },
    );
    expect(compared).toBeGreaterThan(200);
    expect(bends / compared).toBeLessThan(0.01);
  });

  it('and the cases above are all of the operators that have one', async () => {
    const folder = new URL('../../src/ops/', import.meta.url);
    const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
    const modules = await Promise.all(files.map((file): Promise<object> => import(new URL(file, folder).href)));
    const isOperator = (v: unknown): v is Operator<unknown> =>
      typeof v === 'object' && v !== null && 'name' in v && 'shape' in v;
    const known = new Set(modules.flatMap((module) => Object.values(module).filter(isOperator)));
    const tested = new Set<string>(['batch_statistics']);
    for (const arbitrary of Object.values(cases)) {
      for (const { operands, build } of fc.sample(arbitrary, 5)) {
        const values = Object.entries(operands).map(([name, { shape }]) => [name, input(name, shape)]);
        const y = build(Object.fromEntries(values));
        for (const { op } of valuesOf({ inputs: {}, outputs: { y } })) tested.add(op.name);
      }
    }
    const differentiated = [...known].filter((op) => op.gradient).map(({ name }) => name);
    expect(differentiated.length).toBeGreaterThan(15);
    expect(differentiated.filter((name) => !tested.has(name))).toEqual([]);
  });

  it('batch statistics', () => {
    fc.assert(
      fc.property(fc.constantFrom([3, 2, 2, 3], [5, 3]), fc.nat(), (shape, seed) => {
        const each: Case = { operands: { x: { shape } }, build: ({ x }) => batchStatistics(x) };
        expect(compareWithDifferences(each, seed).error).toBeLessThan(1e-6);
      }),
      { numRuns: 10 },
    );
  });
});

describe('gradients', () => {
  const at = (loss: Value, targets: Value[], values: Record<string, number[]>) => {
    const found = gradients(loss, targets);
    const outputs = Object.fromEntries([...found.entries()].flatMap(([i, g]) => (g ? [[i, g]] : [])));
    const inputs = Object.fromEntries(Object.entries(values).map(([name, v]) => [name, Float64Array.from(v)]));
    const results = evaluate({ inputs: {}, outputs }, inputs);
    return found.map((g, i) => (g ? [...results[i].data] : undefined));
  };
  const x = input('x', [1, 2]);
  const sum = (v: Value) =>
    sumTo(
      [v],
      v.shape.map(() => 1),
    );

  it('add up where a value is used several times', () => {
    const square = ops.mul(x, x);
    // x² + x³ + 2x
    const loss = sum(ops.add(ops.add(square, ops.mul(square, x)), ops.add(x, x)));
    expect(at(loss, [x], { x: [3, -1] })).toEqual([[6 + 27 + 2, -2 + 3 + 2]]);
  });

  it('pass through values in between, which may be targets themselves', () => {
    const y = ops.mul(x, constant([1, 2], [2, 3]));
    const loss = sum(ops.mul(y, y));
    expect(at(loss, [y, x, y, loss], { x: [5, 7] })).toEqual([[20, 42], [40, 126], [20, 42], [1]]);
  });

  it('are undefined for what the loss does not depend on', () => {
    const other = input('other', [1]);
    expect(at(sum(x), [other, x], { x: [1, 2] })).toEqual([undefined, [1, 1]]);
    expect(gradients(sum(constant([1, 2], [1, 2])), [x])).toEqual([undefined]);
  });

  it('name an operator without a rule, if they have to pass it', () => {
    const opaque = defineOperator<null>({ name: 'opaque', shape: ([s]) => s });
    const hidden = apply(opaque, [x], null);
    expect(() => gradients(sum(ops.relu(hidden)), [x])).toThrow('opaque has no gradient: it cannot be trained through');
    // Beside the way to the target, or behind the target, it does not matter.
    const y = ops.mul(hidden, input('w', [1, 2]));
    expect(() => gradients(sum(y), [hidden, y])).not.toThrow();
    expect(() => gradients(sum(ops.mul(ops.relu(x), apply(opaque, [input('w', [1, 2])], null))), [x])).not.toThrow();
  });

  it('of a fused hard-swish are refused: its input is gone', () => {
    const fused = apply(ops.binaryOp, [x, x], { kind: 'add', activation: 'hard_swish' });
    expect(() => gradients(sum(fused), [x])).toThrow('hard_swish: its gradient needs its input');
  });

  it('of a batch norm pass the ReLU only where it is open', () => {
    const norm = (activation: 'none' | 'relu', v: Value) => {
      const ones = constant([1], [1]);
      return batchNormTrain([v, ones, constant([1], [0.25]), batchStatistics(v)], {
        epsilon: 1e-5,
        activation,
      });
    };
    const v = input('v', [6, 1]);
    const weights = constant([6, 1], [1, -2, 3, 0.5, -1, 2]);
    const loss = (y: Value) => sumTo([y, weights], [1, 1]);
    const values = { v: [-2, -1, -0.3, 0.4, 1, 2] };
    const [fused] = at(loss(norm('relu', v)), [v], values);
    const [apart] = at(loss(ops.relu(norm('none', v))), [v], values);
    expect(fused).toEqual(apart);
  });

  it('do not overflow the stack on deep graphs', () => {
    let y: Value = x;
    for (let i = 0; i < 5000; i++) y = ops.add(ops.relu(y), x);
    expect(at(sum(y), [x], { x: [1, -1] })).toEqual([[5001, 1]]);
  });
});
