import { broadcastShapes } from '../../../ops/shapes.js';
import { formatShape, type Shape, sizeOf } from '../../../tensor/tensor.js';
import { DataType } from '../schema.js';
import { isRealType, numbersOf, type TensorProto } from '../tensor.js';
import { broadcasted, permuted, rowMajorStrides, sliceRange } from './arrays.js';
import type { Node } from './node.js';
import { reducedAxes } from './reduce.js';
import { flattened, reshapeTarget, squeezed, unsqueezed } from './shape-rules.js';
import { type Kind, Known, type Tensor } from './tensors.js';

// What is computed while importing: exporters write shapes as small programs, and leave some of the arithmetic on weights to the reader.

type Fold = (node: Node) => Known;

/** So many results wait for each other before they are computed. Those of weights that are there from an earlier import never are. */
const DEEPEST = 100;

/** A result of `shape`; `numbers` is called when the first one needs them. */
function computed(node: Node, shape: Shape, kind: Kind, numbers: () => Float64Array): Known {
  if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0)) node.fail(`its result would be ${formatShape(shape)}`);
  node.spend(sizeOf(shape) + 1);
  const inputs = node.inputs.filter((input) => input instanceof Known);
  const depth = 1 + inputs.reduce((most, input) => Math.max(most, input.depth), 0);
  if (depth <= DEEPEST) return Known.computed(node.result, shape, kind, numbers, depth);
  // A longer chain would need a deep stack.
  for (const input of inputs) input.settle();
  return Known.computed(node.result, shape, kind, numbers, 1);
}

const operands = (node: Node, count: number) => Array.from({ length: count }, (_, i) => node.known(i, `input ${i}`));

const elementwise =
  (f: (v: number) => number, kind?: Kind): Fold =>
  (node) => {
    const [x] = operands(node, 1);
    return computed(node, x.shape, kind ?? x.kind, () => x.numbers().map(f));
  };

/** Integers divide as they do in C. */
const divide = (kind: Kind) => (a: number, b: number) => (kind === 'integer' ? Math.trunc(a / b) || 0 : a / b);

type Arithmetic = (kind: Kind) => (a: number, b: number) => number;

function combined(node: Node, f: Arithmetic, a: Known, b: Known, kind = a.kind): Known {
  const shape = broadcastShapes(node.opType, a.shape, b.shape);
  const of = (known: Known) => ({ data: known.numbers(), shape: known.shape });
  return computed(node, shape, kind, () => broadcasted(shape, of(a), of(b), f(a.kind)));
}

const arithmetic =
  (f: Arithmetic, kind?: Kind): Fold =>
  (node) => {
    const [a, b] = operands(node, 2);
    return combined(node, f, a, b, kind);
  };

/** Of any number of inputs, one by one. */
const reduction =
  (f: Arithmetic): Fold =>
  (node) => {
    const [first, ...others] = operands(node, node.inputs.length);
    return others.reduce((a, b) => {
      // One by one, like the inputs.
      a.settle();
      return combined(node, f, a, b);
    }, first.renamed(node.result));
  };

const plain = (f: (a: number, b: number) => number) => () => f;
const truth = (f: (a: number, b: number) => boolean) =>
  arithmetic(
    plain((a, b) => Number(f(a, b))),
    'integer',
  );

/** The same elements under another shape. */
const reshaping =
  (rule: (node: Node, shape: Shape) => Shape): Fold =>
  (node) => {
    const x = node.known(0, 'input');
    return computed(node, rule(node, x.shape), x.kind, () => x.numbers());
  };

const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0);

/** Of all elements along some dimensions one is made. */
function reducing(f: (values: Float64Array) => number): Fold {
  return (node) => {
    const x = node.known(0, 'input');
    const axes = reducedAxes(node, x.shape.length);
    if (!axes) return x.renamed(node.result);
    const kept = x.shape.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
    const keep = node.number('keepdims', 1) !== 0;
    const shape = keep ? x.shape.map((d, i) => (axes.includes(i) ? 1 : d)) : kept.map((i) => x.shape[i]);
    const results = sizeOf(shape);
    node.spend(x.size);
    return computed(node, shape, x.kind, () => {
      // What becomes one stands together.
      const ordered = permuted(
        x.numbers(),
        x.shape,
        [...kept, ...x.shape.keys()].filter((axis, i, all) => all.indexOf(axis) === i),
      );
      const each = ordered.length / results;
      return Float64Array.from({ length: results }, (_, i) => f(ordered.subarray(i * each, (i + 1) * each)));
    });
  };
}

const FOLDS: Readonly<Record<string, Fold>> = {
  Identity: (node) => node.known(0, 'input').renamed(node.result),
  Cast: (node) => {
    const to = node.number('to', 0);
    if (to === DataType.BOOL) return elementwise((v) => Number(v !== 0), 'integer')(node);
    if (!isRealType(to)) return elementwise(Math.trunc, 'integer')(node);
    return elementwise((v) => v, to === DataType.DOUBLE ? 'double' : 'float')(node);
  },
  Add: arithmetic(plain((a, b) => a + b)),
  Sub: arithmetic(plain((a, b) => a - b)),
  Mul: arithmetic(plain((a, b) => a * b)),
  Div: arithmetic(divide),
  Pow: arithmetic(plain((a, b) => a ** b)),
  Min: reduction(plain(Math.min)),
  Max: reduction(plain(Math.max)),
  Equal: truth((a, b) => a === b),
  Greater: truth((a, b) => a > b),
  Less: truth((a, b) => a < b),
  GreaterOrEqual: truth((a, b) => a >= b),
  LessOrEqual: truth((a, b) => a <= b),
  Mod: arithmetic(plain((a, b) => a - b * Math.floor(a / b))),
  Sum: reduction(plain((a, b) => a + b)),
  And: truth((a, b) => a !== 0 && b !== 0),
  Or: truth((a, b) => a !== 0 || b !== 0),
  Not: elementwise((v) => Number(v === 0), 'integer'),
  Neg: elementwise((v) => -v),
  Abs: elementwise(Math.abs),
  Sqrt: elementwise(Math.sqrt),
  Exp: elementwise(Math.exp),
  Log: elementwise(Math.log),
  Relu: elementwise((v) => Math.max(v, 0)),
  Clip: clip,
  Reciprocal: elementwise((v) => 1 / v),
  Floor: elementwise(Math.floor),
  Ceil: elementwise(Math.ceil),
  Reshape: reshaping(reshapeTarget),
  Squeeze: reshaping(squeezed),
  Unsqueeze: reshaping(unsqueezed),
  Flatten: reshaping(flattened),
  Transpose: (node) => {
    const x = node.known(0, 'input');
    const order = permutationOf(node, x.shape.length);
    const shape = order.map((axis) => x.shape[axis]);
    return computed(node, shape, x.kind, () => permuted(x.numbers(), x.shape, order));
  },
  Gather: gather,
  Slice: slice,
  Concat: concat,
  Expand: expand,
  Where: where,
  Range: range,
  ReduceProd: reducing((values) => values.reduce((a, b) => a * b, 1)),
  ReduceSum: reducing(sum),
  ReduceMean: reducing((values) => sum(values) / values.length),
  ReduceMax: reducing((values) => values.reduce((a, b) => Math.max(a, b))),
  ReduceMin: reducing((values) => values.reduce((a, b) => Math.min(a, b))),
  ReduceL2: reducing((values) => Math.sqrt(sum(values.map((v) => v * v)))),
  ReduceSumSquare: reducing((values) => sum(values.map((v) => v * v))),
  DequantizeLinear: dequantize,
  BatchNormalization: standardize,
};

/** The order of a Transpose; without one the dimensions are reversed. */
export function permutationOf(node: Node, rank: number): number[] {
  const order = node.list('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const complete = order.length === rank && order.every((_, i) => order.includes(i));
  return complete ? order : node.fail(`perm ${formatShape(order.slice(0, 8))} is no order of ${rank} dimensions`);
}

/** The result of a node that needs no run time, or undefined. */
export function foldNode(node: Node): Tensor | undefined {
  if (node.opType === 'Constant') return constantOf(node);
  if (node.opType === 'Shape' || node.opType === 'Size') return shapeOf(node);
  if (node.opType === 'ConstantOfShape') return filled(node);
  const fold = Object.hasOwn(FOLDS, node.opType) ? FOLDS[node.opType] : undefined;
  const allKnown =
    node.inputs.length > 0 && node.inputs.every((input) => input === undefined || input instanceof Known);
  return allKnown && fold ? fold(node) : undefined;
}

function constantOf(node: Node): Known {
  const { attributes } = node.proto;
  const value = attributes.get('value');
  if (value !== undefined && typeof value === 'object' && !Array.isArray(value)) {
    return Known.stored(node.result, value as TensorProto);
  }
  for (const [key, kind] of [
    ['value_float', 'float'],
    ['value_floats', 'float'],
    ['value_int', 'integer'],
    ['value_ints', 'integer'],
  ] as const) {
    const number = attributes.get(key);
    if (typeof number === 'number') return Known.computed(node.result, [], kind, () => Float64Array.of(number));
    if (Array.isArray(number)) {
      return Known.computed(node.result, [number.length], kind, () => Float64Array.from(number as number[]));
    }
  }
  return node.fail('only numbers are supported');
}

function shapeOf(node: Node): Known {
  const { shape } = node.input(0);
  if (node.opType === 'Size') return computed(node, [], 'integer', () => Float64Array.of(sizeOf(shape)));
  const { first, count } = sliceRange(shape.length, node.number('start', 0), node.number('end', shape.length), 1);
  return computed(node, [count], 'integer', () => Float64Array.from(shape.slice(first, first + count)));
}

function clip(node: Node): Known {
  const low = node.number('min') ?? node.scalar(1, 'min') ?? Number.NEGATIVE_INFINITY;
  const high = node.number('max') ?? node.scalar(2, 'max') ?? Number.POSITIVE_INFINITY;
  const x = node.known(0, 'input');
  return computed(node, x.shape, x.kind, () => x.numbers().map((v) => Math.min(Math.max(v, low), high)));
}

/** Weights that are brought to mean 0 and variance 1 by whoever reads the file (Qiao et al., arXiv:1903.10520), or by given statistics. */
function standardize(node: Node): Known {
  const [x, scale, bias, mean, variance] = operands(node, 5);
  const [images, channels] = x.shape;
  if (x.shape.length < 2 || [scale, bias, mean, variance].some(({ size }) => size !== channels)) {
    return node.fail(`its statistics are not of the ${channels} channels of ${formatShape(x.shape)}`);
  }
  const own = node.number('training_mode', 0) !== 0;
  const epsilon = node.number('epsilon', 1e-5);
  const pixels = sizeOf(x.shape.slice(2));
  return computed(node, x.shape, x.kind, () => {
    const data = x.numbers().slice();
    const [by, shift, given, spread] = [scale, bias, mean, variance].map((known) => known.numbers());
    for (let c = 0; c < channels; c++) {
      const rows = Array.from({ length: images }, (_, n) =>
        data.subarray((n * channels + c) * pixels).subarray(0, pixels),
      );
      const average = (f: (v: number) => number) => rows.reduce((a, row) => a + sum(row.map(f)), 0) / (images * pixels);
      const centre = own ? average((v) => v) : given[c];
      const factor = by[c] / Math.sqrt((own ? average((v) => (v - centre) ** 2) : spread[c]) + epsilon);
      for (const row of rows) for (let i = 0; i < pixels; i++) row[i] = (row[i] - centre) * factor + shift[c];
    }
    return data;
  });
}

function filled(node: Node): Known {
  const shape = node.integers(0, 'shape') ?? node.fail('its shape is missing');
  const value = node.attribute('value');
  const tensor = typeof value === 'object' && !Array.isArray(value) ? (value as TensorProto) : undefined;
  const number = tensor ? numbersOf(tensor)[0] : 0;
  return computed(node, shape, tensor ? Known.stored('', tensor).kind : 'float', () =>
    new Float64Array(sizeOf(shape)).fill(number),
  );
}

function gather(node: Node): Known {
  const [x, indices] = operands(node, 2);
  const axis = node.axis(node.number('axis', 0), x.shape.length);
  const size = x.shape[axis];
  const places = [...indices.numbers()].map((i) => node.axis(i, size));
  const [outer, inner] = [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis + 1))];
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  return computed(node, shape, x.kind, () => {
    const data = x.numbers();
    const out = new Float64Array(outer * places.length * inner);
    for (let o = 0; o < outer; o++) {
      for (const [k, place] of places.entries()) {
        const from = (o * size + place) * inner;
        out.set(data.subarray(from, from + inner), (o * places.length + k) * inner);
      }
    }
    return out;
  });
}

/** What a Slice takes along each dimension of `shape`. */
export function sliceRanges(node: Node, shape: Shape): { first: number; count: number; step: number }[] {
  const starts = node.listOrInput('starts', 1) ?? node.fail('its starts are missing');
  const ends = node.listOrInput('ends', 2) ?? node.fail('its ends are missing');
  const axes = node.listOrInput('axes', 3) ?? starts.map((_, i) => i);
  const steps = node.integers(4, 'steps') ?? starts.map(() => 1);
  if ([ends, axes, steps].some((list) => list.length !== starts.length)) node.fail('its lists differ in their lengths');
  const ranges = shape.map((size) => ({ first: 0, count: size, step: 1 }));
  for (const [i, listed] of axes.entries()) {
    const axis = node.axis(listed, shape.length);
    if (steps[i] === 0) node.fail('a step is 0');
    ranges[axis] = { ...sliceRange(shape[axis], starts[i], ends[i], steps[i]), step: steps[i] };
  }
  return ranges;
}

function slice(node: Node): Known {
  const x = node.known(0, 'input');
  const ranges = sliceRanges(node, x.shape);
  const shape = ranges.map(({ count }) => count);
  return computed(node, shape, x.kind, () => {
    const data = x.numbers();
    const strides = rowMajorStrides(x.shape);
    const out = new Float64Array(sizeOf(shape));
    const steps = rowMajorStrides(shape);
    for (let i = 0; i < out.length; i++) {
      let at = 0;
      for (const [d, { first, step }] of ranges.entries()) {
        at += (first + (Math.floor(i / steps[d]) % shape[d]) * step) * strides[d];
      }
      out[i] = data[at];
    }
    return out;
  });
}

function concat(node: Node): Known {
  const parts = operands(node, node.inputs.length);
  const rank = parts[0].shape.length;
  const axis = node.axis(node.number('axis') ?? node.fail('its axis is missing'), rank);
  const same = parts.every(
    ({ shape }) => shape.length === rank && shape.every((d, i) => i === axis || d === parts[0].shape[i]),
  );
  if (!same) node.fail(`shapes ${parts.map(({ shape }) => formatShape(shape)).join(' ')} do not fit`);
  const shape = parts[0].shape.map((d, i) => (i === axis ? parts.reduce((n, part) => n + part.shape[axis], 0) : d));
  return computed(node, shape, parts[0].kind, () => {
    const outer = sizeOf(shape.slice(0, axis));
    const out = new Float64Array(sizeOf(shape));
    let to = 0;
    for (let o = 0; o < outer; o++) {
      for (const part of parts) {
        const length = part.size / outer;
        out.set(part.numbers().subarray(o * length, (o + 1) * length), to);
        to += length;
      }
    }
    return out;
  });
}

function expand(node: Node): Known {
  const x = node.known(0, 'input');
  const shape = broadcastShapes('Expand', x.shape, node.integers(1, 'shape') ?? []);
  const nothing = { data: Float64Array.of(0), shape: [] };
  return computed(node, shape, x.kind, () =>
    broadcasted(shape, { data: x.numbers(), shape: x.shape }, nothing, (v) => v),
  );
}

function where(node: Node): Known {
  const [condition, a, b] = operands(node, 3);
  const both = broadcastShapes('Where', a.shape, b.shape);
  const shape = broadcastShapes('Where', condition.shape, both);
  node.spend(2 * sizeOf(shape));
  const of = (known: Known) => ({ data: known.numbers(), shape: known.shape });
  return computed(node, shape, a.kind, () => {
    const nothing = { data: Float64Array.of(0), shape: [] };
    const [chosen, yes, no] = [condition, a, b].map((known) => broadcasted(shape, of(known), nothing, (v) => v));
    return chosen.map((v, i) => (v !== 0 ? yes[i] : no[i]));
  });
}

function range(node: Node): Known {
  const [start, limit, delta] = [0, 1, 2].map((i) => node.scalar(i, 'limits') as number);
  const count = Math.max(Math.ceil((limit - start) / delta), 0);
  const { kind } = node.known(0, 'start');
  return computed(node, [count], kind, () => Float64Array.from({ length: count }, (_, i) => start + i * delta));
}

/** Weights that are stored as integers: `(x - zero) * scale`, by number or along one dimension. */
function dequantize(node: Node): Known {
  const x = node.known(0, 'input');
  const scale = node.known(1, 'scale');
  const zero = node.optional(2, 'zero point');
  if (node.number('block_size', 0) !== 0) node.fail('scales by blocks are not supported');
  const perAxis = scale.size > 1;
  const axis = perAxis ? node.axis(node.number('axis', 1), x.shape.length) : 0;
  if (perAxis && scale.size !== x.shape[axis]) node.fail(`${scale.size} scales for ${formatShape(x.shape)}`);
  if (zero && zero.size !== scale.size) node.fail('it has not as many zero points as scales');
  const inner = sizeOf(x.shape.slice(axis + 1));
  return computed(node, x.shape, 'float', () => {
    const [scales, zeros] = [scale.numbers(), zero?.numbers()];
    return x.numbers().map((v, i) => {
      const k = perAxis ? Math.floor(i / inner) % scales.length : 0;
      return (v - (zeros?.[k] ?? 0)) * scales[k];
    });
  });
}
