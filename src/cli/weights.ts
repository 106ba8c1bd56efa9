import { Argument } from 'commander';
import { cachedPath, cacheState, pull, verify } from '../hub/cache.js';
import { expandWeights, GROUPS, WEIGHTS, type WeightsEntry } from '../hub/manifest.js';
import { findOnnxRuntime } from '../runtime/onnx/onnxruntime.js';
import { GhostkitError } from '../tensor/error.js';
import { type CommandFactory, type CommonOptions, command } from './command.js';
import { UsageError } from './errors.js';
import { formatBytes, formatTable, type Io, printJson, styleFor, writeLine } from './output.js';
import { type Progress, progress } from './progress.js';

type Action = 'list' | 'pull' | 'verify';

interface WeightsOptions extends CommonOptions {
  force?: boolean;
}

async function list(io: Io, names: readonly string[], { json }: WeightsOptions): Promise<number> {
  const entries = names.length > 0 ? expandWeights(names) : WEIGHTS;
  const rows = await Promise.all(
    entries.map(async (entry) => ({ entry, path: cachedPath(entry), ...(await cacheState(entry)) })),
  );
  if (json) {
    printJson(
      io,
      rows.map(({ entry, path, state, bytes }) => ({ ...entry, path, state, cachedBytes: bytes })),
    );
    return 0;
  }
  const style = styleFor(io.out);
  const shown = rows.map(({ entry, state, bytes }) => [
    entry.name,
    entry.summary,
    entry.licence,
    entry.bytes === undefined ? '' : formatBytes(entry.bytes),
    state === 'present' ? formatBytes(bytes) : state === 'partial' ? `${formatBytes(bytes)}, unfinished` : '',
  ]);
  const columns = [
    { title: 'name' },
    { title: 'what' },
    { title: 'licence' },
    { title: 'size', align: 'right' } as const,
    { title: 'in the cache' },
  ];
  io.out.write(formatTable(columns, shown, style));
  const groups = Object.entries(GROUPS).map(([name, members]) => `${name} stands for ${members.join(', ')}.\n`);
  io.out.write(`\n${style('dim', groups.join('').trimEnd())}\n`);
  return 0;
}

/** What to install for the ONNX files among those that were pulled, where nothing runs them. */
async function remarkOnRuntime(files: readonly string[]): Promise<string | undefined> {
  const networks = files.filter((file) => file.endsWith('.onnx'));
  if (networks.length === 0 || (await findOnnxRuntime())) return undefined;
  return `no onnxruntime is found to run ${networks.join(', ')}; npm install onnxruntime-node`;
}

/** What a person should know of a file before using it. */
function remarksOn({ licence }: WeightsEntry, verified: boolean | undefined): string {
  const remarks = [
    ...(licence.startsWith('non-commercial') ? [`licence: ${licence}`] : []),
    ...(verified === false ? ['no checksum is published; the one it has now is kept for ghostkit weights verify'] : []),
  ];
  return remarks.length > 0 ? `  (${remarks.join('; ')})` : '';
}

async function pullAll(io: Io, names: readonly string[], { json, force }: WeightsOptions): Promise<number> {
  const results: object[] = [];
  const files: string[] = [];
  let failed = false;
  for (const entry of expandWeights(names)) {
    let bar: Progress | undefined;
    const onProgress = (done: number, total: number | undefined) => {
      if (total === undefined) return;
      bar ??= progress(io.err, entry.name, total, formatBytes);
      bar.update(done);
    };
    try {
      const pulled = await pull(entry, { force, onProgress });
      bar?.clear();
      results.push({ name: entry.name, ...pulled });
      files.push(entry.file);
      const how = pulled.state === 'there' ? 'is there' : `${formatBytes(pulled.bytes ?? 0)}`;
      if (!json) writeLine(io.out, `${entry.name}: ${how}, ${pulled.path}${remarksOn(entry, pulled.verified)}`);
    } catch (error) {
      bar?.clear();
      if (!(error instanceof GhostkitError)) throw error;
      failed = true;
      results.push({ name: entry.name, error: error.message });
      writeLine(io.err, `error: ${error.message}`);
    }
  }
  const remark = await remarkOnRuntime(files);
  if (remark) writeLine(io.err, `note: ${remark}`);
  if (json) printJson(io, results);
  return failed ? 1 : 0;
}

async function verifyAll(io: Io, names: readonly string[], { json }: WeightsOptions): Promise<number> {
  const asked = names.length > 0;
  const results = [];
  for (const entry of asked ? expandWeights(names) : WEIGHTS) {
    const verdict = await verify(entry);
    // Of what nobody asked for, what is not there is no news.
    if (verdict.state === 'absent' && !asked) continue;
    results.push({ name: entry.name, path: cachedPath(entry), ...verdict });
  }
  const bad = results.filter(({ state }) => state === 'wrong' || state === 'partial' || state === 'absent');
  if (json) printJson(io, results);
  else {
    for (const { name, state, reason } of results) {
      const said = reason ?? (state === 'absent' ? `not in the cache; ghostkit weights pull ${name}` : undefined);
      writeLine(io.out, `${name}: ${state}${said ? `, ${said}` : ''}`);
    }
    if (results.length === 0) io.out.write('nothing is in the cache\n');
  }
  return bad.length > 0 ? 1 : 0;
}

async function weights(io: Io, action: Action, names: readonly string[], options: WeightsOptions): Promise<number> {
  if (action === 'list') return list(io, names, options);
  if (action === 'verify') return verifyAll(io, names, options);
  if (names.length === 0) throw new UsageError('weights pull: name what to get; ghostkit weights list shows it all');
  return pullAll(io, names, options);
}

export const weightsCommand: CommandFactory = (io, exit) =>
  command('weights', 'list, download and check the published weights', [
    'weights list',
    'weights pull repghostnet_100',
    'weights pull swap',
    'weights verify',
  ])
    .addArgument(new Argument('<action>', 'what to do').choices(['list', 'pull', 'verify']))
    .argument('[names...]', 'of which weights; all by default, but for pull')
    .option('--force', 'download again what is there')
    .action(async (action: Action, names: string[], options: WeightsOptions) =>
      exit(await weights(io, action, names, options)),
    );
