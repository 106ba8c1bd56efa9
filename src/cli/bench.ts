import { cpus } from 'node:os';
import { Option } from 'commander';
import { runLoaded } from '../classify/onnx.js';
import type { Form } from '../models/identify.js';
import { assignNamedWeights, namedInput } from '../models/named-weights.js';
import { createModel } from '../models/registry.js';
import { type CompiledModel, compile } from '../nn/compile.js';
import type { Runner } from '../runtime/runner.js';
import { type BackendOptions, providersOf, withBackend } from './backend.js';
import { type CommandFactory, type CommonOptions, command, positiveInteger } from './command.js';
import { UsageError } from './errors.js';
import { entryFor } from './model-names.js';
import {
  formatBytes,
  formatCount,
  formatMs,
  formatPairs,
  formatPercent,
  formatTable,
  type Io,
  printJson,
  styleFor,
} from './output.js';
import { progress } from './progress.js';

/** Runs that are not counted: the first ones wait for the compiler of the engine and for cold caches. */
const WARM_UP = 5;
const PROFILED_RUNS = 15;
/** Kernels of a profile that a person is shown. */
const SHOWN_KERNELS = 15;

interface BenchOptions extends CommonOptions, BackendOptions {
  form: Form;
  threads: number;
  size: number;
  batch: number;
  runs: number;
  profile?: boolean;
}

type Inputs = Record<string, Float32Array>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

async function timesOf(io: Io, net: Runner, inputs: Inputs, runs: number): Promise<number[]> {
  for (let i = 0; i < WARM_UP; i++) await net.run(inputs);
  const bar = progress(io.err, 'runs', runs);
  const times: number[] = [];
  while (times.length < runs) {
    const before = performance.now();
    const outputs = net.run(inputs);
    // What answers at once is not made to wait for a turn of the event loop.
    if (outputs instanceof Promise) await outputs;
    times.push(performance.now() - before);
    bar.update(times.length);
  }
  bar.clear();
  return times;
}

interface KernelTime {
  readonly label: string;
  /** How many calls of one run have this label. */
  readonly calls: number;
  readonly ms: number;
}

/** The time of one run by kernel and output shape, the slowest first; each call's time is its median. */
function profileOf(net: CompiledModel, inputs: Inputs): KernelTime[] {
  const runs = Array.from({ length: PROFILED_RUNS }, () => net.profile(inputs));
  const byLabel = new Map<string, KernelTime>();
  for (const [i, { label }] of runs[0].entries()) {
    const { calls, ms } = byLabel.get(label) ?? { calls: 0, ms: 0 };
    byLabel.set(label, { label, calls: calls + 1, ms: ms + median(runs.map((rows) => rows[i].ms)) });
  }
  return [...byLabel.values()].sort((a, b) => b.ms - a.ms);
}

function showProfile(io: Io, rows: readonly KernelTime[]): void {
  const total = rows.reduce((sum, { ms }) => sum + ms, 0);
  const line = ({ label, calls, ms }: KernelTime) => [label, String(calls), formatMs(ms), formatPercent(ms / total)];
  const shown = rows.slice(0, SHOWN_KERNELS).map(line);
  const others = rows.slice(SHOWN_KERNELS);
  if (others.length > 0) {
    const sum = (of: (row: KernelTime) => number) => others.reduce((total, row) => total + of(row), 0);
    shown.push(line({ label: `${others.length} others`, calls: sum(({ calls }) => calls), ms: sum(({ ms }) => ms) }));
  }
  const right = (title: string) => ({ title, align: 'right' }) as const;
  const columns = [{ title: 'kernel' }, right('calls'), right('time'), right('share')];
  io.out.write(`\n${formatTable(columns, shown, styleFor(io.out))}`);
}

/** Of another executor only the time is known. */
async function benchOther(
  io: Io,
  net: Runner & { readonly runtime: string },
  model: string,
  input: readonly number[],
  { form, threads, batch, runs, json, providers = ['cpu'] }: BenchOptions,
): Promise<void> {
  const times = await timesOf(io, net, { image: namedInput('image', input).data }, runs);
  await net.close();
  const ms = median(times);
  const [fastest, imagesPerSecond] = [Math.min(...times), (batch * 1000) / ms];
  const machine = cpus()[0]?.model.trim() ?? 'unknown';
  const { runtime } = net;
  if (json) {
    printJson(io, { model, form, input, threads, runtime, providers, machine, ms, fastest, runs, imagesPerSecond });
    return;
  }
  const pairs: [string, string][] = [
    ['model', `${model}, ${form} form`],
    ['input', input.join(' x ')],
    ['time', `${formatMs(ms)}, the fastest ${formatMs(fastest)} (median of ${runs} runs)`],
    ['speed', `${formatCount(imagesPerSecond)} images/s`],
    ['runtime', `${runtime} on ${providers.join(', ')}, ${threads} thread${threads === 1 ? '' : 's'}`],
    ['machine', machine],
  ];
  io.out.write(formatPairs(pairs, styleFor(io.out)));
}

async function bench(io: Io, name: string, options: BenchOptions): Promise<void> {
  const { form, threads, size, batch, runs, json } = options;
  const entry = entryFor(name);
  // The time does not depend on the weights.
  const model = assignNamedWeights(createModel(entry.name));
  const input = [batch, model.inChannels, size, size];
  const deploy = form === 'deploy';
  const providers = providersOf(options);
  if (providers) {
    if (options.profile) throw new UsageError("--profile is of ghostkit's own kernels");
    const loaded = { model, entry, options: {} };
    return benchOther(io, await runLoaded(loaded, { input, threads, deploy, providers }), entry.name, input, options);
  }
  const net = await compile(model, { input, threads, deploy });
  const inputs = { image: namedInput('image', input).data };
  const times = await timesOf(io, net, inputs, runs);
  const profile = options.profile ? profileOf(net, inputs) : undefined;
  const ms = median(times);
  const fastest = Math.min(...times);
  const { memory, variant, macs } = net;
  const used = net.threads;
  net.close();
  const machine = cpus()[0]?.model.trim() ?? 'unknown';
  if (json) {
    const measured = { ms, fastest, runs, imagesPerSecond: (batch * 1000) / ms };
    printJson(io, {
      model: entry.name,
      form,
      input,
      threads: used,
      kernels: variant,
      machine,
      ...measured,
      macs,
      memory,
      profile,
    });
    return;
  }
  io.out.write(
    formatPairs(
      [
        ['model', `${entry.name}, ${form} form`],
        ['input', input.join(' x ')],
        ['time', `${formatMs(ms)}, the fastest ${formatMs(fastest)} (median of ${runs} runs)`],
        ['speed', `${formatCount((batch * 1000) / ms)} images/s, ${formatCount((macs * 1000) / ms)}MAC/s`],
        ['memory', `${formatBytes(memory.weights)} weights, ${formatBytes(memory.activations)} activations`],
        ['kernels', `${variant}, ${used} thread${used === 1 ? '' : 's'}`],
        ['machine', machine],
      ],
      styleFor(io.out),
    ),
  );
  if (profile) showProfile(io, profile);
}

export const benchCommand: CommandFactory = (io) =>
  withBackend(
    command('bench', 'measure how fast a network is on this machine', [
      'bench repghostnet_100',
      'bench ghostnet_100 --threads 2 --form training --profile',
      'bench repghostnet_100 --backend onnx',
    ]),
  )
    .argument('<model>', 'the name of a network')
    .addOption(new Option('--form <form>', 'what to run').choices(['deploy', 'training']).default('deploy'))
    .option('--threads <n>', 'threads that share the work', positiveInteger, 1)
    .option('--size <pixels>', 'side of the pictures', positiveInteger, 224)
    .option('--batch <n>', 'pictures that are computed together', positiveInteger, 1)
    .option('--runs <n>', 'how often to run it', positiveInteger, 50)
    .option('--profile', 'the time of every kernel')
    .action((name: string, options: BenchOptions) => bench(io, name, options));
