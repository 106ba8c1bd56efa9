import { CallFlag, Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { imageBytes, type Program } from './program.js';

// A compiled model may come from anywhere, and a checksum only tells of accidents. Before it runs, every call is therefore looked at: what a
// kernel reads and writes has to lie in the program's own memory, and what it writes behind the calls and the weights. All that a kernel
// counts is stored somewhere, so only a model that claims much memory can keep one busy for long. Kernels' arguments stand at the head of their
// files.

/** What a call touches, in elements: rows of `channels`, `stride` apart. */
interface Span {
  readonly writes: boolean;
  readonly at: number;
  readonly rows: number;
  readonly stride: number;
  readonly channels: number;
  /** Bytes of an element. */
  readonly bytes: number;
  /** Whether there may be nothing in it. */
  readonly mayBeEmpty?: true;
}

type Rule = (a: Int32Array, threads: number) => readonly Span[];

const span = (writes: boolean, bytes: number) => (at: number, rows: number, stride: number, channels: number) => ({
  ...{ writes, at, rows, stride, channels, bytes },
});
const reads = span(false, 4);
const writes = span(true, 4);
const readsBytes = span(false, 1);
const writesBytes = span(true, 1);

/** Elements one behind the other. */
const run = (at: number, count: number) => reads(at, 1, 0, count);
/** An optional operand, absent where its address is 0. */
const maybe = (at: number, of: Span): Span[] => (at === 0 ? [] : [of]);
/** Working memory: `bytes` for each thread. */
const scratch = (at: number, bytes: number, threads: number): Span => ({
  ...writesBytes(at, threads, bytes, bytes),
  mayBeEmpty: true,
});
const upTo = (v: number, multiple: number) => Math.ceil(v / multiple) * multiple;

/** Rows of one operand to rows of another. */
const rowWise: Rule = (a) => [reads(a[0], a[4], a[1], a[5]), writes(a[2], a[4], a[3], a[5])];

const conv: Rule = (a, threads) => {
  const [pixels, rows] = [a[4] * a[5] * a[6], a[4] * a[8] * a[9]];
  return [
    reads(a[0], pixels, a[1], a[7]),
    writes(a[2], rows, a[3], a[10]),
    run(a[19], a[10] * a[7] * a[11] * a[12]),
    run(a[20], a[10]),
    ...maybe(a[21], reads(a[21], rows, a[22], a[10])),
    ...maybe(a[23], reads(a[23], a[4], a[24], a[7])),
    run(a[26], a[7]),
    scratch(a[27], a[28], threads),
  ];
};

/** Operands of four strides over four sizes; where one is not repeated its elements are apart. */
const binary: Rule = (a) => {
  const sizes = a.subarray(15, 19);
  const last = (i: number) => [...sizes].reduce((sum, size, d) => sum + (size - 1) * a[i + 1 + d], 1);
  const count = sizes.reduce((n, size) => n * size, 1);
  // As many elements as are counted have room behind where they are written.
  return [run(a[0], last(0)), run(a[5], last(5)), writes(a[10], 1, 0, Math.max(last(10), count))];
};

type Rules = Partial<Record<Opcode, readonly [args: number, rule: Rule]>>;

/** What kernels/int8-depthwise-dots.ts keeps: constants, rows of a part of the channels, sums of tiles. */
const dotsBytes = (a: Int32Array) => 96 + 4 * a[29] * a[30] * a[31] + 64 * Math.max(32, Math.ceil(a[9] / 4));

/** So many bytes where there is room for them, else more than any memory has. */
const inside = (room: number, bytes: number) => (bytes <= room ? bytes : Number.POSITIVE_INFINITY);

/** Activations are bytes there, but for what is named otherwise. */
function int8Rules(): Rules {
  const rowWise: Rule = (a) => [readsBytes(a[0], a[4], a[1], a[5]), writesBytes(a[2], a[4], a[3], a[5])];
  return {
    [Opcode.Int8Conv]: [
      34,
      (a, threads) => {
        const rows = a[4] * a[8] * a[9];
        return [
          readsBytes(a[0], a[4] * a[5] * a[6], a[1], a[7]),
          (a[25] === 0 ? writesBytes : writes)(a[2], rows, a[3], a[10]),
          readsBytes(a[19], 1, 0, a[10] * a[7] * a[11] * a[12]),
          run(a[20], a[10]),
          run(a[21], a[10]),
          scratch(a[22], a[23], threads),
          ...maybe(a[31], readsBytes(a[31], rows, a[32], a[10])),
        ];
      },
    ],
    [Opcode.Int8Depthwise]: [
      32,
      (a, threads) => [
        readsBytes(a[0], a[4] * a[5] * a[6], a[1], a[7]),
        writesBytes(a[2], a[4] * a[8] * a[9], a[3], a[7]),
        readsBytes(a[18], 1, 0, upTo(a[7], 8) * (6 + a[10] * a[11])),
        ...maybe(a[28], readsBytes(a[28], 1, 0, a[7] * a[10] * upTo(a[11], 4))),
        // The rows that the dot products keep, for a part of the channels at a time, which cannot be none; all that a thread keeps is in its share.
        ...maybe(a[28], writesBytes(a[26], a[29], 4 * a[30] * a[31], 4 * a[30] * a[31])),
        ...maybe(a[28], writesBytes(a[26], 1, 0, inside(a[27], dotsBytes(a)))),
        ...maybe(a[22], readsBytes(a[22], a[4] * a[8] * a[9], a[23], a[7])),
        scratch(a[26], a[27], threads),
      ],
    ],
    [Opcode.Int8FromPlanes]: [10, (a) => [run(a[0], a[3] * a[4] * a[5]), writesBytes(a[1], a[3] * a[5], a[2], a[4])]],
    [Opcode.Int8FromFloats]: [10, (a) => [reads(a[0], a[4], a[1], a[5]), writesBytes(a[2], a[4], a[3], a[5])]],
    [Opcode.Int8ToFloats]: [8, (a) => [readsBytes(a[0], a[4], a[1], a[5]), writes(a[2], a[4], a[3], a[5])]],
    [Opcode.Int8Copy]: [6, rowWise],
    [Opcode.Int8Table]: [7, (a, threads) => [...rowWise(a, threads), readsBytes(a[6], 1, 0, 256)]],
    [Opcode.Int8Add]: [
      14,
      (a) => [
        readsBytes(a[0], a[6], a[1], a[7]),
        readsBytes(a[2], a[6], a[3], a[7]),
        writesBytes(a[4], a[6], a[5], a[7]),
      ],
    ],
    [Opcode.Int8Gate]: [
      17,
      (a, threads) => [
        readsBytes(a[0], a[4] * a[6], a[1], a[5]),
        writesBytes(a[2], a[4] * a[6], a[3], a[5]),
        reads(a[7], a[4], a[8], a[5]),
        scratch(a[15], a[16], threads),
      ],
    ],
    [Opcode.Int8GlobalAveragePool]: [
      11,
      (a) => [readsBytes(a[0], a[4] * a[6], a[1], a[5]), writesBytes(a[2], a[4], a[3], a[5])],
    ],
  };
}

const RULES: Rules = {
  [Opcode.Conv]: [29, conv],
  [Opcode.FewOutputs]: [29, conv],
  [Opcode.Depthwise]: [
    22,
    (a) => [
      reads(a[0], a[4] * a[5] * a[6], a[1], a[7]),
      writes(a[2], a[4] * a[8] * a[9], a[3], a[7]),
      run(a[18], upTo(a[7], 4) * (1 + a[10] * a[11])),
      a[20] === 0 ? run(a[19], a[7]) : reads(a[19], a[4] * a[8] * a[9], a[20], a[7]),
    ],
  ],
  [Opcode.Winograd]: [
    21,
    (a, threads) => [
      reads(a[0], a[4] * a[5] * a[6], a[1], a[7]),
      writes(a[2], a[4] * a[8] * a[9], a[3], a[10]),
      run(a[13], 36 * a[10] * a[7]),
      run(a[14], a[10]),
      ...maybe(a[15], reads(a[15], a[4] * a[8] * a[9], a[16], a[10])),
      scratch(a[18], a[19], threads),
      // Tiles are counted for each of the interleaved images, even where these are smaller than one.
      run(a[0], a[20] * a[20]),
    ],
  ],
  [Opcode.Affine]: [9, (a, threads) => [...rowWise(a, threads), run(a[6], a[5]), run(a[7], a[5])]],
  [Opcode.Unary]: [7, rowWise],
  [Opcode.PRelu]: [7, (a, threads) => [...rowWise(a, threads), run(a[6], a[5])]],
  [Opcode.Softmax]: [6, rowWise],
  [Opcode.Copy]: [6, rowWise],
  [Opcode.Binary]: [21, binary],
  [Opcode.Pool]: [
    18,
    (a) => [reads(a[0], a[4] * a[6] * a[7], a[1], a[5]), writes(a[2], a[4] * a[8] * a[9], a[3], a[5])],
  ],
  [Opcode.GlobalAveragePool]: [7, (a) => [reads(a[0], a[4] * a[6], a[1], a[5]), writes(a[2], a[4], a[3], a[5])]],
  [Opcode.ToChannelsLast]: [6, (a) => [run(a[0], a[3] * a[4] * a[5]), writes(a[1], a[3] * a[5], a[2], a[4])]],
  [Opcode.ToChannelsFirst]: [6, (a) => [reads(a[0], a[3] * a[5], a[1], a[4]), writes(a[2], 1, 0, a[3] * a[4] * a[5])]],
  [Opcode.InstanceStatistics]: [
    6,
    (a) => [
      reads(a[0], a[3] * a[4], a[1], a[5]),
      writes(a[2], 1, 0, a[3] * Math.ceil(a[4] / 1024) * upTo(a[5], 4) * 4),
    ],
  ],
  [Opcode.InstanceNorm]: [
    16,
    (a, threads) => [
      reads(a[0], a[5] * a[6], a[1], a[7]),
      writes(a[2], a[5] * a[6], a[3], a[7]),
      run(a[4], a[5] * Math.ceil(a[6] / 1024) * upTo(a[7], 4) * 4),
      ...maybe(a[8], reads(a[8], a[5], a[9], a[7])),
      ...maybe(a[10], reads(a[10], a[5], a[11], a[7])),
      scratch(a[14], a[15], threads),
    ],
  ],
  [Opcode.Resize]: [
    13,
    (a) => [
      reads(a[0], a[4] * a[5] * a[6], a[1], a[7]),
      writes(a[2], a[4] * a[8] * a[9], a[3], a[7]),
      run(a[10], 3 * a[8]),
      run(a[11], 3 * a[9]),
    ],
  ],
  ...int8Rules(),
  [Opcode.CorrelationPack]: [
    10,
    (a) => [
      reads(a[0], a[3], a[1], a[4]),
      run(a[2], a[3]),
      reads(a[5], a[3], a[6], a[7]),
      writes(a[8], 1, 0, upTo(a[3], 8) * a[4]),
      writes(a[9], 1, 0, upTo(a[3], 8) * 4),
    ],
  ],
  [Opcode.Correlation]: [
    15,
    (a, threads) => [
      reads(a[0], a[3], a[1], a[4]),
      run(a[2], a[3]),
      run(a[5], a[4]),
      run(a[7], a[8]),
      writes(a[9], a[3], a[10], a[11]),
      scratch(a[13], a[14] * 4, threads),
    ],
  ],
};

/**
 * Throws a one-line {@link GhostkitError} unless every call of a program, given as its words, is of a kernel that inference has, with as many
 * arguments as it takes, and touches nothing but the program's own memory.
 */
export function checkProgram(program: Program, words: Int32Array): void {
  const { calls, wordCount, memory, threads } = program;
  const fail = (i: number, what: string): never => {
    throw new GhostkitError(`this compiled model is damaged: its call ${i} ${what}`);
  };
  const from = program.address + imageBytes(program);
  if ((calls[0]?.start ?? wordCount) !== 0) fail(0, 'is not the first');
  for (const [i, { start }] of calls.entries()) {
    const end = calls[i + 1]?.start ?? wordCount;
    const opcode: Opcode = words[start] & ~CallFlag.Alone;
    const known = Object.hasOwn(RULES, opcode) ? RULES[opcode] : undefined;
    const [count, rule] = known ?? fail(i, `is of a kernel that does not exist (${opcode})`);
    if (words[start + 1] !== count || start + 2 + count !== end)
      fail(i, 'has not as many arguments as its kernel takes');
    for (const touched of rule(words.subarray(start + 2, end), threads)) {
      const { writes, at, rows, stride, channels, bytes, mayBeEmpty } = touched;
      const least = writes ? from : program.address;
      const elements = (rows - 1) * stride + channels;
      const positive = rows >= 1 && channels >= (mayBeEmpty ? 0 : 1) && stride >= 0;
      // Rows that are written lie apart, so there are no more of them than there is room for.
      const apart = !writes || rows === 1 || stride >= channels;
      if (!(at >= least && positive && apart && at + elements * bytes <= memory.total)) {
        fail(i, `(kernel ${opcode}) ${writes ? 'writes' : 'reads'} outside of its memory`);
      }
    }
  }
}
