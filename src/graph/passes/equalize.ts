import { conv2dFrom, conv2dOp, conv2dOperands, hasConstantWeight, isDepthwise } from '../../ops/conv2d.js';
import { globalAveragePoolOp } from '../../ops/pool.js';
import { constant, dataOf, nameOf } from '../leaves.js';
import { type Graph, isOp, outputSet, rewrite, usersOf, type Value } from '../value.js';
import { gateOf } from './separate.js';

/** A channel's results are changed by at most this factor: what is almost never active says little about its range. */
const MOST = 32;

/** How a reader takes a factor for each channel of its input. */
interface Reader {
  readonly layer: Value;
  /** Where an image is averaged or gated in between, the values on the way; their channels are scaled with it. */
  readonly via: readonly Value[];
}

/**
 * Cross-layer equalisation (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019): the results of a
 * convolution are divided by a factor for each channel, and the weights of the layers that read them are multiplied with it, so that all channels
 * use the range of their tensor. Exact where nothing but a ReLU stands between. `ranges` are the largest magnitudes of each channel of each value.
 *
 * A depthwise layer has a scale for each of its kernels, so there the ranges become equal; other layers share the imbalance.
 */
export function equalize(graph: Graph, ranges: ReadonlyMap<Value, Float64Array>): Graph {
  const users = usersOf(graph);
  const outputs = outputSet(graph);
  const factors = new Map<Value, Float64Array>();
  const columns = new Map<Value, Float64Array>();
  for (const [value, range] of ranges) {
    const readers = scalable(value) && !outputs.has(value) ? readersOf(value, users, outputs) : undefined;
    if (!readers) continue;
    const factor = factorsFor(range, readers, value);
    factors.set(value, factor);
    for (const { layer } of readers) columns.set(layer, factor);
  }
  return rewrite(graph, (value, original) => {
    const own = factors.get(original);
    const before = columns.get(original);
    if (!isOp(value, conv2dOp) || (!own && !before)) return value;
    const { weight, bias, ...rest } = conv2dOperands(value);
    const { shape } = weight;
    const each = shape[1] * shape[2] * shape[3];
    const taps = shape[2] * shape[3];
    const depthwise = isDepthwise(value);
    const data = (dataOf(weight) as Float32Array).map((w, i) => {
      const o = Math.floor(i / each);
      const channel = depthwise ? o : Math.floor(i / taps) % shape[1];
      return (w * (before ? before[channel] : 1)) / (own ? own[o] : 1);
    });
    const biases = bias && (dataOf(bias) as Float32Array).map((b, o) => b / (own ? own[o] : 1));
    return conv2dFrom(
      {
        ...rest,
        weight: constant(shape, data, nameOf(weight)),
        bias: bias && biases && constant(bias.shape, biases, nameOf(bias)),
      },
      value.attrs,
    );
  });
}

/** A convolution whose results may be divided by a factor for each channel. */
function scalable(value: Value): boolean {
  return (
    isOp(value, conv2dOp) &&
    hasConstantWeight(value) &&
    !value.attrs.residual &&
    !value.attrs.scale &&
    (value.attrs.activation === 'none' || value.attrs.activation === 'relu')
  );
}

/** The layers that read a value, or undefined where one cannot take the factors or something else reads it too. */
function readersOf(
  value: Value,
  users: ReadonlyMap<Value, readonly Value[]>,
  outputs: ReadonlySet<Value>,
  via: readonly Value[] = [],
): Reader[] | undefined {
  if (outputs.has(value)) return undefined;
  const found: Reader[] = [];
  for (const user of users.get(value) ?? []) {
    const gate = gateOf(user);
    const passes =
      isOp(user, globalAveragePoolOp) || (gate !== undefined && user.inputs[1 - gate] === value && via.length === 0);
    if (passes) {
      const behind = readersOf(user, users, outputs, [...via, user]);
      if (!behind) return undefined;
      found.push(...behind);
    } else if (isOp(user, conv2dOp) && takesFactors(user, value)) {
      found.push({ layer: user, via });
    } else return undefined;
  }
  return found.length > 0 ? found : undefined;
}

function takesFactors(user: Value, value: Value): boolean {
  if (!isOp(user, conv2dOp) || !hasConstantWeight(user)) return false;
  const { x, residual, scale } = conv2dOperands(user);
  return x === value && residual !== value && !scale && (user.attrs.groups === 1 || isDepthwise(user));
}

/** The largest weights that each input channel of a layer is multiplied with. */
function columnRange(layer: Value): Float64Array {
  const [x, weight] = layer.inputs;
  const [outputs, channels, kh, kw] = weight.shape;
  const data = dataOf(weight) as Float32Array;
  const range = new Float64Array(x.shape[1]);
  for (let i = 0; i < data.length; i++) {
    const c =
      channels === 1 && outputs === x.shape[1] ? Math.floor(i / (kh * kw)) : Math.floor(i / (kh * kw)) % channels;
    range[c] = Math.max(range[c], Math.abs(data[i]));
  }
  return range;
}

function factorsFor(range: Float64Array, readers: readonly Reader[], value: Value): Float64Array {
  const depthwise = readers.every(
    ({ layer }) => layer.inputs[1].shape[1] === 1 && layer.inputs[1].shape[0] === value.shape[1],
  );
  const dense = readers.filter(({ layer }) => !(layer.inputs[1].shape[1] === 1));
  const columns = dense.map(({ layer }) => columnRange(layer));
  const raw = range.map((r, c) => {
    const column = columns.reduce((most, values) => Math.max(most, values[c]), 0);
    if (!(r > 0)) return 0;
    return depthwise || column === 0 ? r : Math.sqrt(r / column);
  });
  const known = raw.filter((f) => f > 0).sort();
  // Measured from the largest, so that no channel grows: the tensor's range stays what it was.
  const reference = known.at(-1) ?? 1;
  return raw.map((f) => (f > 0 ? Math.max(f / reference, 1 / MOST) : 1));
}
