import { decodeModel } from '../formats/onnx/decode.js';
import { externalIn, withExternalData } from '../formats/onnx/external.js';
import { withPath } from '../formats/with-path.js';
import { ImportedModel } from './imported.js';

export interface ReadOnnxOptions {
  /** Pictures in `model.input`, where the file leaves their number open (default 1); the model can be compiled for any. */
  readonly batch?: number;
  /** The files of external data of a model that is given as bytes, by their names in it. */
  readonly external?: Readonly<Record<string, Uint8Array>>;
}

/**
 * Reads a convolutional network from an ONNX file, as PyTorch's and TensorFlow's exporters write them: its path in Node, or its bytes.
 * The result is compiled, re-parameterised, saved and exported like ghostkit's own models:
 *
 *     const model = await readOnnx('mobilenetv2.onnx');
 *     const net = await compile(model, { input: model.input });
 *
 * External data of a file are only read from its folder and below.
 *
 * @throws GhostkitError for a file that is damaged or cut off, has a cycle or shapes that do not fit, and for an operator that is not
 * supported, which it names with its node; it begins with the path, where there is one.
 */
export async function readOnnx(
  source: string | Uint8Array,
  { batch, external = {} }: ReadOnnxOptions = {},
): Promise<ImportedModel> {
  if (typeof source !== 'string') {
    return new ImportedModel(await withExternalData(decodeModel(source), externalIn(external)), { batch });
  }
  // Only where it is needed: a page that reads bytes has no files.
  const { readModelFile } = await import('../formats/onnx/file.js');
  return withPath(source, async () => new ImportedModel(await readModelFile(source), { batch }));
}
