import { GhostkitError } from '../../tensor/error.js';
import { type FloatTensor, formatShape, type Shape, sizeOf } from '../../tensor/tensor.js';
import { storedOrder } from '../layout.js';
import type { Runner } from '../runner.js';
import { openSession, type SessionOptions } from './onnxruntime.js';

export interface OnnxClassifierOptions extends SessionOptions {
  /** The shape of the pictures, `[N,C,H,W]`. */
  readonly input: Shape;
  /** Whether the file takes them as `[N,H,W,C]`. */
  readonly channelsLast?: boolean;
  /** Whether the file's scores are probabilities: `logits` are then their logarithms. */
  readonly probabilities?: boolean;
}

/** Less than this a probability's logarithm is not told from. */
const LEAST = 1e-30;

/**
 * Makes a classifier in an ONNX file ready in onnxruntime, as a compiled model is: input `image`, output `logits`. The file's first input
 * and output are meant, whatever their names.
 *
 * @param what What it is, for messages.
 * @throws GhostkitError when onnxruntime is not installed, has none of the providers, cannot read the file, or the file is no classifier.
 */
export async function onnxClassifier(
  what: string,
  model: string | Uint8Array,
  { input, channelsLast = false, probabilities = false, ...options }: OnnxClassifierOptions,
): Promise<Runner & { readonly runtime: string }> {
  const session = await openSession(what, model, options);
  const [name] = session.inputs;
  const [output] = session.outputs;
  const run = async (image: Float32Array): Promise<FloatTensor> => {
    const [n, c, h, w] = input;
    const stored = channelsLast ? storedOrder(input, image) : image;
    const picture = { dtype: 'float32' as const, shape: channelsLast ? [n, h, w, c] : input, data: stored };
    const { shape, data } = (await session.run({ [name]: picture }))[output];
    const classes = sizeOf(shape) / input[0];
    if (shape[0] !== input[0] || shape[1] !== classes) {
      throw new GhostkitError(`${what} is no classifier: its output is ${formatShape(shape)}`);
    }
    const logits = probabilities ? data.map((p) => Math.log(Math.max(p, LEAST))) : data;
    return { dtype: 'float32', shape: [input[0], classes], data: logits };
  };
  // Many files do not say how many classes they have: a first run does, and pays for what onnxruntime puts off until then.
  let first: FloatTensor;
  try {
    first = await run(new Float32Array(sizeOf(input)));
  } catch (error) {
    await session.close();
    throw error;
  }
  return {
    runtime: session.runtime,
    outputs: { logits: first.shape },
    async run({ image }) {
      const data = image instanceof Float32Array ? image : image?.data;
      if (data?.length !== sizeOf(input)) throw new GhostkitError(`input image: needs ${formatShape(input)}`);
      return { logits: await run(data) };
    },
    close: () => session.close(),
  };
}
