import type { Buffer } from '../graph/lowering.js';
import { Opcode } from '../kernels/opcodes.js';
import {
  type Access,
  accesses,
  blocksOfCall,
  isLoop,
  isPlace,
  type Loop,
  numberArg,
  type Rules,
} from './batch-rules.js';
import type { Call, LoweredGraph } from './lower.js';

// What a batch norm makes of a convolution's output is wanted again in the backward pass, and often by a second loop of the forward pass. To keep
// it means to write a large tensor and to read it again, in loops that as a rule read what it is made of anyway; to make it again, block by block
// and in the cache, costs less than that. So it is made where it is wanted, by the same kernel from the same numbers, and nothing keeps it.

/** Kernels that do little with each element; the arguments that tell their rows and channels. */
const CHEAP: Partial<Record<Opcode, readonly [rows: number, channels: number]>> = {
  [Opcode.Affine]: [4, 5],
  [Opcode.Unary]: [4, 5],
  [Opcode.BatchNormPair]: [6, 7],
};

// Costs by element, in what it takes to read one from memory; measured by and large.
/** To make it again. */
const WORK = 0.5;
/** To write it to memory, for which its line of the cache may have to be read. */
const WRITE = 1.5;

/** A call in the order of the program. */
interface Numbered {
  readonly call: Call;
  readonly order: number;
}

/** One call that touches a buffer. `step`: what it is part of. */
interface Use extends Numbered {
  readonly step: number;
  readonly access: Access;
}

/** The same steps, with copies of cheap calls in the loops that want their results, where that saves more memory traffic than it makes. */
export function recomputeInLoops(
  lowered: LoweredGraph,
  steps: readonly (Call | Loop)[],
  rules: Rules,
): readonly (Call | Loop)[] {
  const choice = new Choice(lowered, steps, rules);
  const producers = choice.make();
  return steps.map((step, i) =>
    isLoop(step) ? { ...step, calls: withCopies(step.calls, producers, choice.starts[i]) } : step,
  );
}

/** A loop that begins at `start` in the program, with calls before it that it wants the results of, and buffers of its own for these. */
function withCopies(
  calls: readonly Call[],
  producers: ReadonlyMap<Buffer, readonly Numbered[]>,
  start: number,
): readonly Call[] {
  const copies = new Map<Buffer, Buffer>();
  const result: Call[] = [];
  const add = (call: Call): void => {
    for (const buffer of buffersOf(call)) make(buffer);
    const args = call.args.map((arg) =>
      isPlace(arg) ? { ...arg, buffer: copies.get(arg.buffer) ?? arg.buffer } : arg,
    );
    result.push({ ...call, args });
  };
  const make = (buffer: Buffer): void => {
    if (!producers.has(buffer) || copies.has(buffer)) return;
    copies.set(buffer, { floats: buffer.floats });
    for (const { call, order } of producers.get(buffer) ?? []) if (order < start) add(call);
  };
  for (const call of calls) add(call);
  return result;
}

const buffersOf = ({ args }: Call): Buffer[] => args.flatMap((arg) => (isPlace(arg) ? [arg.buffer] : []));

/** Elements that a cheap call computes. */
function elementsOf(call: Call): number {
  const [rows, channels] = CHEAP[call.opcode] as readonly [number, number];
  return numberArg(call, rows) * numberArg(call, channels);
}

/** Which buffers are made again. */
class Choice {
  /** The number of the first call of each step. */
  readonly starts: number[] = [];
  private readonly uses = new Map<Buffer, Use[]>();
  private readonly kept: ReadonlySet<Buffer>;
  private readonly chosen = new Map<Buffer, readonly Numbered[]>();

  constructor(
    { inputs, outputs, state }: LoweredGraph,
    private readonly steps: readonly (Call | Loop)[],
    private readonly rules: Rules,
  ) {
    this.kept = new Set([...inputs, ...outputs, ...state].map(({ place }) => place.buffer));
    let order = 0;
    for (const [step, each] of steps.entries()) {
      this.starts.push(order);
      for (const call of isLoop(each) ? each.calls : [each]) {
        for (const access of accesses(call, rules)) {
          const known = this.uses.get(access.buffer) ?? [];
          known.push({ call, order, step, access });
          this.uses.set(access.buffer, known);
        }
        order++;
      }
    }
  }

  /** The calls that compute each of them. In the order of the program: what a buffer is made of may be made again itself. */
  make(): ReadonlyMap<Buffer, readonly Numbered[]> {
    for (const [buffer, uses] of this.uses) {
      const producers = this.producersOf(buffer, uses);
      if (producers && this.saves(buffer, uses, producers)) this.chosen.set(buffer, producers);
    }
    return this.chosen;
  }

  /** The calls that together compute a buffer, if all are cheap and whatever reads it is in a loop that can do the same. */
  private producersOf(buffer: Buffer, uses: readonly Use[]): readonly Use[] | undefined {
    const producers = uses.filter(({ access }) => access.writes);
    if (producers.length === 0 || this.kept.has(buffer)) return undefined;
    if (producers.some(({ call }) => !CHEAP[call.opcode])) return undefined;
    const divided = uses.every(({ step, access }) => {
      const loop = this.steps[step];
      if (!isLoop(loop) || access.whole !== buffer.floats) return false;
      return producers.every(({ call }) => blocksOfCall(call, this.rules) % loop.blocks === 0);
    });
    const lasting = ({ call, order }: Use) =>
      this.operands(call, buffer).every((other) => this.isKeptFrom(other, order));
    return divided && producers.every(lasting) ? producers : undefined;
  }

  private operands(call: Call, result: Buffer): Buffer[] {
    return buffersOf(call).filter((other) => other !== result && !other.data);
  }

  /** Whether nothing changes a buffer any more behind a call. */
  private isKeptFrom(buffer: Buffer, order: number): boolean {
    return (this.uses.get(buffer) ?? []).every(({ access, order: at }) => !access.writes || at < order);
  }

  private saves(buffer: Buffer, uses: readonly Use[], producers: readonly Use[]): boolean {
    let saved = 0;
    for (const { call, step } of producers) {
      saved += WRITE * elementsOf(call);
      // What only the producer's loop has would be kept for this alone.
      for (const source of this.sourcesOf(buffer, call)) {
        if (!this.isElsewhere(source, step)) saved -= (WRITE + 1) * source.floats;
      }
    }
    for (const step of new Set(uses.map(({ step }) => step))) {
      const there = this.readIn(step);
      for (const { call, order } of producers) {
        if (order >= this.starts[step]) continue;
        saved += (1 - WORK) * elementsOf(call);
        for (const source of this.sourcesOf(buffer, call)) if (!there.has(source)) saved -= source.floats;
      }
    }
    return new Set(uses.map(({ step }) => step)).size > 1 && saved > 0;
  }

  /** The stored operands that move with the images. */
  private sourcesOf(buffer: Buffer, producer: Call): Buffer[] {
    const moving = accesses(producer, this.rules).filter(({ buffer: other, whole }) => other !== buffer && whole);
    return moving.flatMap(({ buffer: other }) => this.storedFor(other));
  }

  /** A buffer, or what it is made of where it is made again. */
  private storedFor(buffer: Buffer): Buffer[] {
    return this.chosen.get(buffer)?.flatMap(({ call }) => this.sourcesOf(buffer, call)) ?? [buffer];
  }

  /** The stored buffers that a loop reads or writes, with those for what is made again in it so far. */
  private readIn(step: number): Set<Buffer> {
    const { calls } = this.steps[step] as Loop;
    return new Set(calls.flatMap(buffersOf).flatMap((buffer) => this.storedFor(buffer)));
  }

  private isElsewhere(buffer: Buffer, step: number): boolean {
    return (this.uses.get(buffer) ?? []).some((use) => use.step !== step);
  }
}
