/**
 * Feeds damaged and hostile files to the built readers: `node scripts/fuzz.mjs --count 20000 --seed 1`, so many of each kind: checkpoints,
 * ONNX files, compiled models (which are also run); `--kind onnx` is for one of them. Every case must end in a result or in a GhostkitError of
 * one line, within a second and 512 MB. The cases run in a child process, which a watchdog ends when one hangs. `--only N` repeats one case,
 * `--from N` begins there. Exit code 1 when a case fails.
 */
import { spawn } from 'node:child_process';
import { existsSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { KINDS } from '../test/support/fuzz-kinds.mjs';

const CASE_MS = 1000;
const HANG_MS = 10_000;
const MEMORY_MB = 512;
const MAX_FAILURES = 20;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const USAGE = `usage: npm run fuzz -- [options]

  --count N      how many cases of each kind (20000)
  --seed N       of what is made (1)
  --kind KIND    only these: ${Object.keys(KINDS).join(', ')}
  --only N       one case
  --from N       begins there
  --dist DIR     the build whose readers are tried
  --checkpoints DIR  real and hostile files to begin with
`;

const ARGUMENTS = {
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string', multiple: true, default: Object.keys(KINDS) },
    only: { type: 'string' },
    from: { type: 'string', default: '0' },
    dist: { type: 'string', default: here('../dist') },
    checkpoints: { type: 'string', default: here('../../shared/checkpoints') },
    worker: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
};

function parsed() {
  try {
    return parseArgs(ARGUMENTS).values;
  } catch (error) {
    console.error(`${error.message.split('\n')[0]}\n\n${USAGE}`);
    return process.exit(1);
  }
}

const options = parsed();
if (options.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const seed = Number(options.seed);
const first = Number(options.only ?? options.from);
const end = options.only === undefined ? Number(options.count) : first + 1;

/** Runs the cases from `first` and writes a line before and after each; synchronously, so that a hang is told apart. */
async function work() {
  const kind = KINDS[options.kind[0]];
  const load = (module) => import(pathToFileURL(`${options.dist}/${module}`).href);
  const modules = Object.assign({}, ...(await Promise.all(kind.modules.map(load))));
  const bases = await kind.prepare(modules, options);
  const tell = (message) => writeSync(1, `${JSON.stringify(message)}\n`);
  for (let index = first; index < end; index++) {
    const bytes = kind.make(seed, index, bases);
    tell({ started: index });
    let { ms, read, wrong } = await timed(kind, modules, bytes, index);
    // The machine may have been busy: slow is what is slow twice.
    if (ms > CASE_MS) ms = Math.min(ms, (await timed(kind, modules, bytes, index)).ms);
    if (ms > CASE_MS) wrong ??= `took ${Math.round(ms)} ms`;
    const peakMb = process.resourceUsage().maxRSS / 1024;
    if (peakMb > MEMORY_MB) wrong ??= `the process reached ${Math.round(peakMb)} MB`;
    tell({ done: index, ms, read, wrong, peakMb });
    // The peak never falls again: a fresh process measures the cases that follow.
    if (peakMb > MEMORY_MB) process.exit(0);
  }
}

async function timed({ attempt }, modules, bytes, index) {
  const start = performance.now();
  const result = await attempt(modules, bytes, index);
  return { ...result, ms: performance.now() - start };
}

/** Runs cases of one kind in a child process until it ends, and resolves to the next case to run. */
function runChild(kind, from, total) {
  const heap = `--max-old-space-size=${MEMORY_MB}`;
  const range = ['--worker', '--from', String(from), '--count', String(end), '--seed', options.seed];
  const places = ['--kind', kind, '--dist', options.dist, '--checkpoints', options.checkpoints];
  const child = spawn(process.execPath, [heap, here('fuzz.mjs'), ...range, ...places], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let next = from;
  let running = false;
  let hung = false;
  let timer;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      hung = true;
      child.kill('SIGKILL');
    }, HANG_MS);
  };
  const fail = (index, wrong) => {
    total.failures++;
    console.error(`case ${index} (--kind ${kind} --seed ${seed} --only ${index}): ${wrong}`);
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line);
    watch();
    running = message.started !== undefined;
    if (running) return;
    next = message.done + 1;
    total.cases++;
    if (message.read) total.read++;
    else if (!message.wrong) total.refused++;
    total.slowestMs = Math.max(total.slowestMs, message.ms);
    total.peakMb = Math.max(total.peakMb, message.peakMb);
    if (message.wrong) fail(message.done, message.wrong);
  });
  watch();
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (running) {
        fail(next, hung ? `hung for ${HANG_MS} ms` : `ended the process (code ${code}, signal ${signal})`);
        total.cases++;
        next++;
      } else if (next === from) {
        fail(next, `the process did not start (code ${code})`);
        next = end;
      }
      resolve(next);
    });
  });
}

async function main() {
  const unknown = options.kind.find((kind) => !Object.hasOwn(KINDS, kind));
  if (unknown) {
    console.error(`there is no kind ${unknown}; there are ${Object.keys(KINDS).join(', ')}`);
    process.exit(1);
  }
  if (!existsSync(`${options.dist}/formats/checkpoint.js`)) {
    console.error(`there is no build at ${options.dist}; run npm run build`);
    process.exit(1);
  }
  if (!existsSync(options.checkpoints)) console.error(`no checkpoints at ${options.checkpoints}: synthetic files only`);
  for (const kind of options.kind) await fuzz(kind);
}

async function fuzz(kind) {
  const total = { cases: 0, read: 0, refused: 0, failures: 0, slowestMs: 0, peakMb: 0 };
  const start = performance.now();
  let next = first;
  while (next < end && total.failures < MAX_FAILURES) next = await runChild(kind, next, total);
  const seconds = Math.round((performance.now() - start) / 1000);
  console.log(
    `${kind}: ${total.cases} cases of seed ${seed} in ${seconds} s: ${total.read} read, ` +
      `${total.refused} refused in one line, ${total.failures} failed; ` +
      `slowest ${Math.round(total.slowestMs)} ms, peak ${Math.round(total.peakMb)} MB`,
  );
  if (total.failures) process.exitCode = 1;
}

await (options.worker ? work() : main());
