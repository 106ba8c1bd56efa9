import { preprocessingFor } from '../classify/model-source.js';
import type { PreparationOptions } from '../classify/preparation.js';
import { preprocessingMetadata } from '../data/preprocessing.js';
import type { Preprocessing } from '../data/transform.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { METADATA } from '../formats/metadata.js';
import { packageVersion } from '../formats/package-version.js';
import { type LoadedModel, metadataOf, titleOf } from '../models/identify.js';
import { compileGraphToBytes, compileToBytes } from '../nn/compile.js';
import type { Classifier } from '../nn/trace.js';
import { quantizeModel } from '../quantize/quantize.js';
import type { QuantizedModel } from '../quantize/types.js';
import { GhostkitError } from '../tensor/error.js';
import { readCalibration } from './calibration.js';
import { UsageError } from './errors.js';
import { formatBytes, type Io, printJson, writeLine } from './output.js';
import { progress } from './progress.js';
import { machineSettings } from './training-options.js';

/** How the names of compiled models end. */
export const COMPILED = '.ghost.safetensors';

/** The most threads that a compiled model can use, unless told otherwise: what pages have ends about here, and each needs its own working memory. */
export const MODEL_THREADS = 4;

export interface CompiledOptions extends Pick<PreparationOptions, 'size' | 'mean' | 'std'> {
  readonly threads?: number;
  readonly half?: boolean;
  readonly int8?: boolean;
  /** A folder of pictures that int8 is calibrated on. */
  readonly calibrate?: string;
  readonly json?: boolean;
}

/** Writes a network as a compiled model for one picture at a time: program, packed weights, preprocessing and labels. */
export async function writeCompiled(
  io: Io,
  output: string,
  loaded: LoadedModel,
  options: CompiledOptions,
): Promise<void> {
  const { size, mean, std, threads = MODEL_THREADS, half, json } = options;
  const { model } = loaded;
  const preprocessing = preprocessingFor(loaded, { size, mean, std });
  const floats = half ? 'float16' : 'float32';
  const input = [1, model.inChannels, preprocessing.size, preprocessing.size];
  const metadata = {
    ...metadataOf({ ...loaded, form: 'deploy' }),
    ...preprocessingMetadata(preprocessing),
    [METADATA.version]: packageVersion(),
  };
  const quantized = options.int8 ? await quantize(io, model, preprocessing, options) : undefined;
  const bytes = quantized
    ? compileGraphToBytes(quantized.graph, { deploy: false, threads, floats }, metadata)
    : compileToBytes(model, { input, threads, floats }, metadata);
  await writeFileAtomic(output, bytes);
  if (json) {
    const described = { name: loaded.entry.name, ...loaded.options, form: 'deploy' };
    const weights = { floats, layers: quantized?.layers };
    printJson(io, { path: output, bytes: bytes.length, compiled: true, input, threads, ...weights, model: described });
    return;
  }
  const picture = `${preprocessing.size} x ${preprocessing.size} pixels`;
  const inFloat = quantized?.layers.filter(({ precision }) => precision !== 'int8').length;
  const int8 = quantized && `, ${quantized.layers.length} layers in 8 bits${inFloat ? ` but for ${inFloat}` : ''}`;
  const weights = `${int8 ?? ''}${half ? `, ${int8 ? 'other ' : ''}weights in 16 bits` : ''}`;
  writeLine(io.out, `${output}: ${titleOf(loaded)}, compiled for ${picture}${weights}, ${formatBytes(bytes.length)}`);
}

/** The network in 8 bits, for one picture at a time. */
async function quantize(
  io: Io,
  model: Classifier,
  preprocessing: Preprocessing,
  { calibrate }: CompiledOptions,
): Promise<QuantizedModel> {
  if (calibrate === undefined) throw new UsageError('--int8 needs pictures to calibrate on: --calibrate FOLDER');
  if (model.inChannels !== 3) {
    throw new GhostkitError(`the model takes ${model.inChannels} channels, pictures to calibrate on have 3`);
  }
  const calibration = await readCalibration(io, calibrate, model, preprocessing);
  const bar = progress(io.err, 'percent quantised', 100);
  try {
    return await quantizeModel(model, {
      calibration,
      threads: machineSettings().threads,
      onProgress: (done) => bar.update(Math.round(100 * done)),
    });
  } finally {
    bar.clear();
  }
}
