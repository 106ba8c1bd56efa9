/**
 * Damaged and hostile checkpoints, each made from a seed and an index alone, and the rule that every one must keep:
 * it ends in tensors or in a GhostkitError of one line.
 */
import { existsSync, readFileSync } from 'node:fs';
import {
  floats,
  legacyCheckpoint,
  Pickle,
  safetensorsFile,
  tensorOf,
  zip,
  zipCheckpoint,
} from './checkpoint-files.mjs';

export class Random {
  constructor(seed, index) {
    this.state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca77)) >>> 0;
  }
  /** Uniform in [0, 1): mulberry32. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let x = this.state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  }
  below(n) {
    return Math.floor(this.next() * n);
  }
  pick(items) {
    return items[this.below(items.length)];
  }
  bytes(n) {
    return Buffer.from(Array.from({ length: n }, () => this.below(256)));
  }
}

export const NUMBERS = [
  0,
  1,
  2,
  7,
  8,
  127,
  128,
  255,
  256,
  0x7fff,
  0xffff,
  2 ** 20,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53,
];

const system = (p) => p.global('posix', 'system').tuple('touch pwned').reduce();
const namespace = (p) =>
  p
    .global('argparse', 'Namespace')
    .op(')')
    .op(0x81)
    .value({ lr: 0.1, sizes: [1, 2] })
    .op('b');

function views(legacy) {
  const six = { key: '0', length: 6, legacy };
  return {
    'module.whole': tensorOf({ ...six, shape: [2, 3] }),
    'module.turned': tensorOf({ ...six, shape: [3, 2], strides: [1, 3] }),
    'module.expanded': tensorOf({ ...six, shape: [4, 2], strides: [0, 1], offset: 3 }),
    'module.half': tensorOf({ key: '1', type: 'HalfStorage', length: 4, shape: [4], legacy }),
    'module.steps': tensorOf({ key: '2', type: 'LongStorage', length: 1, shape: [], legacy }),
  };
}

const STORAGES = { 0: floats(0, 1, 2, 3, 4, 5), 1: Buffer.from('003c00c0ff7b0080', 'hex'), 2: Buffer.alloc(8, 1) };

const pickles = {
  plain: new Pickle().value(views(false)).end(),
  training: new Pickle()
    .value({ epoch: 3, args: namespace, state_dict: views(false), state_dict_ema: views(false) })
    .end(),
  hostile: new Pickle(4).value({ state_dict: views(false), z: system }).end(),
};

const headers = [
  {
    __metadata__: { format: 'pt' },
    a: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
    b: { dtype: 'F16', shape: [4], data_offsets: [24, 32] },
    c: { dtype: 'I64', shape: [], data_offsets: [32, 40] },
  },
  { 'model.w': { dtype: 'BF16', shape: [2, 2, 5], data_offsets: [0, 40] } },
];

const legacyStorages = Object.entries(STORAGES).map(([key, bytes]) => [key, [6, 4, 1][Number(key)], bytes]);

const SMALL = [
  ...headers.map((header) => safetensorsFile(header, Buffer.alloc(40, 3))),
  zipCheckpoint(pickles.plain, STORAGES),
  zipCheckpoint(pickles.training, STORAGES, { checksum: false }),
  zipCheckpoint(pickles.training, STORAGES, { deflate: true, checksum: false, byteOrder: 'big' }),
  zipCheckpoint(pickles.plain, STORAGES, { zip64: true, checksum: false }),
  zipCheckpoint(pickles.hostile, STORAGES),
  legacyCheckpoint(new Pickle().value(views(true)).end(), legacyStorages),
  legacyCheckpoint(new Pickle().value({ epoch: 1, model: views(true) }).end(), legacyStorages),
  pickles.hostile,
  pickles.training,
];

export function mutate(random, original, others) {
  let bytes = Buffer.from(original);
  const times = 1 + random.below(random.below(4) === 0 ? 16 : 3);
  for (let i = 0; i < times && bytes.length; i++) bytes = mutateOnce(random, bytes, others);
  return bytes;
}

function mutateOnce(random, bytes, others) {
  // Structure stands at the two ends of a file more often than in the middle.
  const span = random.below(3) ? bytes.length : Math.min(bytes.length, 256);
  const at = random.below(2) ? random.below(span) : bytes.length - 1 - random.below(span);
  const length = 1 + random.below(random.below(2) ? 8 : 200);
  switch (random.below(9)) {
    case 0:
      bytes[at] ^= 1 << random.below(8);
      return bytes;
    case 1:
      bytes[at] = random.pick([0, 1, 0x2e, 0x28, 0x51, 0x52, 0x7f, 0x80, 0xff, random.below(256)]);
      return bytes;
    case 2: {
      const width = random.pick([2, 4, 8]);
      if (at + width > bytes.length) return bytes;
      const value = BigInt(random.pick(NUMBERS)) * (random.below(8) ? 1n : 1025n);
      for (let i = 0; i < width; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n);
      return bytes;
    }
    case 3:
      return bytes.subarray(0, at);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 5:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 6:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(length), bytes.subarray(at)]);
    case 7: {
      const other = random.pick(others);
      const from = random.below(other.length);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + length), bytes.subarray(at)]);
    }
    default: {
      const digit = bytes.findIndex((b, i) => i >= at && b >= 0x30 && b <= 0x39);
      if (digit >= 0) bytes[digit] = 0x30 + random.below(10);
      return bytes;
    }
  }
}

function editJson(random, value, depth = 0) {
  if (random.below(8) === 0 || depth > 4) {
    const deep = (n) => JSON.parse('['.repeat(n) + ']'.repeat(n));
    const number = random.pick([...NUMBERS, -1, 0.5, 1e300]);
    return random.pick([number, null, true, '', 'F32', 'I64', '__proto__', [], {}, [number, number], deep(500)]);
  }
  if (Array.isArray(value)) return value.map((item) => (random.below(3) ? item : editJson(random, item, depth + 1)));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(() => random.below(12));
  const rename = (key) => (random.below(15) ? key : random.pick(['__proto__', '__metadata__', 'shape', 'a\n', '']));
  return Object.fromEntries(
    entries.map(([key, item]) => [rename(key), random.below(2) ? item : editJson(random, item, depth + 1)]),
  );
}

/** Operations in any order with plausible arguments: most fail on the stack, some get far. */
function randomPickle(random) {
  const p = new Pickle(random.pick([0, 2, 4]));
  const names = [
    'torch',
    'collections',
    'builtins',
    'OrderedDict',
    'FloatStorage',
    'tuple',
    'set',
    'storage',
    '0',
    'a\nb',
  ];
  const operations = [
    () =>
      p.op(random.pick([...'()]}tlduasebRQ.012N', 0x81, 0x85, 0x86, 0x87, 0x88, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94])),
    () => p.op('q', Buffer.from([random.below(4)])),
    () => p.op('h', Buffer.from([random.below(4)])),
    () => p.int(random.pick(NUMBERS)),
    () => p.str(random.pick(names)),
    () => p.global(random.pick(names.slice(0, 3)), random.pick(names.slice(3, 7))),
    () =>
      p.tuple((q) => q.tuple('storage', (s) => s.global('torch', 'FloatStorage'), '0', 'cpu', 6).op('Q'), 0, [6], [1]),
    () => p.global('torch._utils', '_rebuild_tensor_v2').op(0x32),
  ];
  for (let n = random.below(60); n > 0; n--) random.pick(operations)();
  return p.end();
}

/** The large checkpoints and the small ones of a folder; none when it is absent. */
export function loadBases(folder) {
  const read = (names) => (existsSync(folder) ? names.map((name) => readFileSync(`${folder}/${name}`)) : []);
  return {
    small: read(['lightning-style.ckpt', 'hostile.pkl', 'hostile-zip.pth']),
    large: read([
      'ghostnet-0.3-legacy.pth',
      'ghostnet-0.3-zip.pth',
      'repghostnet-0.3-timm-style.pth.tar',
      'truncated.pth',
    ]),
  };
}

/** Case `index` of `seed`: bytes to read as a checkpoint. One in 100 is made from a large file. */
export function fuzzCase(seed, index, bases) {
  const random = new Random(seed, index);
  const small = [...SMALL, ...bases.small];
  if (bases.large.length && random.below(100) === 0) return mutate(random, random.pick(bases.large), small);
  switch (random.below(10)) {
    case 0:
    case 1: {
      const text = JSON.stringify(editJson(random, random.pick(headers)));
      return safetensorsFile(text, Buffer.alloc(40, 1), random.below(9) ? undefined : random.pick(NUMBERS));
    }
    case 2:
    case 3:
      // Damaged inside a sound archive, so that it gets as far as the pickle.
      return zipCheckpoint(mutate(random, random.pick(Object.values(pickles)), small), STORAGES);
    case 4:
      return zipCheckpoint(randomPickle(random), STORAGES, { deflate: random.below(2) === 0 });
    case 5: {
      const claimed = random.pick(NUMBERS);
      const entries = Object.entries(STORAGES).map(([key, bytes]) => [`m/data/${key}`, bytes, claimed]);
      const options = { deflate: true, checksum: false, zip64: claimed >= 2 ** 32 };
      return zip([['m/data.pkl', pickles.plain], ...entries], options);
    }
    default:
      return mutate(random, random.pick(small), small);
  }
}

/**
 * Reads one case with the `formats` modules under test.
 *
 * @returns What was wrong, or undefined; and whether it ended in tensors.
 */
export function tryCase({ parseCheckpoint, GhostkitError }, bytes, index) {
  return outcomeOf(GhostkitError, async () => {
    const { state } = await parseCheckpoint(bytes, { prefer: [undefined, 'ema', 'model'][index % 3] });
    for (const [name, t] of state) {
      const elements = t.shape.reduce((n, d) => n * d, 1);
      if (t.data.length !== elements) return `${name}: ${t.data.length} elements of ${t.shape}`;
    }
    return undefined;
  });
}

/** The rule for any reader: `read` ends (with what is wrong with its result, if anything), or throws a GhostkitError of one line. */
export async function outcomeOf(GhostkitError, read) {
  try {
    return { read: true, wrong: await read() };
  } catch (error) {
    if (!(error instanceof GhostkitError))
      return { read: false, wrong: `not a GhostkitError: ${error?.stack ?? error}` };
    const oneLine =
      error.message.length > 0 && error.message.length < 1000 && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(error.message);
    return { read: false, wrong: oneLine ? undefined : `not one line: ${JSON.stringify(error.message)}` };
  }
}
