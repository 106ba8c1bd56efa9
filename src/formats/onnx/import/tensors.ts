import type { Value } from '../../../graph/value.js';
import { reshape, reshapeOp } from '../../../ops/reshape.js';
import { transpose } from '../../../ops/transpose.js';
import { type Shape, sameShape, sizeOf } from '../../../tensor/tensor.js';
import { DataType } from '../schema.js';
import { floatsOf, isReal, numbersOf, type TensorProto } from '../tensor.js';

/** What an array holds. Numbers of 16 bits are computed with as float32. */
export type Kind = 'integer' | 'float' | 'double';

/** An array that is known while a graph is imported: stored in the file, or computed from shapes and such arrays. */
export class Known {
  private cached?: Float64Array;

  private constructor(
    /** The name under which it is stored or computed. */
    readonly name: string,
    readonly shape: Shape,
    readonly kind: Kind,
    private source: TensorProto | (() => Float64Array),
    /** How many computations stand behind one another until the elements are there. */
    readonly depth: number,
  ) {}

  static stored(name: string, tensor: TensorProto): Known {
    const kind = tensor.dataType === DataType.DOUBLE ? 'double' : isReal(tensor) ? 'float' : 'integer';
    return new Known(name, tensor.shape, kind, tensor, 0);
  }

  static computed(name: string, shape: Shape, kind: Kind, numbers: () => Float64Array, depth = 0): Known {
    return new Known(name, shape, kind, numbers, depth);
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** The elements, row-major. */
  numbers(): Float64Array {
    if (this.cached) return this.cached;
    const cached = typeof this.source === 'function' ? this.rounded(this.source()) : numbersOf(this.source);
    // What it was made of is not kept.
    if (typeof this.source === 'function') this.source = () => cached;
    this.cached = cached;
    return cached;
  }

  /** A copy of the elements as float32. */
  floats(): Float32Array {
    if (this.cached || typeof this.source === 'function') return Float32Array.from(this.numbers());
    return floatsOf(this.source);
  }

  /** Computes the elements now, if they are to be computed. */
  settle(): void {
    if (typeof this.source === 'function') this.numbers();
  }

  renamed(name: string): Known {
    return new Known(name, this.shape, this.kind, this.cached ? () => this.numbers() : this.source, this.depth);
  }

  /** Every result has the digits of its type: 0.7 times 20 is 14 in float32, and a little less in double. */
  private rounded(numbers: Float64Array): Float64Array {
    return this.kind === 'float' ? numbers.map(Math.fround) : numbers;
  }
}

/**
 * What is computed at run time. Dimension `i` of the ONNX tensor is dimension `axes[i]` of `value`: transpositions are only noted, so
 * that those of a graph in NHWC, which lead to and fro around every convolution, cost nothing.
 */
export class Flow {
  constructor(
    readonly value: Value,
    readonly axes: readonly number[] = value.shape.map((_, i) => i),
  ) {}

  /** The shape of the ONNX tensor. */
  get shape(): Shape {
    return this.axes.map((axis) => this.value.shape[axis]);
  }

  transposed(permutation: readonly number[]): Flow {
    return new Flow(
      this.value,
      permutation.map((i) => this.axes[i]),
    );
  }

  /** The value with its dimensions in the ONNX tensor's order. */
  materialize(): Value {
    return this.withAxes(this.axes.map((_, i) => i)).value;
  }

  /** The same tensor over a value whose dimensions are in the order of `axes`. */
  withAxes(axes: readonly number[]): Flow {
    if (axes.every((axis, i) => axis === this.axes[i])) return this;
    const order = new Array<number>(axes.length);
    for (const [i, axis] of axes.entries()) order[axis] = this.axes[i];
    const { shape } = this.value;
    const apart = order.filter((axis) => shape[axis] !== 1);
    // Where only dimensions of one element change their places, no element moves.
    const still = apart.every((axis, i) => i === 0 || apart[i - 1] < axis);
    const moved = still
      ? reshaped(
          this.value,
          order.map((axis) => shape[axis]),
        )
      : transposed(this.value, order);
    return new Flow(moved, axes);
  }
}

export type Tensor = Known | Flow;

/** A transposition of any rank, in which dimensions that stay neighbours are one where they would be too many. */
function transposed(value: Value, order: readonly number[]): Value {
  if (order.length <= 4) return transpose(value, order);
  const { shape } = value;
  const target = order.map((axis) => shape[axis]);
  // Those of one element may be anywhere.
  const long = order.filter((axis) => shape[axis] !== 1);
  const places = [...long].sort((a, b) => a - b);
  const runs: number[][] = [];
  for (const axis of long.map((each) => places.indexOf(each))) {
    const last = runs.at(-1);
    if (last && last[last.length - 1] === axis - 1) last.push(axis);
    else runs.push([axis]);
  }
  const stored = [...runs].sort((a, b) => a[0] - b[0]);
  const sizes = stored.map((run) => sizeOf(run.map((axis) => shape[places[axis]])));
  const wanted = runs.map((run) => stored.indexOf(run));
  const moved = sizes.length <= 4 ? transpose(reshaped(value, sizes), wanted) : turned(value, sizes, wanted);
  return reshaped(moved, target);
}

/** An order of more than four dimensions: one after the other is brought to its place, in front of those that stand there. */
function turned(value: Value, sizes: readonly number[], order: readonly number[]): Value {
  const now = sizes.map((_, i) => i);
  for (const [place, axis] of order.entries()) {
    const at = now.indexOf(axis);
    if (at === place) continue;
    const sizeFrom = (from: number, to?: number) => sizeOf(now.slice(from, to).map((each) => sizes[each]));
    const blocks = [sizeFrom(0, place), sizeFrom(place, at), sizes[axis], sizeFrom(at + 1)];
    value = transpose(reshaped(value, blocks), [0, 2, 1, 3]);
    now.splice(at, 1);
    now.splice(place, 0, axis);
  }
  return value;
}

/** A reshape of a reshape is one. */
export function reshaped(value: Value, shape: Shape): Value {
  const source = value.op === (reshapeOp as unknown) ? value.inputs[0] : value;
  return sameShape(source.shape, shape) ? source : reshape(source, shape);
}

/** A tensor so that its dimensions `pixels` are rows and columns of the value below, where one order or the other makes them that. */
export function asImage(x: Flow, pixels: readonly number[]): Flow {
  return pixels.every((axis) => x.axes[axis] >= 2) ? x : new Flow(x.materialize());
}
