import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { evaluate } from '../../src/graph/evaluate.js';
import { constant, dataOf, input } from '../../src/graph/leaves.js';
import { type Graph, isOp, type Value, valuesOf } from '../../src/graph/value.js';
import { uniformStream } from '../../src/nn/random.js';
import * as ops from '../../src/ops/index.js';
import { type Shape, sizeOf } from '../../src/tensor/tensor.js';

export interface ConvOptions extends ops.Conv2dOptions {
  bias?: boolean;
  name?: string;
}

/**
 * Layers with weights that are short binary fractions, batch norms with powers of two for a deviation: what a pass computes of
 * them in double precision has no error at all, nor has its rounding to float32, so passes can be held to 1e-12.
 */
export class Layers {
  private readonly uniform: () => number;

  constructor(seed = 1) {
    this.uniform = uniformStream(seed);
  }

  /** Multiples of 1/8 from -1 to 1. */
  array(shape: Shape, name?: string): Value {
    const data = Float32Array.from({ length: sizeOf(shape) }, () => Math.round(this.uniform() * 16 - 8) / 8);
    return constant(shape, data, name);
  }

  conv(x: Value, out: number, kernel: number | [number, number], options: ConvOptions = {}): Value {
    const { bias = false, name, groups = 1 } = options;
    const [kh, kw] = typeof kernel === 'number' ? [kernel, kernel] : kernel;
    const weight = this.array([out, x.shape[1] / groups, kh, kw], name && `${name}.weight`);
    return ops.conv2d(x, weight, bias ? this.array([out], name && `${name}.bias`) : undefined, options);
  }

  depthwise(x: Value, kernel: number, options: ConvOptions = {}): Value {
    return this.conv(x, x.shape[1], kernel, { padding: (kernel - 1) / 2, groups: x.shape[1], ...options });
  }

  bn(x: Value, name?: string): Value {
    const shape = [x.shape[1]];
    const named = (part: string) => name && `${name}.${part}`;
    const deviations = Float32Array.from({ length: x.shape[1] }, () => 4 ** Math.floor(this.uniform() * 3 - 1));
    const p = {
      weight: this.array(shape, named('weight')),
      bias: this.array(shape, named('bias')),
      runningMean: this.array(shape, named('running_mean')),
      runningVar: constant(shape, deviations, named('running_var')),
    };
    return ops.batchNorm(x, p, { epsilon: 0 });
  }

  convBn(x: Value, out: number, kernel: number | [number, number], options: ConvOptions = {}): Value {
    return this.bn(this.conv(x, out, kernel, options));
  }

  depthwiseBn(x: Value, kernel: number, options: ConvOptions = {}): Value {
    return this.bn(this.depthwise(x, kernel, options));
  }
}

/** A graph of one input `x`. */
export function graphOf(shape: Shape, build: (x: Value) => Value | Record<string, Value>): Graph {
  const x = input('x', shape);
  const built = build(x);
  return { inputs: { x }, outputs: 'op' in built ? { y: built as Value } : built };
}

/** Numbers in (-1, 1) for every input of a graph. */
export function noiseFor(graph: Graph, seed = 7): Record<string, Float64Array> {
  const uniform = uniformStream(seed);
  return Object.fromEntries(
    Object.entries(graph.inputs).map(([name, { shape }]) => [
      name,
      Float64Array.from({ length: sizeOf(shape) }, () => 2 * uniform() - 1),
    ]),
  );
}

/** Checks that two graphs compute the same, relative to the largest magnitude of each output. */
export function expectSameFunction(actual: Graph, wanted: Graph, tolerance = 1e-12): void {
  const inputs = noiseFor(wanted);
  const a = evaluate(actual, inputs);
  const b = evaluate(wanted, inputs);
  expect(Object.keys(a)).toEqual(Object.keys(b));
  for (const [name, { shape, data }] of Object.entries(b)) {
    expect(a[name].shape).toEqual(shape);
    const most = data.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-30);
    // NaN must not pass: `Math.max` keeps it.
    const error = data.reduce((m, v, i) => Math.max(m, Math.abs(v - a[name].data[i])), 0);
    expect(error / most).toBeLessThan(tolerance);
  }
}

/** The convolutions of a graph, in the order in which they are computed. */
export function convolutions(graph: Graph): Value<ops.Conv2dAttrs>[] {
  return valuesOf(graph).filter((v) => isOp(v, ops.conv2dOp)) as Value<ops.Conv2dAttrs>[];
}

/** Applies a pass and checks what every pass owes: the same function, and an argument that is what it was. */
export function applied(pass: (graph: Graph) => Graph, graph: Graph, tolerance?: number): Graph {
  const before = dump(graph);
  const result = pass(graph);
  expect(dump(graph)).toEqual(before);
  expectSameFunction(result, graph, tolerance);
  return result;
}

/** Everything in a graph, its arrays as digests. */
function dump(graph: Graph): string[] {
  return valuesOf(graph).map((value) => {
    const data = dataOf(value);
    const content = data ? createHash('sha1').update(data).digest('hex') : JSON.stringify(value.attrs);
    return `${value.op.name} [${value.shape}] ${content}`;
  });
}
