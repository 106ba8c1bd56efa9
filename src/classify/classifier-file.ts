import { preprocessingIn } from '../data/preprocessing.js';
import { IMAGENET, type Preprocessing } from '../data/transform.js';
import { labelsIn, METADATA } from '../formats/metadata.js';
import { readSafetensorsHeader } from '../formats/safetensors.js';
import { printable } from '../formats/text.js';
import { withPath } from '../formats/with-path.js';
import { type Form, titleOf } from '../models/identify.js';
import { compile } from '../nn/compile.js';
import { loadCompiled } from '../runtime/compiled-file.js';
import { type CompiledHeader, PROGRAM_KEY, parseCompiled } from '../runtime/compiled-format.js';
import { openSource } from '../runtime/compiled-source.js';
import type { Runner } from '../runtime/runner.js';
import { GhostkitError } from '../tensor/error.js';
import { isOnnxPath, loadModel, preprocessingFor, type SourceOptions } from './model-source.js';
import { onnxFileClassifier, runLoaded } from './onnx.js';
import { type PreparationOptions, prepared } from './preparation.js';

/** A classifier in a file, whether its network's weights or a compiled model. */
export interface ClassifierFile {
  readonly title: string;
  readonly form: Form;
  readonly numClasses: number;
  readonly inChannels: number;
  readonly labels?: readonly string[];
  readonly preprocessing: Preprocessing;
  /** How many pictures it takes at once; a compiled model is made for one number, anything else for any. */
  readonly batch?: number;
  /** Makes it ready for `batch` pictures. */
  compile(options: { batch: number; threads: number; form?: Form }): Promise<Runner>;
}

export interface ClassifierFileOptions extends SourceOptions, PreparationOptions {
  /** onnxruntime's execution providers, when that is to run it. */
  readonly providers?: readonly string[];
}

/** What a compiled model's file says before its data; undefined when it is a file of another kind. */
export async function compiledHeaderOf(path: string): Promise<CompiledHeader | undefined> {
  const source = await openSource(path).catch(() => undefined);
  if (!source) return undefined;
  let header: ReturnType<typeof readSafetensorsHeader>;
  try {
    header = readSafetensorsHeader(source.head);
  } catch {
    // Something else, or a damaged file: whoever reads it tells more.
    return undefined;
  } finally {
    source.close?.();
  }
  if (!(PROGRAM_KEY in header.metadata)) return undefined;
  return withPath(path, () => parseCompiled(header));
}

/** The classifier in a file. Throws a {@link GhostkitError} that begins with the path. */
export async function openClassifier(path: string, options: ClassifierFileOptions): Promise<ClassifierFile> {
  const { providers } = options;
  if (providers && isOnnxPath(path)) return onnxFileClassifier(path, options, providers);
  const header = await compiledHeaderOf(path);
  if (header && providers)
    throw new GhostkitError(`${path}: onnxruntime cannot run a compiled model; give its weights`);
  if (header) return withPath(path, () => compiledClassifier(path, header, options));
  const source = await loadModel(path, options);
  const { model, labels } = source;
  const preprocessing = preprocessingFor(source, options);
  const { size } = preprocessing;
  return {
    title: titleOf(source),
    form: source.form,
    numClasses: model.numClasses,
    inChannels: model.inChannels,
    labels,
    preprocessing,
    compile: async ({ batch, threads, form = 'deploy' }) => {
      const input = [batch, model.inChannels, size, size];
      const deploy = form === 'deploy';
      return providers
        ? runLoaded(source, { input, threads, deploy, providers })
        : compile(model, { input, threads, deploy });
    },
  };
}

function compiledClassifier(path: string, header: CompiledHeader, asked: ClassifierFileOptions): ClassifierFile {
  const { program, metadata } = header;
  if (asked.name !== undefined && asked.name !== metadata[METADATA.model]) {
    throw new GhostkitError(`a compiled model says what its network is; leave ${printable(asked.name)} out`);
  }
  const [image, ...inputs] = program.inputs;
  const logits = program.outputs.find(({ name }) => name === 'logits');
  const [batch, inChannels, height, width] = image.shape;
  if (inputs.length > 0 || image.shape.length !== 4 || height !== width || logits?.shape.length !== 2) {
    throw new GhostkitError('this compiled model is no classifier of square pictures');
  }
  const preprocessing = prepared(preprocessingIn(metadata) ?? { ...IMAGENET, size: height }, {
    ...asked,
    size: undefined,
  });
  if (preprocessing.size !== height) {
    throw new GhostkitError(`its metadata has pictures of ${preprocessing.size} pixels, its program of ${height}`);
  }
  if (asked.size !== undefined && asked.size !== height) {
    throw new GhostkitError(`this compiled model takes pictures of ${height} pixels; convert again for others`);
  }
  const numClasses = logits.shape[1];
  return {
    title: printable(metadata[METADATA.model] ?? 'a compiled model'),
    form: metadata[METADATA.form] === 'training' ? 'training' : 'deploy',
    numClasses,
    inChannels,
    labels: labelsIn(metadata, numClasses),
    preprocessing,
    batch,
    compile: ({ threads }) => loadCompiled(path, { threads }),
  };
}
