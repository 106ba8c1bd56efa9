import type { Graph, Value } from '../graph/value.js';
import { compileGraph } from '../nn/compile.js';
import { GhostkitError } from '../tensor/error.js';
import type { FloatTensor } from '../tensor/tensor.js';

/** A graph with every value among its outputs: `v0`, `v1`, ... */
export function observed({ inputs }: Graph, values: readonly Value[]): Graph {
  return { inputs, outputs: Object.fromEntries(values.map((value, i) => [`v${i}`, value])) };
}

/** Runs a graph's values over batches: `visit` sees each value's results, row-major. */
export async function observe(
  graph: Graph,
  values: readonly Value[],
  batches: readonly FloatTensor[],
  threads: number,
  visit: (value: Value, data: Float32Array) => void,
): Promise<void> {
  const [name] = Object.keys(graph.inputs);
  const net = await compileGraph(observed(graph, values), { deploy: false, threads });
  try {
    for (const batch of batches) {
      const results = net.run({ [name]: batch.data });
      for (const [i, value] of values.entries()) visit(value, results[`v${i}`].data);
    }
  } finally {
    net.close();
  }
}

/** What calibration knows of each channel of a value. */
export interface ChannelStatistics {
  readonly mean: Float64Array;
  /** The largest magnitude. */
  readonly most: Float64Array;
}

/** The mean and largest magnitude of each channel of each value. */
export async function channelStatistics(
  graph: Graph,
  values: readonly Value[],
  batches: readonly FloatTensor[],
  threads: number,
): Promise<Map<Value, ChannelStatistics>> {
  const found = new Map(
    values
      .map(({ shape }) => [0, 1].map(() => new Float64Array(shape[1])))
      .map(([mean, most], i) => [values[i], { mean, most }]),
  );
  await observe(graph, values, batches, threads, (value, data) => {
    const { mean, most } = found.get(value) as ChannelStatistics;
    const [n, c] = value.shape;
    const pixels = data.length / (n * c);
    for (let i = 0; i < n * c; i++) {
      const channel = i % c;
      let sum = 0;
      let peak = most[channel];
      for (let p = i * pixels; p < (i + 1) * pixels; p++) {
        sum += data[p];
        peak = Math.max(peak, Math.abs(data[p]));
      }
      if (!Number.isFinite(sum)) {
        throw new GhostkitError('calibration: a picture or a weight is not a number, or too large for one of 32 bits');
      }
      mean[channel] += sum / (pixels * n * batches.length);
      most[channel] = peak;
    }
  });
  return found;
}

const BINS = 2048;

/** How often a value's elements lie where. */
export interface Histogram {
  readonly min: number;
  readonly max: number;
  readonly counts: Float64Array;
}

/** The distributions of values, in two runs over the batches: the extremes, then the counts between them. */
export async function histograms(
  graph: Graph,
  values: readonly Value[],
  batches: readonly FloatTensor[],
  threads: number,
): Promise<Map<Value, Histogram>> {
  const extremes = new Map(values.map((v) => [v, { min: 0, max: 0 }]));
  await observe(graph, values, batches, threads, (value, data) => {
    const e = extremes.get(value) as { min: number; max: number };
    for (const v of data) {
      if (v < e.min) e.min = v;
      if (v > e.max) e.max = v;
    }
  });
  const found = new Map(values.map((v) => [v, { ...extremes.get(v), counts: new Float64Array(BINS) } as Histogram]));
  await observe(graph, values, batches, threads, (value, data) => {
    const { min, max, counts } = found.get(value) as Histogram;
    if (!(max > min)) return;
    const factor = BINS / (max - min);
    for (const v of data) counts[Math.min(BINS - 1, Math.floor((v - min) * factor))]++;
  });
  return found;
}
