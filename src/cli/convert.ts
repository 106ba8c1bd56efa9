import { isOnnxPath, openCheckpoint } from '../classify/model-source.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { fitsFloat16 } from '../formats/half.js';
import { writeSafetensors } from '../formats/safetensors.js';
import { DeployedClassifier } from '../models/deployed.js';
import { type LoadedModel, metadataOf, titleOf } from '../models/identify.js';
import { usableThreads } from '../runtime/executor.js';
import { GhostkitError } from '../tensor/error.js';
import {
  type CommandFactory,
  type CommonOptions,
  command,
  positiveInteger,
  preferOption,
  storedSide,
} from './command.js';
import { COMPILED, writeCompiled } from './compiled-model.js';
import { UsageError } from './errors.js';
import { readLabels } from './labels.js';
import { entryFor } from './model-names.js';
import { writeOnnx } from './onnx-model.js';
import { formatBytes, type Io, printJson, writeLine } from './output.js';
import { checkOutput } from './output-file.js';
import { withPreparation } from './preparation.js';

interface ConvertOptions extends CommonOptions {
  model?: string;
  deploy?: boolean;
  half?: boolean;
  labels?: string;
  prefer?: 'ema' | 'model';
  size?: number;
  mean?: [number, number, number];
  std?: [number, number, number];
  threads?: number;
  int8?: boolean;
  calibrate?: string;
}

/** The same network in deploy form. */
function deployed(loaded: LoadedModel): LoadedModel {
  return loaded.form === 'deploy' ? loaded : { ...loaded, form: 'deploy', model: new DeployedClassifier(loaded.model) };
}

async function convert(io: Io, input: string, output: string, options: ConvertOptions): Promise<void> {
  const onnx = isOnnxPath(output);
  if (!output.endsWith('.safetensors') && !onnx)
    throw new UsageError(`${output}: the name of the output must end in .safetensors or .onnx`);
  // What can be told before the work is.
  await checkOutput(output, [input]);
  if (options.threads !== undefined) usableThreads(options.threads);
  const { checkpoint, loaded } = await openCheckpoint(input, {
    name: options.model && entryFor(options.model).name,
    prefer: options.prefer,
  });
  if (!loaded && (options.deploy || options.labels)) {
    throw new GhostkitError(`${input}: these are not the weights of a known network, so ghostkit can only copy them`);
  }
  const compiled = output.endsWith(COMPILED);
  if (compiled && !loaded) {
    throw new GhostkitError(`${input}: these are not the weights of a known network, so ghostkit cannot compile them`);
  }
  if (onnx && !loaded) {
    throw new GhostkitError(`${input}: these are not the weights of a known network, so ghostkit cannot export them`);
  }
  if (onnx && (options.half || options.threads !== undefined)) {
    throw new UsageError('--half and --threads are not for ONNX files, whose weights are float32');
  }
  if (!compiled && !onnx && (options.size ?? options.threads) !== undefined) {
    throw new UsageError(`--size and --threads are for compiled models, whose names end in ${COMPILED}`);
  }
  if (!compiled && (options.mean ?? options.std) !== undefined) {
    throw new UsageError(`--mean and --std are for compiled models, whose names end in ${COMPILED}`);
  }
  if (!compiled && (options.int8 || options.calibrate !== undefined)) {
    throw new UsageError(`--int8 and --calibrate are for compiled models, whose names end in ${COMPILED}`);
  }
  if (options.calibrate !== undefined && !options.int8) throw new UsageError('--calibrate is for --int8');
  const labels = options.labels && loaded ? await readLabels(options.labels, loaded.model.numClasses) : loaded?.labels;
  if (compiled && loaded) return writeCompiled(io, output, { ...loaded, labels }, options);
  const result = loaded && { ...(options.deploy ? deployed(loaded) : loaded), labels };
  if (onnx && result) return writeOnnx(io, output, result, options);
  const state = result?.form === 'deploy' ? result.model.state() : checkpoint.state;
  const metadata = { ...checkpoint.metadata, ...(result && metadataOf(result)) };
  const floats = options.half ? 'float16' : 'float32';
  const wide = options.half
    ? [...state].filter(([, { data }]) => data instanceof Float32Array && !fitsFloat16(data))
    : [];
  const kept = new Set(wide.map(([name]) => name));
  const bytes = writeSafetensors(state, { metadata, floats: (name) => (kept.has(name) ? 'float32' : floats) });
  await writeFileAtomic(output, bytes);
  if (options.json) {
    const model = result && { name: result.entry.name, ...result.options, form: result.form };
    const { source } = checkpoint;
    printJson(io, {
      ...{ path: output, bytes: bytes.length, tensors: state.size, floats, source, model },
      ...(kept.size > 0 && { keptInFloat32: [...kept] }),
    });
    return;
  }
  const what = result ? `${titleOf(result)}, ${result.form} form` : 'not a known network';
  const note = kept.size > 0 ? ` (${kept.size} in 32 bits, for which 16 have no room)` : '';
  writeLine(io.out, `${output}: ${what}, ${state.size} tensors${note}, ${formatBytes(bytes.length)}`);
}

export const convertCommand: CommandFactory = (io) =>
  withPreparation(
    command('convert', 'write a checkpoint as safetensors, or as a compiled model for a page', [
      'convert ghostnet.pth ghostnet.safetensors',
      'convert repghostnet.pth.tar small.safetensors --deploy --half',
      'convert model.safetensors model.ghost.safetensors --half',
      'convert model.safetensors model.ghost.safetensors --int8 --calibrate pictures',
      'convert model.safetensors model.onnx --deploy',
    ]),
  )
    .argument('<in>', 'a checkpoint (what torch.save wrote, or safetensors) or an ONNX file')
    .argument(
      '<out>',
      `the safetensors or ONNX file to write; NAME${COMPILED} becomes a compiled model, always in deploy form`,
    )
    .option('--deploy', 're-parameterised, and with the batch norms folded into the convolutions')
    .option('--half', 'in 16 bits: half the size, and still 3 digits')
    .option('--labels <file>', 'put the names of the classes in')
    .option('--size <pixels>', 'side of the pictures of a compiled model (default: as it was trained)', storedSide)
    .option('--threads <n>', 'the most threads a compiled model can use (default: 4)', positiveInteger)
    .option('--int8', 'a compiled model in 8 bits: a quarter of the size, and in browsers faster')
    .option('--calibrate <folder>', 'pictures like those it will see, which --int8 needs')
    .option('--model <name>', 'the network, where its weights do not tell')
    .addOption(preferOption())
    .action((input: string, output: string, options: ConvertOptions) => convert(io, input, output, options));
