import { activationOp } from '../../ops/activation.js';
import { batchNormOp } from '../../ops/batch-norm.js';
import { batchNormPair, batchNormPairOp, type NormOperands } from '../../ops/batch-norm-pair.js';
import { batchNormTrain, batchNormTrainOp, batchStatistics, rowOf } from '../../ops/batch-norm-train.js';
import { type BinaryAttrs, binaryOp } from '../../ops/binary.js';
import { dropoutOp } from '../../ops/dropout.js';
import { dropoutTrain } from '../../ops/dropout-train.js';
import { rowsAndChannels } from '../../ops/shapes.js';
import { average } from '../../ops/update.js';
import { sameShape } from '../../tensor/tensor.js';
import { input } from '../leaves.js';
import { apply, type Graph, isOp, rewrite, type Value } from '../value.js';
import { onlyReadOnce } from './readers.js';

export interface TrainingForm {
  /** The graph with an input `seed` beside its own where it has dropout. */
  readonly graph: Graph;
  /** The updates of running statistics, for the end of a step. */
  readonly updates: readonly Value[];
}

/**
 * The graph as it is trained: batch norms use the batch's statistics and update the running ones (with the unbiased variance, as PyTorch does),
 * dropout drops. With the statistics `running`, batch norms stay as they are and update nothing. A ReLU behind a batch norm becomes part of it: the gradient then needs nothing but the batch norm's input.
 */
export function trainingForm(graph: Graph, statistics: 'batch' | 'running' = 'batch'): TrainingForm {
  const updates: Value[] = [];
  const seed = input('seed', [1]);
  let salt = 0;
  const onceRead = onlyReadOnce(graph);
  const trained = rewrite(graph, (value, original) => {
    if (isOp(value, batchNormOp) && statistics === 'batch') {
      const [x, weight, bias, mean, variance] = value.inputs;
      const { epsilon, momentum, activation } = value.attrs;
      const ofBatch = batchStatistics(x);
      updates.push(...runningUpdates(ofBatch, mean, variance, momentum, rowsAndChannels(x.shape).rows));
      return batchNormTrain([x, weight, bias, ofBatch], { epsilon, activation });
    }
    const [x] = value.inputs;
    if (isOp(value, activationOp) && value.attrs.kind === 'relu' && onceRead(original.inputs[0])) {
      if (isOp(x, batchNormTrainOp)) return apply(x.op, x.inputs, { ...x.attrs, activation: 'relu' });
      if (isOp(x, batchNormPairOp)) return apply(x.op, x.inputs, { ...x.attrs, activation: 'relu' });
    }
    if (isOp(value, binaryOp) && value.attrs.kind === 'add' && original.inputs.every(onceRead)) {
      return pairOf(value) ?? value;
    }
    if (isOp(value, dropoutOp)) return dropoutTrain(x, seed, value.attrs.p, salt++);
    return value;
  });
  return { graph: salt > 0 ? { ...trained, inputs: { ...trained.inputs, seed } } : trained, updates };
}

/** The sum of two batch norms of one shape as one operator. */
function pairOf(sum: Value<BinaryAttrs>): Value | undefined {
  const [a, b] = sum.inputs;
  const plain = (v: Value) => isOp(v, batchNormTrainOp) && v.attrs.activation === 'none';
  if (sum.attrs.activation !== 'none' || !plain(a) || !plain(b) || !sameShape(a.shape, b.shape)) return undefined;
  const [first, second] = [a, b].map((v) => v.inputs as unknown as NormOperands);
  return batchNormPair(first, second, { activation: 'none' });
}

function runningUpdates(statistics: Value, mean: Value, variance: Value, momentum: number, count: number): Value[] {
  // PyTorch's momentum is the weight of the new statistics; its running variance is the unbiased one.
  return [
    average(mean, rowOf(statistics, 0), momentum),
    average(variance, rowOf(statistics, 1), momentum, count > 1 ? count / (count - 1) : 1),
  ];
}
