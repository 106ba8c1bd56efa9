import { preprocessingFor } from '../classify/model-source.js';
import { onnxBytes } from '../classify/onnx.js';
import { preprocessingMetadata } from '../data/preprocessing.js';
import { writeFileAtomic } from '../formats/atomic.js';
import { METADATA } from '../formats/metadata.js';
import { packageVersion } from '../formats/package-version.js';
import { optimize } from '../graph/passes/deploy.js';
import { type LoadedModel, metadataOf, titleOf } from '../models/identify.js';
import { trace } from '../nn/trace.js';
import { formatBytes, type Io, printJson, writeLine } from './output.js';

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
  writeLine(
    io.out,
    `${output}: ${titleOf(loaded)}, ${form} form, ONNX for ${inputShape.join(' x ')}, ${formatBytes(bytes.length)}`,
  );
}
