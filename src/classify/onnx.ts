import { basename } from 'node:path';
import { preprocessingIn } from '../data/preprocessing.js';
import { IMAGENET } from '../data/transform.js';
import { readBytes } from '../formats/files.js';
import { labelsIn } from '../formats/metadata.js';
import { decodeModel, type ModelProto } from '../formats/onnx/decode.js';
import { exportOnnx } from '../formats/onnx/export.js';
import { externalLocations } from '../formats/onnx/external.js';
import { externalFiles, readModelFile } from '../formats/onnx/file.js';
import { withPath } from '../formats/with-path.js';
import { deploy as deployForm, optimize } from '../graph/passes/deploy.js';
import type { Graph } from '../graph/value.js';
import { type LoadedModel, titleOf } from '../models/identify.js';
import { ImportedModel, pictureInput } from '../models/imported.js';
import { trace } from '../nn/trace.js';
import { onnxClassifier } from '../runtime/onnx/classifier.js';
import { findOnnxRuntime } from '../runtime/onnx/onnxruntime.js';
import type { Runner } from '../runtime/runner.js';
import { GhostkitError } from '../tensor/error.js';
import type { ClassifierFile, ClassifierFileOptions } from './classifier-file.js';
import { ONNX_NAMED } from './model-source.js';
import { prepared } from './preparation.js';

/** A network as the bytes of an ONNX file for any batch, or for one picture where the network was made for that. */
export function onnxBytes(
  graph: Graph,
  name: string,
  metadata: Readonly<Record<string, string>> = {},
): { bytes: Uint8Array; dynamicBatch: boolean } {
  try {
    return { bytes: exportOnnx(graph, { name, metadata, dynamicBatch: true }), dynamicBatch: true };
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    return { bytes: exportOnnx(graph, { name, metadata }), dynamicBatch: false };
  }
}

/** Runs a network of ghostkit's in onnxruntime. */
export async function runLoaded(
  { model, ...loaded }: Pick<LoadedModel, 'model' | 'entry' | 'options'>,
  {
    input,
    threads,
    deploy,
    providers,
  }: { input: readonly number[]; threads: number; deploy: boolean; providers: readonly string[] },
): Promise<Runner & { readonly runtime: string }> {
  const graph = trace(model, { input });
  const title = titleOf(loaded);
  const { bytes } = onnxBytes(deploy ? optimize(deployForm(graph)) : graph, title);
  return onnxClassifier(title, bytes, { input, threads, providers });
}

/** The classifier in an ONNX file as onnxruntime runs it: the file itself, with whatever operators it has. */
export async function onnxFileClassifier(
  path: string,
  asked: ClassifierFileOptions,
  providers: readonly string[],
): Promise<ClassifierFile> {
  if (asked.name !== undefined) throw new GhostkitError(`${path}: ${ONNX_NAMED}`);
  // Only what the file says of itself is read here; its weights are onnxruntime's affair.
  const bytes = await readBytes(path, 'models');
  const file = withPath(path, () => decodeModel(bytes));
  const { channels, size, batch, channelsLast } = pictureInput(file.graph);
  const [height, width] = size ?? [asked.size ?? IMAGENET.size, asked.size ?? IMAGENET.size];
  const preprocessing = prepared(preprocessingIn(file.metadata) ?? { ...IMAGENET, size: height }, asked);
  const side = preprocessing.size;
  if (height !== width || side !== height) {
    throw new GhostkitError(
      `${path}: this file takes pictures of ${width} x ${height} pixels, not of ${side} x ${side}`,
    );
  }
  const numClasses = await classesOf(path, file);
  return {
    title: basename(path),
    form: 'deploy',
    numClasses,
    inChannels: channels,
    labels: labelsIn(file.metadata, numClasses),
    preprocessing,
    batch,
    compile: async ({ batch: count, threads }) =>
      onnxClassifier(path, path, {
        external: await externalFor(path, file),
        input: [count, channels, side, side],
        channelsLast,
        probabilities: endsInSoftmax(file),
        threads,
        providers,
      }),
  };
}

/** onnxruntime's package for the web does not find external data by itself. */
async function externalFor(path: string, file: ModelProto): Promise<Record<string, Uint8Array> | undefined> {
  if ((await findOnnxRuntime())?.name !== 'onnxruntime-web' || externalLocations(file).size === 0) return undefined;
  return withPath(path, () => externalFiles(path, file));
}

async function classesOf(path: string, file: ModelProto): Promise<number> {
  const [output] = file.graph.outputs;
  const [, classes, ...rest] = output?.shape ?? [];
  if (typeof classes === 'number' && classes >= 1 && rest.every((d) => d === 1)) return classes;
  try {
    // Many files leave their output's shape open; it follows from their operators, where ghostkit knows these.
    const whole = externalLocations(file).size > 0 ? await readModelFile(path) : file;
    return new ImportedModel(whole).numClasses;
  } catch (error) {
    if (!(error instanceof GhostkitError)) throw error;
    throw new GhostkitError(`${path}: it does not say how many classes it has, and ${error.message}`, { cause: error });
  }
}

/** Operators behind which scores are still the same scores. */
const SAME_SCORES = new Set(['Cast', 'Flatten', 'Identity', 'Reshape', 'Squeeze']);

function endsInSoftmax({ graph }: ModelProto): boolean {
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  let maker = makers.get(graph.outputs[0]?.name);
  // A chain is no longer than the graph; one that is has a cycle, of which onnxruntime will tell.
  for (let i = 0; maker && SAME_SCORES.has(maker.opType) && i < graph.nodes.length; i++)
    maker = makers.get(maker.inputs[0]);
  return maker?.opType === 'Softmax';
}
