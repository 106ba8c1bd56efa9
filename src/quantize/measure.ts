import { layerName, type QuantizationPlan, quantizableLayer } from '../graph/passes/quantization-plan.js';
import type { QuantizedGraph } from '../graph/passes/quantize.js';
import { type Graph, isOp, type Value, valuesOf } from '../graph/value.js';
import { compileGraph } from '../nn/compile.js';
import { conv2dOp, isDepthwise } from '../ops/conv2d.js';
import { linearOp } from '../ops/linear.js';
import { dequantize } from '../ops/quantize.js';
import type { FloatTensor } from '../tensor/tensor.js';
import { observe } from './calibrate.js';
import type { LayerError } from './types.js';

/** The float network's results on some pictures, for other graphs to be compared with. */
export class Comparison {
  private constructor(
    private readonly batches: readonly FloatTensor[],
    private readonly wanted: readonly Float32Array[],
  ) {}

  /** Compares with the results of `graph`, which has one input. */
  static async create(graph: Graph, batches: readonly FloatTensor[]): Promise<Comparison> {
    return new Comparison(batches, await resultsOf(graph, batches));
  }

  /** The squared error of another graph's results relative to the squares of what they should be. */
  async error(graph: Graph): Promise<number> {
    const results = await resultsOf(graph, this.batches);
    let error = 0;
    let signal = 0;
    for (const [i, wanted] of this.wanted.entries()) {
      for (let j = 0; j < wanted.length; j++) {
        error += (results[i][j] - wanted[j]) ** 2;
        signal += wanted[j] ** 2;
      }
    }
    return error / Math.max(signal, Number.MIN_VALUE);
  }
}

/** Every output's results, batch by batch. On one thread: to start others for a few pictures takes longer than they save. */
async function resultsOf(graph: Graph, batches: readonly FloatTensor[]): Promise<Float32Array[]> {
  const [name] = Object.keys(graph.inputs);
  const net = await compileGraph(graph, { deploy: false });
  try {
    return batches.flatMap(({ data }) => Object.values(net.run({ [name]: data })).map((output) => output.data));
  } finally {
    net.close();
  }
}

/** How far every layer's results are from those of the float graph, in the order in which they are computed. */
export async function layerErrors(
  graph: Graph,
  { values }: QuantizedGraph,
  { floatLayers }: QuantizationPlan,
  batches: readonly FloatTensor[],
  threads: number,
): Promise<LayerError[]> {
  const layers = valuesOf(graph).filter(quantizableLayer);
  const signal = new Map<Value, number>();
  const noise = new Map<Value, number>();
  // One picture's results of all layers are in memory at a time, twice.
  for (const batch of batches) {
    const wanted = new Map<Value, Float32Array>();
    await observe(graph, layers, [batch], threads, (layer, data) => wanted.set(layer, data));
    const counterparts = new Map(layers.map((layer) => [floats(values.get(layer) as Value), layer]));
    const inputs = graph.inputs;
    await observe({ inputs, outputs: {} }, [...counterparts.keys()], [batch], threads, (value, data) => {
      const layer = counterparts.get(value) as Value;
      const exact = wanted.get(layer) as Float32Array;
      let error = 0;
      let square = 0;
      for (let i = 0; i < data.length; i++) {
        error += (data[i] - exact[i]) ** 2;
        square += exact[i] ** 2;
      }
      noise.set(layer, (noise.get(layer) ?? 0) + error);
      signal.set(layer, (signal.get(layer) ?? 0) + square);
    });
  }
  return layers.map((layer) => ({
    name: layerName(layer),
    kind: isOp(layer, linearOp) ? 'linear' : isOp(layer, conv2dOp) && isDepthwise(layer) ? 'depthwise' : 'convolution',
    precision: floatLayers.has(layer) ? 'float32' : 'int8',
    sqnr: 10 * Math.log10((signal.get(layer) ?? 0) / Math.max(noise.get(layer) ?? 0, Number.MIN_VALUE)),
    macs: (layer.op.macs?.(layer) ?? 0) / graph.inputs[Object.keys(graph.inputs)[0]].shape[0],
  }));
}

const floats = (value: Value) => (value.quantization ? dequantize(value) : value);
