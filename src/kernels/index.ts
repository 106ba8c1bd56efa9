import { arg } from './args';
import { conv } from './conv';
import { correlation, correlationPack } from './correlation';
import { depthwise } from './depthwise';
import { affine, binary, prelu, unary } from './elementwise';
import { fewOutputs } from './few-outputs';
import { int8Call } from './int8';
import { instanceNorm, instanceStatistics } from './instance-norm';
import { layerNorm } from './layer-norm';
import { copy, toChannelsFirst, toChannelsLast } from './layout';
import { CallFlag, Opcode } from './opcodes';
import { globalAveragePool, pool } from './pool';
import { resize } from './resize';
import { first, last } from './share';
import { softmax } from './softmax';
import { announce, arrive, awaitWork } from './threads';
import { trainingCall } from './training';
import { winograd } from './winograd';

// A program is a list of calls in memory: the kernel's number, how many arguments follow, the arguments. All threads run the same
// program, each taking its share of every kernel, and meet behind each call. A call may be a loop, whose arguments are calls again. Builds without
// TRAINING have neither loops nor the kernels of training: a quarter less for a page to load.

/** Runs the calls between `at` and `end`. */
export function run(at: usize, end: usize, tid: i32, threads: i32, sync: usize, mayWait: i32): void {
  let met = true;
  while (at < end) {
    const opcode = load<i32>(at);
    const args = at + 8;
    if (TRAINING && (opcode & ~CallFlag.Alone) == Opcode.Loop) loop(args, tid, threads, sync, mayWait);
    else call(opcode & ~CallFlag.Alone, args, tid, threads);
    at = args + ((<usize>load<i32>(at, 4)) << 2);
    met = (opcode & CallFlag.Alone) == 0;
    if (ASC_FEATURE_THREADS && met) arrive(sync, threads, mayWait);
  }
  // Whoever called is told that all threads are done.
  if (ASC_FEATURE_THREADS && !met) arrive(sync, threads, mayWait);
}

/**
 * Some calls, one block of a batch after the other: what one kernel writes is still in the cache when the next reads it, and threads that have
 * blocks of their own need not meet.
 * Arguments: 0 blocks, 1 calls, 2 scratch, 3 its bytes for each thread, then of each call: the kernel's number, how many arguments follow, the
 * arguments of block 0, how far each moves from block to block, and from thread to thread (working memory, what only one block needs).
 */
function loop(p: usize, tid: i32, threads: i32, sync: usize, mayWait: i32): void {
  const blocks = arg(p, 0);
  // Blocks too few for every thread to have one: all work on the same.
  const together = blocks < threads;
  const own = together ? 0 : tid;
  const args = <usize>arg(p, 2) + <usize>(tid * arg(p, 3));
  const end = together ? blocks : last(blocks, 1, tid, threads);
  for (let block = together ? 0 : first(blocks, 1, tid, threads); block < end; block++) {
    let at = p + 16;
    for (let i = arg(p, 1); i > 0; i--) {
      const size = <usize>arg(at, 1) << 2;
      const opcode = arg(at, 0);
      at += 8;
      const stop = at + size;
      for (let y = args; at < stop; at += 4, y += 4) {
        store<i32>(y, load<i32>(at) + block * load<i32>(at + size) + own * load<i32>(at + (size << 1)));
      }
      at += size << 1;
      if (together) {
        call(opcode, args, tid, threads);
        if (ASC_FEATURE_THREADS) arrive(sync, threads, mayWait);
      } else call(opcode, args, 0, 1);
    }
  }
}

function call(opcode: i32, args: usize, tid: i32, threads: i32): void {
  switch (opcode) {
    case Opcode.Conv:
      return conv(args, tid, threads);
    case Opcode.Depthwise:
      return depthwise(args, tid, threads);
    case Opcode.Affine:
      return affine(args, tid, threads);
    case Opcode.Unary:
      return unary(args, tid, threads);
    case Opcode.Binary:
      return binary(args, tid, threads);
    case Opcode.Pool:
      return pool(args, tid, threads);
    case Opcode.GlobalAveragePool:
      return globalAveragePool(args, tid, threads);
    case Opcode.Softmax:
      return softmax(args, tid, threads);
    case Opcode.Copy:
      return copy(args, tid, threads);
    case Opcode.ToChannelsLast:
      return toChannelsLast(args, tid, threads);
    case Opcode.ToChannelsFirst:
      return toChannelsFirst(args, tid, threads);
    case Opcode.InstanceStatistics:
      return instanceStatistics(args, tid, threads);
    case Opcode.InstanceNorm:
      return instanceNorm(args, tid, threads);
    case Opcode.PRelu:
      return prelu(args, tid, threads);
    case Opcode.Resize:
      return resize(args, tid, threads);
    case Opcode.CorrelationPack:
      return correlationPack(args, tid, threads);
    case Opcode.Correlation:
      return correlation(args, tid, threads);
    case Opcode.Winograd:
      return winograd(args, tid, threads);
    case Opcode.FewOutputs:
      return fewOutputs(args, tid, threads);
    case Opcode.LayerNorm:
      return layerNorm(args, tid, threads);
    default:
      if (opcode >= Opcode.Int8Conv) int8Call(opcode, args, tid, threads);
      else if (TRAINING) trainingCall(opcode, args, tid, threads);
  }
}

/** The life of a helper thread: runs what {@link start} announces until it is told to stop. */
export function work(sync: usize, tid: i32, threads: i32): void {
  if (ASC_FEATURE_THREADS) {
    let seen = 0;
    while (true) {
      seen = awaitWork(sync, seen);
      const at = <usize>load<u32>(sync, 16);
      if (at == 0) return;
      run(at, <usize>load<u32>(sync, 20), tid, threads, sync, 1);
    }
  }
}

/** Announces the calls between `at` and `end` to the helper threads; the caller then runs them as thread 0. `at` 0 ends the helpers. */
export function start(at: usize, end: usize, sync: usize): void {
  if (ASC_FEATURE_THREADS) {
    store<u32>(sync, <u32>at, 16);
    store<u32>(sync, <u32>end, 20);
    announce(sync);
  }
}

export { checksum, widen } from './loading';
