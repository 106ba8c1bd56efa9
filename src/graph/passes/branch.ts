import { conv2dFrom, conv2dOp, conv2dOperands, hasConstantWeight } from '../../ops/conv2d.js';
import { type Shape, sameShape } from '../../tensor/tensor.js';
import { constant, dataOf, nameOf } from '../leaves.js';
import { isOp, type Value } from '../value.js';
import type { Affine } from './affine.js';
import { biasNameOf } from './names.js';

/** The taps of a kernel along one dimension, as offsets to `output index * stride`: `first`, `first + step`, ... */
interface Taps {
  readonly first: number;
  /** 0 for a single tap, which fits into every dilation. */
  readonly step: number;
  readonly count: number;
}

/** A convolution kernel under construction, in double precision: `[O, C/groups, ...window]` and a bias. */
interface Kernel {
  readonly weight: Float64Array;
  readonly bias: Float64Array;
  readonly groups: number;
  readonly window: readonly [Taps, Taps];
}

/** A value that is one convolution with bias of `source`, whichever operators compute it now. */
export interface Branch {
  readonly source: Value;
  /** The result's shape. */
  readonly shape: Shape;
  readonly stride: readonly [number, number];
  readonly groups: number;
  readonly window: readonly [Taps, Taps];
  /** How many summands it stands for. */
  readonly terms: number;
  /** Whether it is `source` itself. */
  readonly identity: boolean;
  /** The state-dict name of its weight. */
  readonly name?: string;
  /** Adds its kernel and bias, times a factor for each output channel, to a kernel that has room for it. */
  addTo(sum: Kernel, factor: Float64Array): void;
}

const CENTRE: Taps = { first: 0, step: 0, count: 1 };

/** A plain convolution with constant weights as a branch, short of its activation; undefined for any other value. */
export function convolutionBranch(value: Value): Branch | undefined {
  if (!isOp(value, conv2dOp) || !hasConstantWeight(value)) return undefined;
  const { stride, padding, dilation, groups, residual, scale } = value.attrs;
  if (residual || scale) return undefined;
  const { x, weight, bias } = conv2dOperands(value);
  const taps = (d: 0 | 1): Taps => {
    const count = weight.shape[2 + d];
    return { first: -padding[d], step: count > 1 ? dilation[d] : 0, count };
  };
  const w = dataOf(weight) as Float32Array;
  const b = bias && dataOf(bias);
  const geometry = { source: x, shape: value.shape, stride, groups, window: [taps(0), taps(1)] as const };
  return {
    ...geometry,
    terms: 1,
    identity: false,
    name: nameOf(weight),
    addTo(sum, factor) {
      addWeights(sum, geometry, w, factor);
      if (b) for (const [o, f] of factor.entries()) sum.bias[o] += b[o] * f;
    },
  };
}

/** A value as a branch on itself: a 1x1 kernel with ones on its diagonal. */
export function identityBranch(source: Value): Branch | undefined {
  const { shape } = source;
  if (shape.length !== 4) return undefined;
  const window = [CENTRE, CENTRE] as const;
  const geometry = { source, shape, stride: [1, 1] as const, groups: shape[1], window };
  const ones = new Float32Array(shape[1]).fill(1);
  return { ...geometry, terms: 1, identity: true, addTo: (sum, factor) => addWeights(sum, geometry, ones, factor) };
}

/** The branch followed by an affine function of its result. */
export function affineBranch(branch: Branch, { scale, shift, name }: Affine): Branch {
  return {
    ...branch,
    identity: false,
    name: branch.name ?? name,
    addTo(sum, factor) {
      const scaled = factor.map((f, o) => f * scale[o]);
      branch.addTo(sum, scaled);
      for (const [o, f] of factor.entries()) sum.bias[o] += f * shift[o];
    },
  };
}

/**
 * The sum of two branches as one, or undefined when they are not on the same value and the same grid, or when the one kernel
 * would have more weights than the two together: a dense 1x1 kernel and a depthwise 3x3 are cheaper apart.
 */
export function sumBranches(a: Branch, b: Branch): Branch | undefined {
  if (a.source !== b.source || !sameShape(a.shape, b.shape) || !sameShape(a.stride, b.stride)) return undefined;
  if (a.identity && b.identity) return undefined;
  const sum: Branch = {
    ...a,
    groups: gcd(a.groups, b.groups),
    window: [joinTaps(a.window[0], b.window[0]), joinTaps(a.window[1], b.window[1])],
    terms: a.terms + b.terms,
    identity: false,
    name: a.name ?? b.name,
    addTo(kernel, factor) {
      a.addTo(kernel, factor);
      b.addTo(kernel, factor);
    },
  };
  return weightCount(sum) <= weightCount(a) + weightCount(b) ? sum : undefined;
}

/** The number of elements of a branch's weight. */
export function weightCount({ source, shape, groups, window: [y, x] }: Branch): number {
  return ((shape[1] * source.shape[1]) / groups) * y.count * x.count;
}

/** The convolution that a branch amounts to, on `x` in place of its source. Rounded to float32 here and nowhere before. */
export function convolutionOf(branch: Branch, x: Value): Value {
  const { shape, stride, groups, window, name } = branch;
  const [taps0, taps1] = window;
  const kernel = {
    weight: new Float64Array(weightCount(branch)),
    bias: new Float64Array(shape[1]),
    groups,
    window,
  };
  branch.addTo(kernel, new Float64Array(shape[1]).fill(1));
  // What the last output reads beyond the image; less than nothing when a stride leaves rows over.
  const after = (d: 0 | 1) => {
    const { first, step, count } = window[d];
    return Math.max(0, (shape[2 + d] - 1) * stride[d] + first + step * (count - 1) - (x.shape[2 + d] - 1));
  };
  const weightShape = [shape[1], x.shape[1] / groups, taps0.count, taps1.count];
  return conv2dFrom(
    {
      x,
      weight: constant(weightShape, Float32Array.from(kernel.weight), name),
      bias: constant([shape[1]], Float32Array.from(kernel.bias), biasNameOf(name)),
    },
    {
      stride,
      padding: [0 - taps0.first, 0 - taps1.first, after(0), after(1)],
      dilation: [taps0.step || 1, taps1.step || 1],
      groups,
      activation: 'none',
    },
  );
}

/** Adds a weight `[O, C/groups, ...window]` to a kernel of as many or fewer groups and the same or a wider window. */
function addWeights(
  sum: Kernel,
  { source, shape, groups, window }: Pick<Branch, 'source' | 'shape' | 'groups' | 'window'>,
  weight: Float32Array,
  factor: Float64Array,
): void {
  const outputs = shape[1];
  const inputs = source.shape[1];
  const [y, x] = window;
  const [sumY, sumX] = sum.window;
  // The first input channel that an output channel reads when there are that many groups.
  const firstInput = (o: number, of: number) => Math.floor((o * of) / outputs) * (inputs / of);
  const place = (taps: Taps, into: Taps, i: number) =>
    into.step ? (taps.first + i * taps.step - into.first) / into.step : 0;
  for (let o = 0, from = 0; o < outputs; o++) {
    const shift = firstInput(o, groups) - firstInput(o, sum.groups);
    for (let c = 0; c < inputs / groups; c++) {
      const channel = (o * (inputs / sum.groups) + shift + c) * sumY.count;
      for (let i = 0; i < y.count; i++) {
        const row = (channel + place(y, sumY, i)) * sumX.count;
        for (let j = 0; j < x.count; j++) sum.weight[row + place(x, sumX, j)] += factor[o] * weight[from++];
      }
    }
  }
}

/** The smallest regular taps that contain both. */
function joinTaps(a: Taps, b: Taps): Taps {
  const step = gcd(gcd(a.step, b.step), Math.abs(a.first - b.first));
  const first = Math.min(a.first, b.first);
  const last = Math.max(a.first + a.step * (a.count - 1), b.first + b.step * (b.count - 1));
  return { first, step, count: step ? (last - first) / step + 1 : 1 };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
