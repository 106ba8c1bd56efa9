import { preprocessingMetadata } from '../data/preprocessing.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { METADATA } from '../formats/metadata.js';
import { exportOnnx } from '../formats/onnx/export.js';
import { optimize } from '../graph/passes/deploy.js';
import type { Graph } from '../graph/value.js';
import { type LoadedModel, metadataOf, titleOf } from '../models/identify.js';
import { trace } from '../nn/trace.js';
import { GhostkitError } from '../tensor/error.js';
import { preprocessingFor } from './model-source.js';
import { formatBytes, type Io, printJson } from './output.js';
import { packageVersion } from './package-version.js';

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

/** Writes a network in the form it has as an ONNX file, with its labels and how pictures are prepared for it. */
export async function writeOnnx(
  io: Io,
  output: string,
  loaded: LoadedModel,
  { size, json }: { readonly size?: number; readonly json?: boolean },
): Promise<void> {
  const { model, form, entry } = loaded;
  const preprocessing = preprocessingFor(loaded, { size });
  const input = [1, model.inChannels, preprocessing.size, preprocessing.size];
  const graph = trace(model, { input });
  const { bytes, dynamicBatch } = onnxBytes(form === 'deploy' ? optimize(graph) : graph, entry.name, {
    ...metadataOf(loaded),
    ...preprocessingMetadata(preprocessing),
    [METADATA.version]: packageVersion(),
  });
  await writeFileAtomic(output, bytes);
  const inputShape = [dynamicBatch ? 'N' : 1, ...input.slice(1)];
  if (json) {
    const described = { name: entry.name, ...loaded.options, form };
    printJson(io, { path: output, bytes: bytes.length, format: 'onnx', input: inputShape, model: described });
    return;
  }
  io.out.write(
    `${output}: ${titleOf(loaded)}, ${form} form, ONNX for ${inputShape.join(' x ')}, ${formatBytes(bytes.length)}\n`,
  );
}
