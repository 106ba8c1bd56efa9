import { isOnnxPath, loadModel, preprocessingFor } from '../classify/model-source.js';
import { onnxBytes } from '../classify/onnx.js';
import type { Dataset } from '../data/dataset.js';
import { createLoader, type Loader } from '../data/loader/loader.js';
import { openDataset } from '../data/open-dataset.js';
import { preprocessingMetadata } from '../data/preprocessing.js';
import type { Preprocessing } from '../data/transform.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { METADATA } from '../formats/metadata.js';
import { packageVersion } from '../formats/package-version.js';
import { deploy, optimize } from '../graph/passes/deploy.js';
import { reshapeInput } from '../graph/passes/reshape-input.js';
import type { Graph } from '../graph/value.js';
import { type LoadedModel, metadataOf, titleOf } from '../models/identify.js';
import { compileGraph, compileGraphToBytes } from '../nn/compile.js';
import { trace } from '../nn/trace.js';
import { quantizeModel } from '../quantize/quantize.js';
import type { LayerError, QuantizedModel } from '../quantize/types.js';
import { usableThreads } from '../runtime/executor.js';
import { GhostkitError } from '../tensor/error.js';
import type { FloatTensor } from '../tensor/tensor.js';
import { EVALUATION_BATCH, evaluate } from '../train/evaluate.js';
import { CALIBRATION_PICTURES, readCalibration } from './calibration.js';
import {
  type CommandFactory,
  type CommonOptions,
  command,
  positiveInteger,
  preferOption,
  storedSide,
} from './command.js';
import { COMPILED, MODEL_THREADS } from './compiled-model.js';
import { UsageError } from './errors.js';
import { checkNumbers, matchClasses } from './eval.js';
import { entryFor } from './model-names.js';
import {
  formatBytes,
  formatCount,
  formatMs,
  formatPairs,
  formatTable,
  type Io,
  printJson,
  styleFor,
  writeLine,
} from './output.js';
import { checkOutput } from './output-file.js';
import { withPreparation } from './preparation.js';
import { progress } from './progress.js';
import { machineSettings } from './training-options.js';
import { reportSkippedLinks, reportUnreadable } from './training-view.js';

interface QuantizeCommandOptions extends CommonOptions {
  calibrate: string;
  pictures: number;
  perTensor?: boolean;
  floatLayers?: string;
  data?: string;
  layers?: boolean;
  model?: string;
  size?: number;
  mean?: [number, number, number];
  std?: [number, number, number];
  threads?: number;
  prefer?: 'ema' | 'model';
}

interface Measured {
  readonly bytes: number;
  /** Median milliseconds of one picture on one thread. */
  readonly ms: number;
  readonly top1?: number;
  readonly top5?: number;
}

/** Runs of the float and the quantised model in turn, after as many that are not counted. */
const RUNS = 30;

async function latencies(graphs: readonly Graph[], picture: FloatTensor): Promise<number[]> {
  const nets = await Promise.all(graphs.map((graph) => compileGraph(graph, { deploy: false })));
  const times = nets.map((): number[] => []);
  for (let run = 0; run < 2 * RUNS; run++) {
    for (const [i, net] of nets.entries()) {
      const before = performance.now();
      net.run({ image: picture.data });
      if (run >= RUNS) times[i].push(performance.now() - before);
    }
  }
  for (const net of nets) net.close();
  return times.map((all) => all.sort((a, b) => a - b)[RUNS / 2]);
}

/** Pictures to count the accuracy on, and the model's number of each class where it is another. */
interface LabelledData {
  readonly dataset: Dataset;
  readonly classOf: Int32Array | undefined;
}

async function heldOut(io: Io, path: string): Promise<Dataset> {
  const { train, val, skippedLinks } = await openDataset(path);
  reportSkippedLinks(io, skippedLinks);
  return val ?? train;
}

/** How often graphs are right about the pictures of a data set. */
async function accuracies(
  io: Io,
  { dataset, classOf }: LabelledData,
  graphs: readonly Graph[],
  preprocessing: Preprocessing,
): Promise<{ top1: number; top5: number; count: number }[]> {
  const { threads, workers } = machineSettings();
  const batchSize = Math.min(EVALUATION_BATCH, dataset.length);
  const results = [];
  for (const [i, graph] of graphs.entries()) {
    const shape = [batchSize, ...graph.inputs.image.shape.slice(1)];
    const net = await compileGraph(reshapeInput(graph, 'image', shape), { deploy: false, threads });
    let loader: Loader | undefined;
    const bar = progress(io.err, i === 0 ? 'pictures in float' : 'pictures in 8 bits', dataset.length);
    try {
      loader = await createLoader(dataset, { batchSize, preprocessing, mode: 'eval', workers });
      const found = await evaluate(net, loader, { classOf, onProgress: (done) => bar.update(done) });
      if (found) checkNumbers(i === 0 ? 'in float' : 'in 8 bits', found);
      if (found) results.push({ top1: found.top1, top5: found.top5, count: found.count });
    } finally {
      bar.clear();
      net.close();
      await loader?.close();
    }
    if (i === 0) reportUnreadable(io, loader?.unreadable ?? []);
  }
  return results;
}

async function quantized(io: Io, source: LoadedModel, calibration: FloatTensor[], options: QuantizeCommandOptions) {
  const bar = progress(io.err, 'percent quantised', 100);
  const { perTensor, floatLayers } = options;
  try {
    return await quantizeModel(source.model, {
      ...{ calibration, perTensor, threads: machineSettings().threads },
      floatLayers: floatLayers?.split(',').filter((name) => name !== ''),
      onProgress: (done) => bar.update(Math.round(100 * done)),
    });
  } finally {
    bar.clear();
  }
}

async function quantize(io: Io, input: string, output: string, options: QuantizeCommandOptions): Promise<void> {
  const onnx = isOnnxPath(output);
  if (!onnx && !output.endsWith(COMPILED)) {
    throw new UsageError(`${output}: the name of the output must end in ${COMPILED} or .onnx`);
  }
  if (onnx && options.threads !== undefined) throw new UsageError('--threads is for compiled models');
  // What can be told before the work is.
  await checkOutput(output, [input]);
  if (options.threads !== undefined) usableThreads(options.threads);
  const dataset = options.data === undefined ? undefined : await heldOut(io, options.data);
  const source = await loadModel(input, {
    name: options.model && entryFor(options.model).name,
    prefer: options.prefer,
  });
  const { model, entry } = source;
  if (model.inChannels !== 3) {
    throw new GhostkitError(`${input}: it takes ${model.inChannels} channels, pictures to calibrate on have 3`);
  }
  const classOf = dataset && matchClasses(dataset.classes, source.labels, model.numClasses);
  const preprocessing = preprocessingFor(source, options);
  const metadata = {
    ...metadataOf({ ...source, form: 'deploy' }),
    ...preprocessingMetadata(preprocessing),
    [METADATA.version]: packageVersion(),
  };
  const calibration = await readCalibration(io, options.calibrate, model, preprocessing, options.pictures);
  const result = await quantized(io, source, calibration, options);

  const shape = [1, 3, preprocessing.size, preprocessing.size];
  const before = optimize(deploy(trace(model, { input: shape })));
  const after = reshapeInput(result.graph, 'image', shape);
  const threads = options.threads ?? MODEL_THREADS;
  const encode = (graph: Graph) =>
    onnx
      ? onnxBytes(graph, entry.name, metadata).bytes
      : compileGraphToBytes(graph, { deploy: false, threads }, metadata);
  const bytes = encode(after);
  const [float, int8] = await measured(
    io,
    [before, after],
    [encode(before), bytes],
    calibration[0],
    preprocessing,
    dataset && { dataset, classOf },
  );
  await writeFileAtomic(output, bytes);
  const { layers } = result;
  if (options.json) {
    printJson(io, {
      ...{ path: output, format: onnx ? 'onnx' : 'compiled', model: titleOf(source), input: shape },
      ...{ calibrationPictures: calibration.length, weights: options.perTensor ? 'per tensor' : 'per channel' },
      ...{ float32: float, int8, layers },
    });
    return;
  }
  show(io, output, { source, calibration, result, float, int8 }, options);
}

async function measured(
  io: Io,
  graphs: readonly Graph[],
  files: readonly Uint8Array[],
  picture: FloatTensor,
  preprocessing: Preprocessing,
  data: LabelledData | undefined,
): Promise<Measured[]> {
  const ms = await latencies(graphs, picture);
  const right = data === undefined ? [] : await accuracies(io, data, graphs, preprocessing);
  return files.map(({ length }, i) => ({ bytes: length, ms: ms[i], ...right[i] }));
}

interface Shown {
  readonly source: LoadedModel;
  readonly calibration: readonly FloatTensor[];
  readonly result: QuantizedModel;
  readonly float: Measured;
  readonly int8: Measured;
}

const percent = (share: number) => `${(share * 100).toFixed(2)} %`;

const isInFloat = ({ precision }: LayerError) => precision !== 'int8';

function show(
  io: Io,
  output: string,
  { source, calibration, result, float, int8 }: Shown,
  options: QuantizeCommandOptions,
) {
  const style = styleFor(io.out);
  const { layers } = result;
  const kept = layers.filter(isInFloat).map(({ name }) => name);
  const pairs: [string, string][] = [
    ['model', `${titleOf(source)}, calibrated on ${calibration.length} pictures`],
    ['layers', `${layers.length - kept.length} in 8 bits${kept.length > 0 ? `, in float: ${kept.join(', ')}` : ''}`],
    ['weights', options.perTensor ? 'one scale for each layer' : 'one scale for each output channel'],
  ];
  io.out.write(formatPairs(pairs, style));
  const columns = [{ title: '' }, ...['float32', 'int8', ''].map((title) => ({ title, align: 'right' }) as const)];
  const rows = [
    ['size', formatBytes(float.bytes), formatBytes(int8.bytes), `${(float.bytes / int8.bytes).toFixed(2)}x smaller`],
    ['a picture, one thread', formatMs(float.ms), formatMs(int8.ms), speedOf(float.ms / int8.ms)],
  ];
  const { numClasses } = source.model;
  for (const key of numClasses > 5 ? (['top1', 'top5'] as const) : (['top1'] as const)) {
    const [a, b] = [float[key], int8[key]];
    if (a === undefined || b === undefined) continue;
    const change = (b - a) * 100;
    rows.push([
      key === 'top1' ? 'top-1' : 'top-5',
      percent(a),
      percent(b),
      `${change > 0 ? '+' : ''}${change.toFixed(2)} points`,
    ]);
  }
  io.out.write(`\n${formatTable(columns, rows, style)}`);
  if (options.layers) io.out.write(`\n${layerTable(layers, style)}`);
  io.out.write('\n');
  writeLine(io.out, `${output} is written`);
}

const speedOf = (ratio: number) => (ratio < 1 ? `${(1 / ratio).toFixed(2)}x slower` : `${ratio.toFixed(2)}x faster`);

function layerTable(layers: readonly LayerError[], style: ReturnType<typeof styleFor>): string {
  const right = (title: string) => ({ title, align: 'right' }) as const;
  const columns = [
    { title: 'layer' },
    { title: 'kind' },
    { title: 'precision' },
    right('MACs'),
    right('signal to noise'),
  ];
  const rows = layers.map(({ name, kind, precision, macs, sqnr }) => [
    name,
    kind,
    precision,
    formatCount(macs),
    Number.isFinite(sqnr) && sqnr < 200 ? `${sqnr.toFixed(1)} dB` : 'exact',
  ]);
  return formatTable(columns, rows, style);
}

export const quantizeCommand: CommandFactory = (io) =>
  withPreparation(
    command('quantize', 'write a network in 8 bits, and tell what that costs', [
      'quantize model.safetensors model.ghost.safetensors --calibrate pictures',
      'quantize model.safetensors model.onnx --calibrate tiny-imagenet-200/train --data tiny-imagenet-200',
      'quantize model.safetensors model.ghost.safetensors --calibrate pictures --layers',
    ]),
  )
    .argument('<model>', 'a checkpoint (safetensors, or what torch.save wrote) or an ONNX file')
    .argument('<out>', `a compiled model, NAME${COMPILED}, or ONNX with QuantizeLinear and DequantizeLinear, NAME.onnx`)
    .requiredOption('--calibrate <folder>', 'pictures like those that it will see, in the folder and those in it')
    .option('--pictures <n>', 'how many of them are used', positiveInteger, CALIBRATION_PICTURES)
    .option('--per-tensor', 'one scale for all weights of a layer: less exact, for runtimes that need it')
    .option('--float-layers <names>', 'layers that stay in float, with commas between (default: those where it pays)')
    .option('--data <path>', 'validation pictures with a folder for each class, to tell the accuracy before and after')
    .option('--layers', 'show the error of every layer')
    .option('--size <pixels>', 'side of the square that the network sees (default: as it was trained)', storedSide)
    .option(
      '--threads <n>',
      `the most threads that a compiled model can use (default: ${MODEL_THREADS})`,
      positiveInteger,
    )
    .option('--model <name>', 'the network, where its weights do not tell')
    .addOption(preferOption())
    .action((input: string, output: string, options: QuantizeCommandOptions) => quantize(io, input, output, options));
