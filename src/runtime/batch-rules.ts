import type { Arg, Buffer, Place } from '../graph/lowering.js';
import { Opcode } from '../kernels/opcodes.js';
import { blocksOf } from '../ops/batch-blocks.js';
import type { Call } from './lower.js';

// Which kernels can work on a part of a batch: what of their arguments counts images, and how far what they read and write moves with them.

/** An operand of which each block has its own part. */
export interface Part {
  /** The number of the argument that says where it is. */
  readonly arg: number;
  /** Floats of a block. */
  readonly floats: number;
  readonly writes: boolean;
}

/** A call as it is for one of `blocks` parts of the batch. */
export interface BlockCall {
  readonly call: Call;
  readonly parts: readonly Part[];
  /** The argument that is working memory, and its bytes for each thread. */
  readonly scratch?: { readonly arg: number; readonly bytes: number };
}

interface Rule {
  /** The most blocks that the call can be divided into; every divisor of them will do. {@link ANY} that of others, 1 where it cannot be divided. */
  blocks(a: readonly number[]): number;
  /** Arguments that count something of which each block has its share. */
  readonly counts: readonly number[] | ((a: readonly number[]) => readonly number[]);
  /** Operands: where, floats of the whole batch, whether they are written. */
  parts(a: readonly number[]): readonly (readonly [arg: number, floats: number, writes?: boolean])[];
  readonly scratch?: readonly [arg: number, bytes: number];
}

/** Convolutions, whatever they compute: N, H, W, C, OH, OW stand in one order. */
const convolutionBlocks = (a: readonly number[]) => {
  const [n, h, w, , oh, ow] = a.slice(4, 10);
  return commonBlocks(blocksOf(n, n * h * w), blocksOf(n, n * oh * ow));
};
const source = (a: readonly number[]) => a[4] * a[5] * a[6] * a[1];
const result = (a: readonly number[], stride: number) => a[4] * a[8] * a[9] * a[stride];

/** As many blocks as its neighbours have. */
export const ANY = 0;

/** Elements of an image that are worth a kernel's beginning. */
const FEWEST_ELEMENTS = 1024;

export function commonBlocks(a: number, b: number): number {
  return b === 0 ? a : commonBlocks(b, a % b);
}

type Floats = (a: readonly number[]) => number;

/** A convolution with further operands. */
const convolution = (others: readonly (readonly [arg: number, floats: Floats])[]): Rule => ({
  blocks: convolutionBlocks,
  counts: [4],
  parts: (a) => [[0, source(a)], [2, result(a, 3), true], ...others.map(([arg, floats]) => [arg, floats(a)] as const)],
});

/** Sums over rows, chunk by chunk: where the rows of a block, its chunks and all chunks are told, what is summed, the partial sums, the scratch. */
const chunkSums = (
  { rows, perBlock, chunks }: Readonly<Record<'rows' | 'perBlock' | 'chunks', number>>,
  reads: readonly number[],
  partial: number,
  floats: Floats,
  scratch: number,
): Rule => ({
  blocks: (a) => a[chunks] / a[perBlock],
  counts: [chunks],
  parts: (a) => [
    ...reads.map((i) => [i, (a[chunks] / a[perBlock]) * a[rows] * a[i + 1]] as const),
    [partial, a[chunks] * floats(a), true],
  ],
  scratch: [scratch, scratch + 1],
});

/** Rules for a batch of `images`. */
export function batchRules(images: number): Partial<Record<Opcode, Rule>> {
  // Kernels that take rows of pixels do not know of images; that their rows are those of the batch shows in what they have to do with others.
  const ofRows = (rows: number) => blocksOf(images, rows);
  /** `count` rows; operands stand before their row strides. */
  const rowKernel = (count: number, reads: readonly number[], writes: readonly number[]): Rule => ({
    blocks: (a) => ofRows(a[count]),
    counts: [count],
    parts: (a) => [
      ...reads.map((i) => [i, a[count] * a[i + 1]] as const),
      ...writes.map((i) => [i, a[count] * a[i + 1], true] as const),
    ],
  });
  const ofElements = (elements: number) => (elements >= FEWEST_ELEMENTS ? ANY : 1);
  return {
    [Opcode.Unary]: rowKernel(4, [0], [2]),
    [Opcode.Copy]: rowKernel(4, [0], [2]),
    [Opcode.Binary]: {
      // One long row, or images with strides of their own.
      blocks: (a) => {
        const long = a[15] * a[16] * a[17] === 1 && a[18] % images === 0;
        if (long) return ofElements(a[18] / images);
        return a[15] === images && a[11] > 0 ? ofElements(a[16] * a[17] * a[18]) : 1;
      },
      counts: (a) => (a[15] > 1 ? [15] : [18]),
      parts: (a) => [0, 5, 10].map((i) => [i, a[15] > 1 ? a[15] * a[i + 1] : a[18] * a[i + 4], i === 10]),
    },
    [Opcode.GlobalAveragePool]: {
      blocks: (a) => blocksOf(a[4], a[4] * a[6]),
      counts: [4],
      parts: (a) => [
        [0, a[4] * a[6] * a[1]],
        [2, a[4] * a[3], true],
      ],
    },
    [Opcode.SumTo]: {
      // One sum for each image and channel.
      blocks: (a) => (a[6] > 0 && a[7] === 0 && a[8] === 0 && a[9] > 0 ? blocksOf(a[10], a[10] * a[11] * a[12]) : 1),
      counts: [10],
      parts: (a) => [
        [0, a[10] * a[11] * a[12] * a[1]],
        [2, a[10] * a[11] * a[12] * a[3]],
        [5, a[10] * a[6], true],
      ],
    },
    [Opcode.ActivationGradient]: rowKernel(6, [0, 2], [4]),
    [Opcode.Conv]: {
      ...convolution([
        [21, (a) => result(a, 22)],
        [23, (a) => a[4] * a[24]],
      ]),
      scratch: [27, 28],
    },
    [Opcode.Depthwise]: convolution([[19, (a) => result(a, 20)]]),
    [Opcode.DepthwiseInputGradient]: convolution([[17, (a) => result(a, 18)]]),
    [Opcode.ConvWeightGradient]: {
      blocks: (a) => commonBlocks(convolutionBlocks(a), a[20]),
      counts: [4, 20],
      parts: (a) => [
        [0, source(a)],
        [2, result(a, 3)],
        [19, a[20] * Math.ceil(a[10] / 4) * a[11] * a[12] * Math.ceil(a[7] / 8) * 32, true],
      ],
    },
    [Opcode.DepthwiseWeightGradient]: {
      blocks: (a) => commonBlocks(convolutionBlocks(a), a[19]),
      counts: [4, 19],
      parts: (a) => [
        [0, source(a)],
        [2, result(a, 3)],
        [18, a[19] * Math.ceil(a[7] / 4) * a[10] * a[11] * 4, true],
      ],
      scratch: [20, 21],
    },
    [Opcode.Affine]: rowKernel(4, [0], [2]),
    [Opcode.BatchNormPair]: rowKernel(6, [0, 2], [4]),
    [Opcode.BatchMoments]: chunkSums({ rows: 2, perBlock: 5, chunks: 6 }, [0], 7, (a) => 6 * a[8], 9),
    [Opcode.BatchNormSums]: chunkSums({ rows: 4, perBlock: 12, chunks: 13 }, [0, 2], 10, (a) => 4 * a[11], 14),
    [Opcode.BatchNormPairSums]: chunkSums({ rows: 6, perBlock: 16, chunks: 17 }, [0, 2, 4], 14, (a) => 6 * a[15], 18),
    [Opcode.BatchNormInputGradient]: rowKernel(6, [0, 2], [4]),
    [Opcode.BatchNormPairInputGradient]: rowKernel(10, [0, 2, 4], [6, 8]),
  };
}

export const isPlace = (arg: Arg): arg is Place => typeof arg === 'object' && 'buffer' in arg;

/** An argument as a number to count with; places and floats are none. */
export const numberArg = ({ args }: Call, i: number): number => {
  const arg = args[i];
  return typeof arg === 'number' ? arg : 0;
};

const numbersOf = (call: Call) => call.args.map((_, i) => numberArg(call, i));

/** How many blocks a call can be divided into: 1 where it cannot. */
export function blocksOfCall(call: Call, rules: Rules): number {
  return rules[call.opcode]?.blocks(numbersOf(call)) ?? 1;
}

/** The operands of a call that move with the images, for `blocks` blocks of them. */
export function blockCall(call: Call, blocks: number, rules: Rules): BlockCall {
  const rule = rules[call.opcode] as Rule;
  const numbers = numbersOf(call);
  const parts = rule
    .parts(numbers)
    .filter(([arg, floats]) => floats > 0 && isPlace(call.args[arg]))
    .map(([arg, floats, writes = false]) => ({ arg, floats: floats / blocks, writes }));
  const counts = typeof rule.counts === 'function' ? rule.counts(numbers) : rule.counts;
  const args = call.args.map((arg, i) => (counts.includes(i) ? numbers[i] / blocks : arg));
  const scratch = rule.scratch && isPlace(call.args[rule.scratch[0]]) ? rule.scratch : undefined;
  return {
    call: { ...call, args },
    parts,
    ...(scratch && { scratch: { arg: scratch[0], bytes: numbers[scratch[1]] } }),
  };
}

export type Rules = ReturnType<typeof batchRules>;

/** What a call does with a buffer that changes. */
export interface Access {
  readonly buffer: Buffer;
  readonly writes: boolean;
  /** Floats of all blocks, where each has its part. */
  readonly whole?: number;
}

export function accesses(call: Call, rules: Rules): Access[] {
  const places = call.args.flatMap((arg, i) => (isPlace(arg) && !arg.buffer.data ? [{ i, buffer: arg.buffer }] : []));
  if (!rules[call.opcode]) return places.map(({ buffer }) => ({ buffer, writes: true }));
  const { parts } = blockCall(call, 1, rules);
  return places.map(({ i, buffer }) => {
    const part = parts.find(({ arg }) => arg === i);
    return { buffer, writes: part?.writes ?? false, whole: part?.floats };
  });
}

/** Calls that follow each other for every block of the batch. */
export interface Loop {
  readonly blocks: number;
  readonly calls: readonly Call[];
}

export const isLoop = (step: Call | Loop): step is Loop => 'blocks' in step;
