import { Opcode } from './opcodes';
import { convWeightGradient, convWeightGradientEnd } from './train-conv';
import { depthwiseInputGradient } from './train-depthwise-input';
import { depthwiseWeightGradient, depthwiseWeightGradientEnd } from './train-depthwise';
import { activationGradient, crossEntropy, crossEntropyGradient, sumTo } from './train-loss';
import { batchMoments, batchMomentsEnd, batchNormAffine, sumChunks } from './train-norm';
import { batchNormInputGradient, batchNormSums } from './train-norm-gradient';
import { batchNormPair, batchNormPairInputGradient, batchNormPairSums } from './train-norm-pair';
import { dilate, packDepthwise, packPanels } from './train-pack';
import { poolGradient } from './train-pool';
import { adamw, average, clipFactor, dropout, sgd, squaredNorm } from './train-update';

/** The kernels of training steps. */
export function trainingCall(opcode: i32, args: usize, tid: i32, threads: i32): void {
  switch (opcode) {
    case Opcode.BatchMoments:
      return batchMoments(args, tid, threads);
    case Opcode.BatchMomentsEnd:
      return batchMomentsEnd(args, tid, threads);
    case Opcode.SumChunks:
      return sumChunks(args, tid, threads);
    case Opcode.BatchNormAffine:
      return batchNormAffine(args, tid, threads);
    case Opcode.BatchNormSums:
      return batchNormSums(args, tid, threads);
    case Opcode.BatchNormInputGradient:
      return batchNormInputGradient(args, tid, threads);
    case Opcode.ConvWeightGradient:
      return convWeightGradient(args, tid, threads);
    case Opcode.ConvWeightGradientEnd:
      return convWeightGradientEnd(args, tid, threads);
    case Opcode.DepthwiseInputGradient:
      return depthwiseInputGradient(args, tid, threads);
    case Opcode.DepthwiseWeightGradient:
      return depthwiseWeightGradient(args, tid, threads);
    case Opcode.DepthwiseWeightGradientEnd:
      return depthwiseWeightGradientEnd(args, tid, threads);
    case Opcode.PackPanels:
      return packPanels(args, tid, threads);
    case Opcode.PackDepthwise:
      return packDepthwise(args, tid, threads);
    case Opcode.Dilate:
      return dilate(args, tid, threads);
    case Opcode.CrossEntropy:
      return crossEntropy(args, tid, threads);
    case Opcode.CrossEntropyGradient:
      return crossEntropyGradient(args, tid, threads);
    case Opcode.ActivationGradient:
      return activationGradient(args, tid, threads);
    case Opcode.SumTo:
      return sumTo(args, tid, threads);
    case Opcode.Sgd:
      return sgd(args, tid, threads);
    case Opcode.AdamW:
      return adamw(args, tid, threads);
    case Opcode.Average:
      return average(args, tid, threads);
    case Opcode.SquaredNorm:
      return squaredNorm(args, tid, threads);
    case Opcode.ClipFactor:
      return clipFactor(args, tid, threads);
    case Opcode.Dropout:
      return dropout(args, tid, threads);
    case Opcode.BatchNormPair:
      return batchNormPair(args, tid, threads);
    case Opcode.BatchNormPairSums:
      return batchNormPairSums(args, tid, threads);
    case Opcode.BatchNormPairInputGradient:
      return batchNormPairInputGradient(args, tid, threads);
    case Opcode.PoolGradient:
      return poolGradient(args, tid, threads);
    default:
      unreachable();
  }
}
