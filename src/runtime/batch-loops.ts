import type { Arg, Buffer, Place } from '../graph/lowering.js';
import { Opcode } from '../kernels/opcodes.js';
import {
  type Access,
  ANY,
  accesses,
  type BlockCall,
  batchRules,
  blockCall,
  blocksOfCall,
  commonBlocks,
  isLoop,
  isPlace,
  type Loop,
  type Rules,
} from './batch-rules.js';
import type { Call, LoweredGraph } from './lower.js';
import { ALIGNMENT } from './memory-plan.js';
import { recomputeInLoops } from './recompute.js';

// A training step moves large tensors, and most of its kernels do little with them: one after the other over the whole batch, each waits for
// memory. Between two sums over the batch, however, images do not depend on each other. So runs of calls become loops over blocks of images,
// and what one kernel writes is in the cache when the next one reads it. What nothing outside of a loop reads is kept for one block only.

/** How many times as many blocks a call may ask for as its loop has. */
const COARSER = 4;

export interface BatchOptions {
  /** Images of a batch. */
  readonly images: number;
  readonly threads: number;
}

/** The same program with loops over blocks of images where there can be any; what it computes is the same, bit for bit. */
export function inBatchLoops(lowered: LoweredGraph, { images, threads }: BatchOptions): LoweredGraph {
  const rules = batchRules(images);
  const builder = new LoopBuilder(rules);
  for (const call of sumsEarly(lowered.calls.slice(0, lowered.computing), rules)) builder.add(call);
  const steps = recomputeInLoops(lowered, [...builder.finish(), ...lowered.calls.slice(lowered.computing)], rules);
  const users = onlyUsers(lowered, steps);
  const calls = steps.map((step) =>
    isLoop(step) ? encodeLoop(step, threads, rules, (buffer) => users.get(buffer) === step) : step,
  );
  return { ...lowered, calls, computing: calls.length - (lowered.calls.length - lowered.computing) };
}

/** For every buffer the loop that alone uses it, if there is one. */
function onlyUsers({ inputs, outputs, state }: LoweredGraph, steps: readonly (Call | Loop)[]) {
  const users = new Map<Buffer, Loop | undefined>();
  const use = (buffer: Buffer, by: Loop | undefined) =>
    users.set(buffer, !users.has(buffer) || users.get(buffer) === by ? by : undefined);
  for (const { place } of [...inputs, ...outputs, ...state]) use(place.buffer, undefined);
  for (const step of steps) {
    for (const { args } of isLoop(step) ? step.calls : [step]) {
      for (const arg of args) if (isPlace(arg)) use(arg.buffer, isLoop(step) ? step : undefined);
    }
  }
  return users;
}

const SUMS: ReadonlySet<Opcode> = new Set([
  Opcode.ConvWeightGradient,
  Opcode.ConvWeightGradientEnd,
  Opcode.DepthwiseWeightGradient,
  Opcode.DepthwiseWeightGradientEnd,
]);

/** Gradients of weights right behind what they are computed from, while that is in the cache. */
function sumsEarly(calls: readonly Call[], rules: Rules): readonly Call[] {
  const writtenAt = new Map<Buffer, number>();
  const placed = calls.map((call, i) => {
    const touched = accesses(call, rules);
    const at = SUMS.has(call.opcode) ? Math.max(0, ...touched.map(({ buffer }) => writtenAt.get(buffer) ?? 0)) : i;
    for (const { buffer, writes } of touched) if (writes) writtenAt.set(buffer, at);
    return { call, at };
  });
  return placed.sort((a, b) => a.at - b.at).map(({ call }) => call);
}

/** Two accesses of a buffer as one. */
const together = (a: Access, b: Access): Access => ({
  buffer: a.buffer,
  writes: a.writes || b.writes,
  whole: a.whole === b.whole ? a.whole : undefined,
});

/** Puts calls into loops as they come, and around the loop of the moment what can be done before it or has to wait for it. */
class LoopBuilder {
  private readonly done: (Call | Loop)[] = [];
  private before: Call[] = [];
  private loop: Call[] = [];
  private blocks = ANY;
  private behind: Call[] = [];
  private inLoop = new Map<Buffer, Access>();
  private late = new Set<Buffer>();

  constructor(private readonly rules: Rules) {}

  add(call: Call): void {
    const blocks = blocksOfCall(call, this.rules);
    const touched = accesses(call, this.rules);
    if (blocks === 1) {
      if (touched.some(({ buffer }) => this.late.has(buffer) || this.inLoop.has(buffer))) {
        this.behind.push(call);
        for (const { buffer } of touched) this.late.add(buffer);
      } else this.before.push(call);
      return;
    }
    const common = this.loop.length > 0 ? commonBlocks(this.blocks, blocks) : blocks;
    const coarse = Math.max(this.blocks, blocks) > COARSER * common;
    if (common === 1 || coarse || touched.some((access) => this.clashes(access))) {
      this.flush();
      this.blocks = blocks;
    } else this.blocks = common;
    this.loop.push(call);
    for (const access of touched) {
      const known = this.inLoop.get(access.buffer);
      this.inLoop.set(access.buffer, known ? together(known, access) : access);
    }
  }

  finish(): readonly (Call | Loop)[] {
    this.flush();
    return this.done;
  }

  /** Whether an access has to wait until the loop has ended: all of a buffer is wanted, or it is divided otherwise. */
  private clashes({ buffer, writes, whole }: Access): boolean {
    if (this.late.has(buffer)) return true;
    const known = this.inLoop.get(buffer);
    return known !== undefined && (known.writes || writes) && (whole === undefined || known.whole !== whole);
  }

  private flush(): void {
    this.done.push(...this.before);
    if (this.loop.length > 1 && this.blocks !== ANY) this.done.push({ blocks: this.blocks, calls: this.loop });
    else this.done.push(...this.loop);
    this.done.push(...this.behind);
    this.before = [];
    this.loop = [];
    this.behind = [];
    this.inLoop = new Map();
    this.late = new Set();
    this.blocks = ANY;
  }
}

const bytes = (floats: number) => floats * 4;
const aligned = (floats: number) => Math.ceil(bytes(floats) / ALIGNMENT) * (ALIGNMENT / 4);

/** A loop as one call: its arguments are at kernels/index.ts. */
function encodeLoop(
  { blocks, calls }: Loop,
  threads: number,
  rules: Rules,
  isInner: (buffer: Buffer) => boolean,
): Call {
  const own = new OwnParts(threads, isInner);
  const divided = calls.map((call) => blockCall(call, blocks, rules));
  for (const each of divided) own.note(each, blocks);
  const words = Math.max(...calls.map(({ args }) => args.length));
  const scratch = aligned(words);
  const args: Arg[] = [blocks, calls.length, { buffer: { floats: scratch * threads }, offset: 0 }, bytes(scratch)];
  for (const { call, parts, scratch } of divided) {
    const steps = new Array<number>(call.args.length).fill(0);
    const threadSteps = new Array<number>(call.args.length).fill(0);
    const placed = call.args.map((arg) => arg);
    for (const { arg, floats } of parts) {
      const kept = own.place(call.args[arg] as Place, floats, blocks);
      if (!kept) steps[arg] = bytes(floats);
      else {
        placed[arg] = kept.place;
        threadSteps[arg] = bytes(kept.share);
      }
    }
    if (scratch) threadSteps[scratch.arg] = scratch.bytes;
    args.push(call.opcode, call.args.length, ...placed, ...steps, ...threadSteps);
  }
  return { opcode: Opcode.Loop, args, label: `${blocks} blocks: ${calls.map(({ label }) => label).join(', ')}` };
}

/** What only one loop uses: every thread has room for one block. */
class OwnParts {
  /** For each buffer the floats of a block, or none if its uses differ. */
  private readonly sizes = new Map<Buffer, number | undefined>();
  private readonly buffers = new Map<Buffer, { readonly buffer: Buffer; readonly share: number }>();

  constructor(
    private readonly threads: number,
    private readonly isInner: (buffer: Buffer) => boolean,
  ) {}

  note({ call, parts }: BlockCall, blocks: number): void {
    for (const [i, arg] of call.args.entries()) {
      if (!isPlace(arg) || !this.isInner(arg.buffer)) continue;
      const { buffer } = arg;
      const floats = parts.find((part) => part.arg === i)?.floats;
      const fits = floats !== undefined && buffer.floats % (floats * blocks) === 0 && !buffer.data;
      const same = !this.sizes.has(buffer) || this.sizes.get(buffer) === floats;
      this.sizes.set(buffer, fits && same ? floats : undefined);
    }
  }

  /** Where a thread's block of a part lies, and how far those of two threads are apart; undefined if the part has to be kept whole. */
  place({ buffer, offset }: Place, floats: number, blocks: number): { place: Place; share: number } | undefined {
    if (this.sizes.get(buffer) !== floats) return undefined;
    const whole = floats * blocks;
    let own = this.buffers.get(buffer);
    if (!own) {
      const share = aligned((buffer.floats / whole) * floats);
      own = { buffer: { floats: share * this.threads }, share };
      this.buffers.set(buffer, own);
    }
    const before = Math.floor(offset / whole);
    return { place: { buffer: own.buffer, offset: before * floats + (offset - before * whole) }, share: own.share };
  }
}
