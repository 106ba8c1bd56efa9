import type { Loader } from '../data/loader/loader.js';
import type { Runner } from '../runtime/runner.js';
import { GhostkitError } from '../tensor/error.js';
import { Evaluation } from './metrics.js';

/** Pictures that are evaluated together. */
export const EVALUATION_BATCH = 50;

export interface EvaluateOptions {
  /** Stops the evaluation, which is then undefined. */
  readonly signal?: AbortSignal;
  /** Called with the number of pictures behind it. */
  readonly onProgress?: (done: number, total: number) => void;
  /** For each class of the data set its number in the model; by default the same. */
  readonly classOf?: ArrayLike<number>;
}

/**
 * Runs a compiled model, or what else runs a network, made for the loader's batches, over all pictures of a loader for evaluation.
 *
 * @throws GhostkitError when none of the pictures can be read.
 */
export async function evaluate(
  net: Pick<Runner, 'outputs' | 'run'>,
  loader: Loader,
  { signal, onProgress, classOf }: EvaluateOptions = {},
): Promise<Evaluation | undefined> {
  const evaluation = new Evaluation(net.outputs.logits[1]);
  let done = 0;
  for await (const { images, labels, indices, count } of loader.epoch(0)) {
    if (signal?.aborted) return undefined;
    const truths = classOf ? labels.map((label) => (label < 0 ? label : classOf[label])) : labels;
    if (count > 0) evaluation.add((await net.run({ image: images })).logits.data, truths, indices, count);
    done += loader.options.batchSize;
    onProgress?.(Math.min(done, loader.dataset.length), loader.dataset.length);
  }
  if (evaluation.count === 0) {
    const [first] = loader.unreadable;
    throw new GhostkitError(`none of the pictures for evaluation can be read${first ? `; ${first.reason}` : ''}`);
  }
  return evaluation;
}
