import { readFileSync } from 'node:fs';
import { decodeModel } from '../../../src/formats/onnx/decode.js';
import { byteLength } from '../../../src/formats/onnx/tensor.js';
import { namedTensor } from '../../../src/models/named-weights.js';
import { onnxClassifier } from '../../../src/runtime/onnx/classifier.js';
import type { Shape } from '../../../src/tensor/tensor.js';
import type { Result } from './run.js';

const fixture = (name: string) => new URL(`fixtures/${name}.onnx`, import.meta.url);

/** Uniform in [-0.1, 0.1) and in [0.4, 0.8): what is added by channel, and what is multiplied with. */
const shift = (name: string, shape: Shape) => namedTensor(`${name}.bias`, shape).data;
const scale = (name: string, shape: Shape) => shift(name, shape).map((v) => 0.6 + 2 * v);

/**
 * A fixture (see fixtures/make-pytorch.py and make-tensorflow.py) and the external data that its large initialisers are in, filled by their names
 * and, where these tell nothing, by what they are for.
 */
export function refilled(name: string): { bytes: Uint8Array; external: Record<string, Uint8Array> } {
  const bytes = new Uint8Array(readFileSync(fixture(name)));
  const { graph } = decodeModel(bytes);
  const outside = [...graph.initializers.values()].flatMap((tensor) =>
    tensor.external ? [{ tensor, ...tensor.external }] : [],
  );
  const factors = new Set(graph.nodes.flatMap(({ opType, inputs }) => (opType === 'Mul' ? inputs : [])));
  const total = outside.reduce((n, { tensor }) => n + byteLength(tensor), 0);
  const data = new Uint8Array(total);
  for (const { tensor, offset } of outside) {
    const { name: key, shape } = tensor;
    const perChannel = shape.filter((d) => d !== 1).length === 1;
    const known = /\.(weight|bias|running_mean|running_var)$/.test(key);
    const fill =
      known || !perChannel ? (name: string, of: Shape) => namedTensor(name, of).data : factors.has(key) ? scale : shift;
    data.set(new Uint8Array(fill(key, shape).buffer), offset);
  }
  return { bytes, external: { [`${name}.bin`]: data } };
}

/** The logits of a fixture in onnxruntime, of pictures `[N,3,H,W]`; of one that gives probabilities, their logarithms. */
export async function runRefilled(
  { bytes, external }: ReturnType<typeof refilled>,
  { shape, data }: { shape: Shape; data: Float32Array },
): Promise<Result> {
  const { graph } = decodeModel(bytes);
  const [output] = graph.outputs;
  const probabilities = graph.nodes.some(({ opType, outputs }) => opType === 'Softmax' && outputs[0] === output.name);
  const channelsLast = graph.inputs[0].shape?.[3] === 3;
  const net = await onnxClassifier('the fixture', bytes, { input: shape, external, probabilities, channelsLast });
  try {
    return (await net.run({ image: data })).logits;
  } finally {
    await net.close();
  }
}
