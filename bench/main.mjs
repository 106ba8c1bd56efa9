// npm run bench -- NAME [options]: measures ghostkit beside its peers, in one run on one machine.
//
// A bench is a file of this folder that exports `summary`, `options` (of node:util's parseArgs, each with a `description` and a `hint`
// for its value) and `run(values, log)`, which returns rows. With --json the rows are all there is on standard output.
import { readdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { formatTable } from './lib/table.mjs';

const COMMON = {
  json: { type: 'boolean', description: 'print {"rows":[...]} and nothing else on standard output' },
  help: { type: 'boolean', short: 'h', description: 'print this' },
};

// The peers print as they please; whatever comes from anywhere but here goes to stderr.
const write = process.stdout.write.bind(process.stdout);
const print = (text) => new Promise((resolve) => write(text, resolve));
process.stdout.write = process.stderr.write.bind(process.stderr);
const log = (line) => process.stderr.write(`${line}\n`);

const load = (name) => import(`./${name}.mjs`);

async function benchNames() {
  const files = await readdir(new URL('.', import.meta.url));
  const scripts = files.filter((file) => file.endsWith('.mjs') && file !== 'main.mjs');
  return scripts.map((file) => file.slice(0, -'.mjs'.length)).sort();
}

async function usage(names) {
  const width = Math.max(...names.map((name) => name.length));
  const lines = names.map(async (name) => `  ${name.padEnd(width)}  ${(await load(name)).summary}`);
  return [
    'usage: npm run bench -- NAME [--json] [options]',
    '',
    ...(await Promise.all(lines)),
    '',
    'NAME --help tells its options.',
  ].join('\n');
}

function help(name, { summary, options }) {
  const rows = Object.entries({ ...options, ...COMMON }).map(([key, { hint, description, default: value }]) => {
    const flag = `--${key}${hint ? ` ${hint}` : ''}`;
    return [flag, value === undefined ? description : `${description} (default ${value})`];
  });
  const width = Math.max(...rows.map(([flag]) => flag.length));
  return [
    `npm run bench -- ${name}: ${summary}`,
    '',
    ...rows.map(([flag, text]) => `  ${flag.padEnd(width)}  ${text}`),
  ].join('\n');
}

/** What parseArgs takes: it refuses keys that it does not know. */
const forParser = (options) =>
  Object.fromEntries(Object.entries(options).map(([key, { hint: _, description: __, ...option }]) => [key, option]));

async function main([name, ...args]) {
  const names = await benchNames();
  if (name === undefined || name === '--help' || name === '-h') {
    await print(`${await usage(names)}\n`);
    return name === undefined ? 2 : 0;
  }
  if (!names.includes(name)) {
    log(`bench: there is no ${name}; the benches are ${names.join(', ')}`);
    return 2;
  }
  const bench = await load(name);
  let values;
  try {
    ({ values } = parseArgs({ args, options: forParser({ ...bench.options, ...COMMON }) }));
  } catch (error) {
    log(`bench ${name}: ${error.message.split('\n')[0]}\n\n${help(name, bench)}`);
    return 2;
  }
  if (values.help) {
    await print(`${help(name, bench)}\n`);
    return 0;
  }
  const rows = await bench.run(values, log);
  await print(values.json ? `${JSON.stringify({ rows })}\n` : formatTable(rows));
  return 0;
}

let code = 1;
try {
  code = await main(process.argv.slice(2));
} catch (error) {
  const expected = error.name === 'UsageError' || error.name === 'GhostkitError';
  log(`bench: ${expected ? error.message : (error.stack ?? error)}`);
}
// Whatever a runtime has left running does not matter any more.
process.exit(code);
