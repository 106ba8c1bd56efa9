import type { Arg, Buffer, WeightData } from '../graph/lowering.js';
import { CallFlag, isForTraining } from '../kernels/opcodes.js';
import type { Shape } from '../tensor/tensor.js';
import type { LoweredGraph, Port } from './lower.js';
import { ALIGNMENT, align, type Lifetime, planMemory } from './memory-plan.js';

/** Where a graph input or output lies in the executor's memory: `shape` in row-major order from `address` (bytes). */
export interface ProgramPort {
  readonly name: string;
  readonly shape: Shape;
  readonly address: number;
}

/** A compiled graph as plain data: what its kernel calls are and how the one memory is laid out over which they run. */
export interface Program {
  /** Where the calls start in memory (bytes), and their length in words of 4 bytes. */
  readonly address: number;
  readonly wordCount: number;
  /** What each call computes. */
  readonly labels: readonly string[];
  readonly inputs: readonly ProgramPort[];
  readonly outputs: readonly ProgramPort[];
  /** Parameters that the program changes, stored channels last. */
  readonly state: readonly ProgramPort[];
  /** Bytes of the whole memory, of the packed weights in it and of everything that is computed. */
  readonly memory: { readonly total: number; readonly weights: number; readonly activations: number };
  /** The most threads that the scratch memory is planned for. */
  readonly threads: number;
  /** Multiply-accumulates of convolutions and linear layers in one run. */
  readonly macs: number;
  /** Whether it takes a build of the kernels that has those of training. */
  readonly training: boolean;
}

/** What stands in memory before the first run, from the program's address to the end of the weights. */
export interface ProgramImage {
  readonly words: Int32Array;
  readonly weights: readonly { readonly address: number; readonly data: WeightData }[];
}

/** The threads' meeting place stands at the first cache line behind the null page. */
export const SYNC_ADDRESS = ALIGNMENT;
const PROGRAM_ADDRESS = 2 * ALIGNMENT;

/** The bytes of memory that a {@link ProgramImage} fills: from the program's address to the end of the weights. */
export function imageBytes(program: Pick<Program, 'address' | 'wordCount' | 'memory'>): number {
  return align(program.address + program.wordCount * 4) - program.address + program.memory.weights;
}

/** Where each call starts in the words of a sound program, and where the last one ends. */
export function callStarts(words: Int32Array): number[] {
  const starts = [0];
  for (let at = 0; at < words.length; starts.push(at)) at += 2 + words[at + 1];
  return starts;
}

/** Plans the memory of lowered calls and gives every place its address. */
export function assemble(
  lowered: LoweredGraph,
  { threads, macs }: { threads: number; macs: number },
): { program: Program; image: ProgramImage } {
  const lifetimes = lifetimesOf(lowered);
  // What is stored in one type stands together.
  const constants = [...lifetimes.keys()].filter((buffer) => buffer.data).sort((a, b) => typeOrder(a) - typeOrder(b));
  const length = lowered.calls.reduce((n, call) => n + 2 + call.args.length, 0);

  const addresses = new Map<Buffer, number>();
  let end = align(PROGRAM_ADDRESS + length * 4);
  const weightsStart = end;
  for (const buffer of constants) {
    addresses.set(buffer, end);
    end = align(end + buffer.floats * 4);
  }
  const activationsStart = end;
  const plan = planMemory([...lifetimes.values()].filter(({ buffer }) => !buffer.data));
  for (const [buffer, offset] of plan.offsets) addresses.set(buffer, activationsStart + offset);
  // A vector read may reach past the last element.
  const total = activationsStart + plan.bytes + ALIGNMENT;

  const words = encode(lowered, addresses, length);
  const port = ({ name, shape, place }: Port): ProgramPort => ({
    name,
    shape,
    address: addressOf(addresses, place.buffer),
  });
  const program: Program = {
    address: PROGRAM_ADDRESS,
    wordCount: length,
    labels: lowered.calls.map(({ label }) => label),
    inputs: lowered.inputs.map(port),
    outputs: lowered.outputs.map(port),
    state: lowered.state.map(port),
    memory: { total, weights: activationsStart - weightsStart, activations: plan.bytes },
    threads,
    macs,
    training: lowered.calls.some(({ opcode }) => isForTraining(opcode)),
  };
  const weights = constants.map((buffer) => ({
    address: addressOf(addresses, buffer),
    data: buffer.data as WeightData,
  }));
  return { program, image: { words, weights } };
}

const typeOrder = ({ data }: Buffer) => (data instanceof Float32Array ? 0 : data instanceof Int32Array ? 1 : 2);

function lifetimesOf({ calls, inputs, outputs, state }: LoweredGraph): Map<Buffer, Lifetime> {
  const lifetimes = new Map<Buffer, Lifetime>();
  const use = (buffer: Buffer, at: number) => {
    const life = lifetimes.get(buffer);
    if (!life) lifetimes.set(buffer, { buffer, first: at, last: at });
    else {
      life.first = Math.min(life.first, at);
      life.last = Math.max(life.last, at);
    }
  };
  for (const { place } of inputs) use(place.buffer, -1);
  for (const [i, { args }] of calls.entries()) {
    for (const arg of args) if (typeof arg === 'object' && 'buffer' in arg) use(arg.buffer, i);
  }
  for (const { place } of [...outputs, ...state]) use(place.buffer, calls.length);
  return lifetimes;
}

function addressOf(addresses: ReadonlyMap<Buffer, number>, buffer: Buffer): number {
  const address = addresses.get(buffer);
  if (address === undefined) throw new Error('a buffer has no address');
  return address;
}

function encode({ calls }: LoweredGraph, addresses: ReadonlyMap<Buffer, number>, length: number): Int32Array {
  const words = new Int32Array(length);
  const floats = new Float32Array(words.buffer);
  let at = 0;
  const put = (arg: Arg) => {
    if (typeof arg === 'number') words[at++] = arg;
    else if ('float' in arg) floats[at++] = arg.float;
    else words[at++] = addressOf(addresses, arg.buffer) + arg.offset * (arg.bytes ?? 4);
  };
  for (const { opcode, args, alone } of calls) {
    words[at++] = alone ? opcode | CallFlag.Alone : opcode;
    words[at++] = args.length;
    args.forEach(put);
  }
  return words;
}
