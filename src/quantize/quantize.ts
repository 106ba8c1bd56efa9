import { deploy, optimize } from '../graph/passes/deploy.js';
import { equalize } from '../graph/passes/equalize.js';
import {
  layerName,
  planQuantization,
  type QuantizationPlan,
  quantizableLayer,
  quantizedGroups,
  type Range,
} from '../graph/passes/quantization-plan.js';
import { quantizeGraph } from '../graph/passes/quantize.js';
import { reshapeInput } from '../graph/passes/reshape-input.js';
import { separate } from '../graph/passes/separate.js';
import { type Graph, type Value, valuesOf } from '../graph/value.js';
import { checkMemory } from '../nn/compile.js';
import { Module } from '../nn/module.js';
import { trace } from '../nn/trace.js';
import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, float32, formatShape, type Shape, sameShape, sizeOf } from '../tensor/tensor.js';
import { channelStatistics, type Histogram, histograms, observed } from './calibrate.js';
import { Comparison, layerErrors } from './measure.js';
import { percentileRange, squaredErrorRange } from './ranges.js';
import type { QuantizedModel, QuantizeOptions } from './types.js';

/** Pictures on which decisions are tried out, fewer if they are large; calibration goes over all of them. */
const TRIAL_PICTURES = 32;
const TRIAL_PIXELS = 16 * 224 * 224;

/** A tensor's range is tried the other way where the two differ by more than this share. */
const RANGES_DIFFER = 0.05;

/** A decision is kept when it makes the error of the logits smaller by at least this share. */
const WORTH_A_RANGE = 0.01;

/**
 * A layer stays in float when that takes this share off the error of the logits, for at most this share of all multiply-accumulates and of all
 * weights.
 */
const WORTH_A_LAYER = 0.15;
const MOST_COST = 0.05;

/**
 * Quantises a network after training: its deploy form in 8 bits, with one scale for each output channel's weights and ranges of activations from
 * calibration. Channels are equalised over layers first, biases are corrected for what rounding adds on average, each range is the better one of
 * a percentile's and the least squared error's, by the error of the logits, and a layer stays in float where that pays. `model` is a network or
 * the graph of one for the shape of the calibration batches, with one input.
 *
 * @throws GhostkitError in one line without calibration pictures, or when their shapes differ.
 */
export async function quantizeModel(model: Module | Graph, options: QuantizeOptions): Promise<QuantizedModel> {
  const { calibration, perTensor = false, threads = 1, onProgress } = options;
  const batches = smallBatches(checkedBatches(calibration));
  const graph = await equalized(floatGraph(model, batches[0].shape), batches, threads);
  onProgress?.(0.1);

  const floatLayers = new Set(namedLayers(graph, options.floatLayers ?? []));
  const values = storedValues(graph, floatLayers);
  const statistics = await channelStatistics(graph, values, batches, threads);
  const means = new Map([...statistics].map(([value, { mean }]) => [value, mean]));
  const found = await histograms(graph, values, batches, threads);
  onProgress?.(0.3);

  const search = new Search(graph, found, { perTensor, means, floatLayers, weights: new Map() });
  const comparison = await Comparison.create(graph, trialBatches(batches));
  const steps = search.steps(options.floatLayers === undefined);
  for (const [i, step] of steps.entries()) {
    await search.take(step, comparison);
    onProgress?.(0.3 + (0.65 * (i + 1)) / steps.length);
  }
  const plan = search.plan();
  const quantized = quantizeGraph(graph, plan);
  const layers = await layerErrors(graph, quantized, plan, trialBatches(batches), threads);
  onProgress?.(1);
  return { graph: forBatch(quantized.graph, calibration[0].shape), layers };
}

/** The most bytes that all pictures of a calibration may have. They are in memory twice. */
const MOST_BYTES = 2 ** 32;

/**
 * Whether there is memory for calibration with so many pictures, `[pictures,3,H,W]`: to be asked before they are read.
 *
 * @throws GhostkitError in one line where there is not.
 */
export function checkCalibration(model: Module | Graph, shape: Shape, { threads = 1 } = {}): void {
  const [count, ...image] = shape;
  const bytes = 4 * sizeOf(shape);
  if (bytes > MOST_BYTES) {
    const most = MOST_BYTES / 2 ** 20;
    throw new GhostkitError(
      `${count} calibration pictures of ${formatShape(image)} take ${Math.ceil(bytes / 2 ** 20)} MiB, more than ${most}; take fewer or smaller ones`,
    );
  }
  const graph = floatGraph(model, [batchOf(count).few, ...image]);
  checkMemory(observed(graph, storedValues(graph, new Set())), { deploy: false, threads });
}

/** The network in the form that is quantised. */
function floatGraph(model: Module | Graph, shape: Shape): Graph {
  const traced = model instanceof Module ? trace(model, { input: shape }) : forBatch(model, shape);
  return separate(optimize(deploy(traced)));
}

function checkedBatches(batches: readonly FloatTensor[]): readonly FloatTensor[] {
  const [first] = batches;
  if (!first || first.shape[0] === 0)
    throw new GhostkitError('quantisation needs pictures for calibration; there are none');
  const other = batches.find(({ shape }) => !sameShape(shape, first.shape));
  if (other) {
    throw new GhostkitError(
      `the calibration batches have different shapes: ${formatShape(first.shape)} and ${formatShape(other.shape)}`,
    );
  }
  const short = batches.find(({ shape, data }) => data.length !== sizeOf(shape));
  if (short) {
    throw new GhostkitError(`a calibration batch of ${formatShape(short.shape)} has ${short.data.length} elements`);
  }
  return batches;
}

/** Pictures whose results of all layers are looked at together. */
const FEW = 8;

/** In how many batches of how many pictures so many are looked at. */
function batchOf(pictures: number): { count: number; few: number } {
  const count = Math.ceil(pictures / FEW);
  return { count, few: Math.ceil(pictures / count) };
}

/** The pictures in batches of a few, all of one size; where they do not come out even the last is filled up with the first ones. */
function smallBatches(batches: readonly FloatTensor[]): FloatTensor[] {
  const image = batches[0].shape.slice(1);
  const size = sizeOf(image);
  const pictures = batches.flatMap(({ shape, data }) =>
    Array.from({ length: shape[0] }, (_, i) => data.subarray(i * size, (i + 1) * size)),
  );
  const { count, few } = batchOf(pictures.length);
  return Array.from({ length: count }, (_, b) => {
    const data = new Float32Array(few * size);
    for (let i = 0; i < few; i++) data.set(pictures[(b * few + i) % pictures.length], i * size);
    return float32([few, ...image], data);
  });
}

/** A graph of one input for a batch of pictures. */
function forBatch(graph: Graph, shape: Shape): Graph {
  const names = Object.keys(graph.inputs);
  if (names.length !== 1) {
    throw new GhostkitError(`only networks with one input are quantised; this has ${names.length}`);
  }
  return reshapeInput(graph, names[0], shape);
}

/** As many batches as have the pictures for trials, at least one. */
function trialBatches(batches: readonly FloatTensor[]): readonly FloatTensor[] {
  const [count, , height, width] = batches[0].shape;
  const pictures = Math.min(TRIAL_PICTURES, TRIAL_PIXELS / (height * width));
  return batches.slice(0, Math.max(1, Math.ceil(pictures / count)));
}

async function equalized(graph: Graph, batches: readonly FloatTensor[], threads: number): Promise<Graph> {
  const layers = valuesOf(graph).filter((v) => quantizableLayer(v) && v.shape.length === 4);
  const statistics = await channelStatistics(graph, layers, batches, threads);
  return equalize(graph, new Map([...statistics].map(([value, { most }]) => [value, most])));
}

function namedLayers(graph: Graph, names: readonly string[]): Value[] {
  const layers = valuesOf(graph).filter(quantizableLayer);
  return names.map((name) => {
    const layer = layers.find((v) => layerName(v) === name);
    if (!layer)
      throw new GhostkitError(
        `there is no layer ${name}; the first are ${layers.slice(0, 3).map(layerName).join(', ')}`,
      );
    return layer;
  });
}

/** Every value that some plan may store in 8 bits. */
function storedValues(graph: Graph, floatLayers: ReadonlySet<Value>): Value[] {
  return quantizedGroups(graph, floatLayers).flatMap(({ values }) => values);
}

type Step = { readonly range: readonly Value[] } | { readonly layer: Value };

/** The decisions about ranges and layers, one after the other by what they do to the logits. */
class Search {
  private readonly ranges = new Map<Value, Range>();
  private readonly others = new Map<Value, Range>();
  private readonly floatLayers: Set<Value>;
  private error?: number;

  constructor(
    private readonly graph: Graph,
    found: ReadonlyMap<Value, Histogram>,
    private readonly options: Omit<QuantizationPlan, 'tensors'>,
  ) {
    this.floatLayers = new Set(options.floatLayers);
    for (const { values, bits } of quantizedGroups(graph, this.floatLayers)) {
      for (const value of values) {
        const histogram = found.get(value) as Histogram;
        this.ranges.set(value, squaredErrorRange(histogram, bits));
        this.others.set(value, percentileRange(histogram));
      }
    }
  }

  plan(): QuantizationPlan {
    return planQuantization(this.graph, this.ranges, { ...this.options, floatLayers: this.floatLayers });
  }

  steps(layers: boolean): Step[] {
    const ranges = quantizedGroups(this.graph, this.floatLayers)
      .map(({ values }) => values)
      .filter((values) => values.some((value) => this.differ(value)));
    const all = valuesOf(this.graph).filter(quantizableLayer);
    const isCheap = [macs, weights].map((cost) => {
      const most = MOST_COST * all.reduce((n, v) => n + cost(v), 0);
      return (v: Value) => cost(v) <= most;
    });
    const cheap = layers ? all.filter((v) => isCheap.every((test) => test(v))) : [];
    return [...ranges.map((range) => ({ range })), ...cheap.map((layer) => ({ layer }))];
  }

  private differ(value: Value): boolean {
    const [a, b] = [this.ranges.get(value) as Range, this.others.get(value) as Range];
    return Math.abs(a.max - a.min - (b.max - b.min)) > RANGES_DIFFER * (a.max - a.min);
  }

  /** Tries a step, and keeps it if it pays. */
  async take(step: Step, comparison: Comparison): Promise<void> {
    this.error ??= await comparison.error(quantizeGraph(this.graph, this.plan()).graph);
    const undo = 'range' in step ? this.swap(step.range) : this.keep(step.layer);
    const error = await comparison.error(quantizeGraph(this.graph, this.plan()).graph);
    if (error < this.error * (1 - ('range' in step ? WORTH_A_RANGE : WORTH_A_LAYER))) this.error = error;
    else undo();
  }

  private swap(values: readonly Value[]): () => void {
    const before = values.map((value) => [value, this.ranges.get(value) as Range] as const);
    for (const value of values) this.ranges.set(value, this.others.get(value) as Range);
    return () => {
      for (const [value, range] of before) this.ranges.set(value, range);
    };
  }

  private keep(layer: Value): () => void {
    this.floatLayers.add(layer);
    return () => this.floatLayers.delete(layer);
  }
}

const macs = (value: Value) => value.op.macs?.(value) ?? 0;
const weights = (value: Value) => sizeOf(value.inputs[1].shape);
