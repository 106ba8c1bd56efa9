import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape } from '../tensor/tensor.js';

/** Throws unless `shape` has `rank` dimensions. */
export function needRank(op: string, what: string, shape: Shape, rank: number): void {
  if (shape.length !== rank) {
    throw new GhostkitError(`${op}: ${what} must have ${rank} dimensions, got ${formatShape(shape)}`);
  }
}

/** The length of a window operator's output along one dimension (PyTorch's Conv2d, floor mode). */
export function windowOutput(
  op: string,
  size: number,
  kernel: number,
  stride: number,
  padding: number,
  dilation = 1,
): number {
  const out = Math.floor((size + padding - dilation * (kernel - 1) - 1) / stride) + 1;
  if (!(out >= 1)) {
    throw new GhostkitError(
      `${op}: a window of ${kernel} (dilation ${dilation}) does not fit into ${size} + padding ${padding}`,
    );
  }
  return out;
}

/** Rows and channels of a value as it is stored: pixels of `[N,C,H,W]`, else everything but the last dimension. */
export function rowsAndChannels(shape: Shape): { rows: number; channels: number } {
  if (shape.length === 4) return { rows: shape[0] * shape[2] * shape[3], channels: shape[1] };
  const channels = shape.length === 0 ? 1 : shape[shape.length - 1];
  let rows = 1;
  for (let i = 0; i < shape.length - 1; i++) rows *= shape[i];
  return { rows, channels };
}

/** Where the channels of every row of `[N,C]`, or of every pixel of `[N,C,H,W]`, begin in row-major order, and how far apart they are. */
export function planesOf([n, c, h = 1, w = 1]: Shape): { start: number; step: number }[] {
  const step = h * w;
  return Array.from({ length: n * step }, (_, i) => ({ start: Math.floor(i / step) * c * step + (i % step), step }));
}

/** NumPy's broadcasting of two shapes. */
export function broadcastShapes(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new GhostkitError(`${op}: ${formatShape(a)} and ${formatShape(b)} do not broadcast`);
    out.push(Math.max(x, y));
  }
  return out;
}

/** Row-major strides with 0 where `shape` is broadcast to `target`. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const strides = new Array<number>(target.length).fill(0);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1) strides[i + target.length - shape.length] = step;
    step *= shape[i];
  }
  return strides;
}

/** Calls `visit` with the row-major index of every element of `shape` and its offset under each of the strides. */
export function eachOffset(
  shape: Shape,
  strides: readonly (readonly number[])[],
  visit: (i: number, offsets: number[]) => void,
): void {
  const rank = shape.length;
  const at = new Array<number>(rank).fill(0);
  const offsets = strides.map(() => 0);
  let total = 1;
  for (const d of shape) total *= d;
  for (let i = 0; i < total; i++) {
    visit(i, offsets);
    for (let d = rank - 1; d >= 0; d--) {
      at[d]++;
      for (let s = 0; s < strides.length; s++) offsets[s] += strides[s][d];
      if (at[d] < shape[d]) break;
      for (let s = 0; s < strides.length; s++) offsets[s] -= strides[s][d] * shape[d];
      at[d] = 0;
    }
  }
}
