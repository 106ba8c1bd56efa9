/**
 * Damaged and hostile compiled models, each made from a seed and an index alone: bytes changed in a sound file, and files whose program, calls or
 * weights are changed on purpose, with the checksum that belongs to what they say.
 */
import { mutate, NUMBERS, outcomeOf, Random } from './fuzz-cases.mjs';

/** Small networks of all kinds of layers, compiled: `{ bytes, text, regions, ... }` for each. */
export async function compiledBases(modules) {
  const {
    compileToBytes,
    compileGraphToBytes,
    quantizeModel,
    Lambda,
    sequential,
    conv2d,
    Linear,
    batchNorm,
    createModel,
    assignNamedWeights,
  } = modules;
  const ops = modules;
  const layers = sequential(
    conv2d(3, 8, 3, { padding: 1 }),
    batchNorm(8),
    new Lambda((x) => ops.relu6(x)),
    conv2d(8, 8, 3, { padding: 1, groups: 8, bias: true }),
    new Lambda((x) => ops.concat([ops.maxPool(x, 2), ops.averagePool(x, 2)])),
    conv2d(16, 3, 1, { bias: true }),
    new Lambda((x) => ops.softmax(ops.resizeBilinear(ops.tanh(x), [5, 5]))),
    new Lambda((x) => ops.flatten(ops.globalAveragePool(ops.mul(x, ops.instanceNorm(x))))),
  );
  const small = createModel('repghostnet_050', { width: 0.1, classes: 3 });
  const quantizable = sequential(
    conv2d(3, 8, 3, { padding: 1, bias: true }),
    new Lambda((x) => ops.relu(x)),
    conv2d(8, 8, 3, { padding: 1, groups: 8, bias: true }),
    new Lambda((x) => ops.add(x, ops.relu(x))),
    conv2d(8, 12, 1, { bias: true }),
    new Lambda((x) => ops.flatten(ops.globalAveragePool(ops.relu(x)))),
    new Linear(12, 3),
  );
  const shape = [1, 3, 12, 12];
  const picture = { dtype: 'float32', shape, data: Float32Array.from({ length: 432 }, (_, i) => Math.sin(i)) };
  const quantized = await quantizeModel(assignNamedWeights(quantizable), { calibration: [picture], floatLayers: [] });
  return [
    compileGraphToBytes(quantized.graph, { deploy: false }),
    compileToBytes(assignNamedWeights(layers), { input: [1, 3, 12, 12], threads: 2 }, { made: 'for fuzzing' }),
    compileToBytes(assignNamedWeights(small), { input: [1, 3, 32, 32] }, { 'ghostkit.labels': '["a","b","c"]' }),
    compileToBytes(assignNamedWeights(layers), { input: [1, 3, 12, 12], floats: 'float16' }),
  ].map((bytes) => ({ bytes: Buffer.from(bytes), ...taken(bytes) }));
}

/** A file apart: its header, and the data behind it. */
function taken(bytes) {
  const buffer = Buffer.from(bytes);
  const length = Number(buffer.readBigUInt64LE(0));
  return { header: JSON.parse(buffer.subarray(8, 8 + length).toString()), data: buffer.subarray(8 + length) };
}

/** The checksum of what a file says (runtime/compiled-format.ts), so that what is wrong with it is found by what it says. */
function checksum(text, data) {
  const lanes = Int32Array.from({ length: 8 }, (_, i) => 0x811c9dc5 + i);
  const bytes = Buffer.from(text);
  // Text and data begin at the first lane.
  for (const part of [Buffer.concat([bytes, Buffer.alloc(-bytes.length & 31)]), data]) {
    for (let at = 0; at + 4 <= part.length; at += 4) {
      const lane = (at >> 2) & 7;
      lanes[lane] = Math.imul(lanes[lane] ^ part.readInt32LE(at), 0x01000193);
    }
  }
  return Array.from(lanes, (lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
}

/** The file of a header, a program and data, with their checksum. */
export function assembled(header, program, data) {
  const text = typeof program === 'string' ? program : JSON.stringify(program);
  const metadata = { ...header.__metadata__, 'ghostkit.program': text, 'ghostkit.checksum': checksum(text, data) };
  let json = JSON.stringify({ ...header, __metadata__: metadata });
  json += ' '.repeat((8 - (Buffer.byteLength(json) % 8)) % 8);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  return Buffer.concat([size, Buffer.from(json), data]);
}

/** A number somewhere in the program's text is another. */
function editNumbers(random, value) {
  if (typeof value === 'number') {
    return random.below(3)
      ? value
      : random.pick([...NUMBERS, -1, 0.5, 1e300, value + 1, value - 1, value * 2, value + 64, value - 64]);
  }
  if (Array.isArray(value) && value.length) {
    const copy = [...value];
    const at = random.below(copy.length);
    if (random.below(20) === 0) copy.splice(at, 1);
    else copy[at] = editNumbers(random, copy[at]);
    return copy;
  }
  if (value && typeof value === 'object') {
    const key = random.pick(Object.keys(value));
    return {
      ...value,
      [key]: random.below(30) ? editNumbers(random, value[key]) : random.pick([null, 'x', [], {}, true]),
    };
  }
  return random.pick([null, 7, 'x', value]);
}

/** Where each call starts in a sound program's words: a kernel's number, how many arguments follow, the arguments. */
function startsOf(words, count) {
  const starts = [];
  for (let at = 0; at < count; at += 2 + words.readInt32LE(4 * at + 4)) starts.push(at);
  return starts;
}

/** Words of the calls are others: kernels, counts, arguments. */
function editWords(random, { header, data }, program) {
  const changed = Buffer.from(data);
  const [start] = header.program.data_offsets;
  const times = 1 + random.below(3);
  for (let i = 0; i < times; i++) {
    const call = random.pick(startsOf(data.subarray(start), program.wordCount));
    const argument = random.below(6) ? 2 + random.below(30) : random.below(2);
    const at = start + 4 * Math.min(call + argument, program.wordCount - 1);
    const old = changed.readInt32LE(at);
    const value = random.pick([
      ...[0, 1, 2, 3, 4, 7, 8, 64, 255, 4096, 65536, 2 ** 20, 2 ** 24, 2 ** 30, 2 ** 31 - 1, -1, -64],
      ...[
        old + 1,
        old - 1,
        old * 2,
        old >> 1,
        old + 64,
        old - 64,
        program.memory.total,
        program.address,
        random.below(program.memory.total),
      ],
    ]);
    changed.writeInt32LE(value | 0, at);
  }
  return changed;
}

/** Case `index` of `seed`: the bytes of a compiled model. */
export function compiledCase(seed, index, bases) {
  const random = new Random(seed, index);
  const base = random.pick(bases);
  const { header, data, bytes } = base;
  const program = JSON.parse(header.__metadata__['ghostkit.program']);
  switch (random.below(8)) {
    case 0:
      return mutate(random, bytes, [bytes]);
    case 1: {
      // Weights that are anything: numbers that are none, tables that point anywhere.
      const changed = Buffer.from(data);
      for (let i = 0; i < 20; i++)
        changed.writeInt32LE(
          random.pick([-1, 0x7f800000, 2 ** 31 - 1, 0x4b000000]),
          4 * random.below(data.length >> 2),
        );
      const { data_offsets } = header.program;
      data.copy(changed, data_offsets[0], ...data_offsets);
      return assembled(header, program, changed);
    }
    case 2:
    case 3: {
      const times = 1 + random.below(3);
      let edited = program;
      for (let i = 0; i < times; i++) edited = editNumbers(random, edited);
      return assembled(header, edited, data);
    }
    case 4: {
      const entries = Object.entries(header).map(([key, value]) => [
        key,
        random.below(4) || key === '__metadata__' ? value : editNumbers(random, value),
      ]);
      return assembled({ ...Object.fromEntries(entries), __metadata__: header.__metadata__ }, program, data);
    }
    default:
      return assembled(header, program, editWords(random, base, program));
  }
}

/**
 * Loads one case with the modules under test and runs it once.
 *
 * @returns What was wrong, or undefined; and whether it ended in a result.
 */
export function tryCompiled({ loadCompiled, GhostkitError }, bytes) {
  return outcomeOf(GhostkitError, async () => {
    const net = await loadCompiled(new Uint8Array(bytes));
    const inputs = Object.entries(net.inputs).map(([name, shape]) => {
      return [name, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5)];
    });
    net.run(Object.fromEntries(inputs));
    net.close();
  });
}
