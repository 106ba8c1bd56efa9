import { broadcastStrides, eachOffset } from '../../../ops/shapes.js';
import { type Shape, sizeOf } from '../../../tensor/tensor.js';

/** The elements of an array with its dimensions in another order: dimension `i` of the result is `order[i]` of the array. */
export function permuted(data: Float64Array, shape: Shape, order: readonly number[]): Float64Array {
  if (order.every((axis, i) => axis === i)) return data;
  const strides = rowMajorStrides(shape);
  const target = order.map((axis) => shape[axis]);
  const out = new Float64Array(data.length);
  eachOffset(target, [order.map((axis) => strides[axis])], (i, [at]) => {
    out[i] = data[at];
  });
  return out;
}

/** Unlike {@link broadcastStrides}, also of dimensions of one element: a slice may start behind their first. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

/** `f` of two arrays by NumPy's broadcasting to `shape`. */
export function broadcasted(
  shape: Shape,
  a: { readonly data: Float64Array; readonly shape: Shape },
  b: { readonly data: Float64Array; readonly shape: Shape },
  f: (a: number, b: number) => number,
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const [strideA, strideB] = [a, b].map((of) => broadcastStrides(of.shape, shape));
  const moves = (axis: number) => `${strideA[axis] > 0} ${strideB[axis] > 0}`;
  // The last dimensions along which both move in the same way are one: most of what is computed are weights by a number for each output.
  let [outer, inner, alike] = [shape.length, 1, ''];
  for (; outer > 0; outer--) {
    if (shape[outer - 1] === 1) continue;
    alike ||= moves(outer - 1);
    if (moves(outer - 1) !== alike) break;
    inner *= shape[outer - 1];
  }
  const [stepA, stepB] = (alike || moves(-1)).split(' ').map((moving) => Number(moving === 'true'));
  eachOffset(shape.slice(0, outer), [strideA.slice(0, outer), strideB.slice(0, outer)], (i, [p, q]) => {
    for (let k = 0; k < inner; k++) out[i * inner + k] = f(a.data[p + k * stepA], b.data[q + k * stepB]);
  });
  return out;
}

/** Where a slice along one dimension begins, how far apart its elements are, and how many they are (NumPy's rules). */
export function sliceRange(size: number, start: number, end: number, step: number): { first: number; count: number } {
  const clamp = (v: number, low: number, high: number) => Math.min(Math.max(v < 0 ? v + size : v, low), high);
  const first = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const last = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  return { first, count: Math.max(Math.ceil((last - first) / step), 0) };
}
