// npm run example -- [--weights FILE [--calibrate FOLDER]] [--output FOLDER] [--port N] [--no-serve]: puts examples/page, the runtime and a model
// into a folder and serves it. --weights is compiled, with weights of 16 bits or, calibrated on a folder's pictures, of 8, unless it is a compiled
// model already; without, it is the model in examples/page.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compiledHeaderOf } from '../dist/classify/classifier-file.js';
import { ISOLATION, serve } from './lib/serve.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const example = join(root, 'examples/page');
const MODEL = 'model.ghost.safetensors';

const USAGE = `npm run example -- [options]: a page that classifies pictures and what the camera sees

  --weights FILE      weights, or a compiled model (default: those that come with ghostkit)
  --calibrate FOLDER  pictures like those it will see, for a model in 8 bits
  --output FOLDER     where the page goes (default: build/page)
  --port N            where it is served on this machine (default: 8080)
  --no-serve          only write the folder, for another server
`;

/** What a page needs of the package, in its own places. */
function copyRuntime(to) {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(join(to, 'runtime'), { recursive: true });
  for (const name of ['web.js', 'model-worker.js', 'worker.js']) {
    copyFileSync(join(root, 'dist/runtime', name), join(to, 'runtime', name));
  }
  // Those with vectors of 256 bits are for Node, and no page here trains.
  const forPages = (path) => !/(wide(-threads)?|-train)\.wasm$/.test(path);
  cpSync(join(root, 'dist/kernels/build'), join(to, 'kernels/build'), { recursive: true, filter: forPages });
}

function compile(weights, model, calibrate) {
  const cli = join(root, 'dist/cli/main.js');
  const how = calibrate ? ['--int8', '--calibrate', calibrate] : ['--half'];
  const { status } = spawnSync(process.execPath, [cli, 'convert', weights, relative(process.cwd(), model), ...how], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}

function fail(message) {
  console.error(`example: ${message}`);
  process.exit(1);
}

function options() {
  try {
    return parseArgs({
      options: {
        weights: { type: 'string' },
        calibrate: { type: 'string' },
        output: { type: 'string', default: join(root, 'build/page') },
        port: { type: 'string', default: '8080' },
        'no-serve': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    return fail(`${error.message.split('\n')[0]}; --help lists the options`);
  }
}

const { weights = join(example, MODEL), calibrate, output, port, 'no-serve': writeOnly, help } = options();
if (help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
for (const path of [weights, calibrate]) {
  if (path !== undefined && !existsSync(path)) fail(`${path}: there is no such file or folder`);
}
const model = join(output, MODEL);
mkdirSync(output, { recursive: true });
const isCompiled = (await compiledHeaderOf(weights).catch((error) => fail(error.message))) !== undefined;
if (isCompiled && calibrate) fail(`${weights}: this is compiled already; --calibrate needs its weights`);
if (isCompiled) copyFileSync(weights, model);
else compile(weights, model, calibrate);
copyFileSync(join(example, 'index.html'), join(output, 'index.html'));
copyRuntime(join(output, 'ghostkit'));
const megabytes = (statSync(model).size / 1e6).toFixed(2);
console.log(
  `${relative(process.cwd(), output) || '.'}: index.html, the runtime in ghostkit/, and a model of ${megabytes} MB`,
);
if (!writeOnly) {
  const site = await serve({
    folders: { '/': output },
    files: { '/': { status: 302, body: '' } },
    // With threads; a server without these headers does too, on one.
    headers: (path) => (path === '/' ? { Location: '/index.html' } : ISOLATION),
    port: Number(port),
  }).catch((error) =>
    fail(error.code === 'EADDRINUSE' ? `port ${port} is taken; --port chooses another` : error.message),
  );
  console.log(`serving ${site.url}/ (Ctrl-C ends)`);
}
