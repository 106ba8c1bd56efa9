import { CallFlag, Opcode } from '../kernels/opcodes.js';
import { GhostkitError } from '../tensor/error.js';
import { imageBytes, type Program } from './program.js';

// A compiled model may come from anywhere, and a checksum only tells of accidents. Before it runs, every call is therefore looked at: what a
// kernel reads and writes has to lie in the program's own memory, and what it writes behind the calls and the weights. All that a kernel
// counts is stored somewhere, so only a model that claims much memory can keep one busy for long. Kernels' arguments stand at the head of their
// files. A page runs this once, so it is what takes an engine least that has seen none of it before: nothing is gathered, all is looked at at once.

/** What the calls of a program may touch: rows of `channels` elements of some bytes, `stride` apart, from an address on. */
class Bounds {
  /** Where the calls and the weights end. */
  private readonly from: number;
  private readonly address: number;
  private readonly total: number;
  readonly threads: number;
  /** The call that is looked at. */
  call = 0;
  opcode = 0;

  constructor(program: Program) {
    this.from = program.address + imageBytes(program);
    this.address = program.address;
    this.total = program.memory.total;
    this.threads = program.threads;
  }

  fail(what: string): never {
    throw new GhostkitError(`this compiled model is damaged: its call ${this.call} ${what}`);
  }

  reads(at: number, rows: number, stride: number, channels: number, bytes = 4): void {
    if (!(rows >= 1 && channels >= 1 && stride >= 0)) this.outside('reads');
    if (!(at >= this.address && at + ((rows - 1) * stride + channels) * bytes <= this.total)) this.outside('reads');
  }

  writes(at: number, rows: number, stride: number, channels: number, bytes = 4): void {
    if (!(rows >= 1 && channels >= 1 && stride >= 0)) this.outside('writes');
    // Rows that are written lie apart, so there are no more of them than there is room for.
    if (rows !== 1 && stride < channels) this.outside('writes');
    if (!(at >= this.from && at + ((rows - 1) * stride + channels) * bytes <= this.total)) this.outside('writes');
  }

  /** `count` elements one behind the other. */
  run(at: number, count: number, bytes = 4): void {
    this.reads(at, 1, 0, count, bytes);
  }

  /** Working memory: `bytes` for each thread, which may be none. */
  scratch(at: number, bytes: number): void {
    if (!(at >= this.from && bytes >= 0 && at + this.threads * bytes <= this.total)) this.outside('writes');
  }

  private outside(how: string): never {
    return this.fail(`(kernel ${this.opcode}) ${how} outside of its memory`);
  }
}

/** Looks at what a call of these arguments touches. */
type Rule = (a: Int32Array, b: Bounds) => void;

const upTo = (v: number, multiple: number) => Math.ceil(v / multiple) * multiple;

/** Rows of one operand to rows of another. */
const rowWise: Rule = (a, b) => {
  b.reads(a[0], a[4], a[1], a[5]);
  b.writes(a[2], a[4], a[3], a[5]);
};

const conv: Rule = (a, b) => {
  const rows = a[4] * a[8] * a[9];
  b.reads(a[0], a[4] * a[5] * a[6], a[1], a[7]);
  b.writes(a[2], rows, a[3], a[10]);
  b.run(a[19], a[10] * a[7] * a[11] * a[12]);
  b.run(a[20], a[10]);
  if (a[21] !== 0) b.reads(a[21], rows, a[22], a[10]);
  if (a[23] !== 0) b.reads(a[23], a[4], a[24], a[7]);
  b.run(a[26], a[7]);
  b.scratch(a[27], a[28]);
};

/** Operands of four strides over four sizes; where one is not repeated its elements are apart. */
const binary: Rule = (a, b) => {
  const sizes = a.subarray(15, 19);
  const last = (i: number) => sizes.reduce((sum, size, d) => sum + (size - 1) * a[i + 1 + d], 1);
  const count = sizes.reduce((n, size) => n * size, 1);
  b.run(a[0], last(0));
  b.run(a[5], last(5));
  // As many elements as are counted have room behind where they are written.
  b.writes(a[10], 1, 0, Math.max(last(10), count));
};

type Rules = Partial<Record<Opcode, readonly [args: number, rule: Rule]>>;

/** What kernels/int8-depthwise-dots.ts keeps: constants, rows of a part of the channels, sums of tiles. */
const dotsBytes = (a: Int32Array) => 96 + 4 * a[29] * a[30] * a[31] + 64 * Math.max(32, Math.ceil(a[9] / 4));

const int8RowWise: Rule = (a, b) => {
  b.reads(a[0], a[4], a[1], a[5], 1);
  b.writes(a[2], a[4], a[3], a[5], 1);
};

const int8Conv: Rule = (a, b) => {
  const rows = a[4] * a[8] * a[9];
  b.reads(a[0], a[4] * a[5] * a[6], a[1], a[7], 1);
  b.writes(a[2], rows, a[3], a[10], a[25] === 0 ? 1 : 4);
  b.run(a[19], a[10] * a[7] * a[11] * a[12], 1);
  b.run(a[20], a[10]);
  b.run(a[21], a[10]);
  b.scratch(a[22], a[23]);
  if (a[31] !== 0) b.reads(a[31], rows, a[32], a[10], 1);
};

const int8Depthwise: Rule = (a, b) => {
  const rows = a[4] * a[8] * a[9];
  b.reads(a[0], a[4] * a[5] * a[6], a[1], a[7], 1);
  b.writes(a[2], rows, a[3], a[7], 1);
  b.run(a[18], upTo(a[7], 8) * (6 + a[10] * a[11]), 1);
  if (a[22] !== 0) b.reads(a[22], rows, a[23], a[7], 1);
  b.scratch(a[26], a[27]);
  if (a[28] === 0) return;
  b.run(a[28], a[7] * a[10] * upTo(a[11], 4), 1);
  // The rows that the dot products keep, for a part of the channels at a time, which cannot be none; all that a thread keeps is in its share.
  b.writes(a[26], a[29], 4 * a[30] * a[31], 4 * a[30] * a[31], 1);
  if (!(dotsBytes(a) <= a[27])) b.fail(`(kernel ${b.opcode}) writes outside of its memory`);
};

/** Activations are bytes there, but for what is named otherwise. */
const INT8_RULES: Rules = {
  [Opcode.Int8Conv]: [34, int8Conv],
  [Opcode.Int8Depthwise]: [32, int8Depthwise],
  [Opcode.Int8FromPlanes]: [
    10,
    (a, b) => {
      b.run(a[0], a[3] * a[4] * a[5]);
      b.writes(a[1], a[3] * a[5], a[2], a[4], 1);
    },
  ],
  [Opcode.Int8FromFloats]: [
    10,
    (a, b) => {
      b.reads(a[0], a[4], a[1], a[5]);
      b.writes(a[2], a[4], a[3], a[5], 1);
    },
  ],
  [Opcode.Int8ToFloats]: [
    8,
    (a, b) => {
      b.reads(a[0], a[4], a[1], a[5], 1);
      b.writes(a[2], a[4], a[3], a[5]);
    },
  ],
  [Opcode.Int8Copy]: [6, int8RowWise],
  [Opcode.Int8Table]: [
    7,
    (a, b) => {
      int8RowWise(a, b);
      b.run(a[6], 256, 1);
    },
  ],
  [Opcode.Int8Add]: [
    14,
    (a, b) => {
      b.reads(a[0], a[6], a[1], a[7], 1);
      b.reads(a[2], a[6], a[3], a[7], 1);
      b.writes(a[4], a[6], a[5], a[7], 1);
    },
  ],
  [Opcode.Int8Gate]: [
    17,
    (a, b) => {
      b.reads(a[0], a[4] * a[6], a[1], a[5], 1);
      b.writes(a[2], a[4] * a[6], a[3], a[5], 1);
      b.reads(a[7], a[4], a[8], a[5]);
      b.scratch(a[15], a[16]);
    },
  ],
  [Opcode.Int8GlobalAveragePool]: [
    11,
    (a, b) => {
      b.reads(a[0], a[4] * a[6], a[1], a[5], 1);
      b.writes(a[2], a[4], a[3], a[5], 1);
    },
  ],
};

const RULES: Rules = {
  ...INT8_RULES,
  [Opcode.Conv]: [29, conv],
  [Opcode.FewOutputs]: [29, conv],
  [Opcode.Depthwise]: [
    22,
    (a, b) => {
      b.reads(a[0], a[4] * a[5] * a[6], a[1], a[7]);
      b.writes(a[2], a[4] * a[8] * a[9], a[3], a[7]);
      b.run(a[18], upTo(a[7], 4) * (1 + a[10] * a[11]));
      if (a[20] === 0) b.run(a[19], a[7]);
      else b.reads(a[19], a[4] * a[8] * a[9], a[20], a[7]);
    },
  ],
  [Opcode.Winograd]: [
    21,
    (a, b) => {
      const rows = a[4] * a[8] * a[9];
      b.reads(a[0], a[4] * a[5] * a[6], a[1], a[7]);
      b.writes(a[2], rows, a[3], a[10]);
      b.run(a[13], 36 * a[10] * a[7]);
      b.run(a[14], a[10]);
      if (a[15] !== 0) b.reads(a[15], rows, a[16], a[10]);
      b.scratch(a[18], a[19]);
      // Tiles are counted for each of the interleaved images, even where these are smaller than one.
      b.run(a[0], a[20] * a[20]);
    },
  ],
  [Opcode.Affine]: [
    9,
    (a, b) => {
      rowWise(a, b);
      b.run(a[6], a[5]);
      b.run(a[7], a[5]);
    },
  ],
  [Opcode.Unary]: [7, rowWise],
  [Opcode.PRelu]: [
    7,
    (a, b) => {
      rowWise(a, b);
      b.run(a[6], a[5]);
    },
  ],
  [Opcode.Softmax]: [6, rowWise],
  [Opcode.LayerNorm]: [
    9,
    (a, b) => {
      rowWise(a, b);
      b.run(a[6], a[5]);
      b.run(a[7], a[5]);
    },
  ],
  [Opcode.Copy]: [6, rowWise],
  [Opcode.Binary]: [21, binary],
  [Opcode.Pool]: [
    18,
    (a, b) => {
      b.reads(a[0], a[4] * a[6] * a[7], a[1], a[5]);
      b.writes(a[2], a[4] * a[8] * a[9], a[3], a[5]);
    },
  ],
  [Opcode.GlobalAveragePool]: [
    7,
    (a, b) => {
      b.reads(a[0], a[4] * a[6], a[1], a[5]);
      b.writes(a[2], a[4], a[3], a[5]);
    },
  ],
  [Opcode.ToChannelsLast]: [
    6,
    (a, b) => {
      b.run(a[0], a[3] * a[4] * a[5]);
      b.writes(a[1], a[3] * a[5], a[2], a[4]);
    },
  ],
  [Opcode.ToChannelsFirst]: [
    6,
    (a, b) => {
      b.reads(a[0], a[3] * a[5], a[1], a[4]);
      b.writes(a[2], 1, 0, a[3] * a[4] * a[5]);
    },
  ],
  [Opcode.InstanceStatistics]: [
    6,
    (a, b) => {
      b.reads(a[0], a[3] * a[4], a[1], a[5]);
      b.writes(a[2], 1, 0, a[3] * Math.ceil(a[4] / 1024) * upTo(a[5], 4) * 4);
    },
  ],
  [Opcode.InstanceNorm]: [
    16,
    (a, b) => {
      b.reads(a[0], a[5] * a[6], a[1], a[7]);
      b.writes(a[2], a[5] * a[6], a[3], a[7]);
      b.run(a[4], a[5] * Math.ceil(a[6] / 1024) * upTo(a[7], 4) * 4);
      if (a[8] !== 0) b.reads(a[8], a[5], a[9], a[7]);
      if (a[10] !== 0) b.reads(a[10], a[5], a[11], a[7]);
      b.scratch(a[14], a[15]);
    },
  ],
  [Opcode.Resize]: [
    13,
    (a, b) => {
      b.reads(a[0], a[4] * a[5] * a[6], a[1], a[7]);
      b.writes(a[2], a[4] * a[8] * a[9], a[3], a[7]);
      b.run(a[10], 3 * a[8]);
      b.run(a[11], 3 * a[9]);
    },
  ],
  [Opcode.CorrelationPack]: [
    10,
    (a, b) => {
      b.reads(a[0], a[3], a[1], a[4]);
      b.run(a[2], a[3]);
      b.reads(a[5], a[3], a[6], a[7]);
      b.writes(a[8], 1, 0, upTo(a[3], 8) * a[4]);
      b.writes(a[9], 1, 0, upTo(a[3], 8) * 4);
    },
  ],
  [Opcode.Correlation]: [
    15,
    (a, b) => {
      b.reads(a[0], a[3], a[1], a[4]);
      b.run(a[2], a[3]);
      b.run(a[5], a[4]);
      b.run(a[7], a[8]);
      b.writes(a[9], a[3], a[10], a[11]);
      b.scratch(a[13], a[14] * 4);
    },
  ],
};

/**
 * Throws a one-line {@link GhostkitError} unless every call of a program, given as its words, is of a kernel that inference has, with as many
 * arguments as it takes, and touches nothing but the program's own memory.
 */
export function checkProgram(program: Program, words: Int32Array): void {
  const { labels, wordCount } = program;
  const bounds = new Bounds(program);
  for (let start = 0; start < wordCount; bounds.call++) {
    const opcode: Opcode = words[start] & ~CallFlag.Alone;
    const known = Object.hasOwn(RULES, opcode) ? RULES[opcode] : undefined;
    const [count, rule] = known ?? bounds.fail(`is of a kernel that does not exist (${opcode})`);
    const end = start + 2 + count;
    if (words[start + 1] !== count || end > wordCount) bounds.fail('has not as many arguments as its kernel takes');
    bounds.opcode = opcode;
    rule(words.subarray(start + 2, end), bounds);
    start = end;
  }
  if (bounds.call !== labels.length) bounds.fail(`is behind the last, and ${labels.length} have a name`);
}
