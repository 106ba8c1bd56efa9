// npm run example -- [--weights FILE [--calibrate FOLDER]] [--model FILE] [--port N] [--no-serve]: puts the runtime and a model beside
// examples/page/index.html and serves the page. --weights is compiled, with weights of 16 bits or, calibrated on a folder's pictures, of 8;
// --model is a compiled model already; without either the model that lies there is kept.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ISOLATION, serve } from './lib/serve.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'examples/page');
const model = join(page, 'model.ghost.safetensors');

/** What a page needs of the package, in its own places. */
function copyRuntime() {
  const to = join(page, 'ghostkit');
  rmSync(to, { recursive: true, force: true });
  mkdirSync(join(to, 'runtime'), { recursive: true });
  for (const name of ['web.js', 'model-worker.js', 'worker.js']) {
    copyFileSync(join(root, 'dist/runtime', name), join(to, 'runtime', name));
  }
  cpSync(join(root, 'dist/kernels/build'), join(to, 'kernels/build'), { recursive: true });
}

function compile(weights, calibrate) {
  const cli = join(root, 'dist/cli/main.js');
  const how = calibrate ? ['--int8', '--calibrate', calibrate] : ['--half'];
  const { status } = spawnSync(process.execPath, [cli, 'convert', weights, model, ...how], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function fail(message) {
  console.error(`example: ${message}`);
  process.exit(1);
}

let values;
try {
  ({ values } = parseArgs({
    options: {
      weights: { type: 'string' },
      calibrate: { type: 'string' },
      model: { type: 'string' },
      port: { type: 'string', default: '8080' },
      'no-serve': { type: 'boolean' },
    },
  }));
} catch (error) {
  fail(error.message.split('\n')[0]);
}
for (const path of [values.weights, values.calibrate, values.model]) {
  if (path !== undefined && !existsSync(path)) fail(`${path}: there is no such file or folder`);
}
if (values.model) copyFileSync(values.model, model);
else if (values.weights) compile(values.weights, values.calibrate);
if (!existsSync(model))
  fail('there is no model yet; give a checkpoint with --weights FILE, or a compiled model with --model FILE');
copyRuntime();
console.log(
  `examples/page: index.html, the runtime in ghostkit/, and a model of ${(statSync(model).size / 1e6).toFixed(1)} MB`,
);
if (!values['no-serve']) {
  const files = { '/': { status: 302, body: '' } };
  const site = await serve({
    folders: { '/': page },
    files,
    // With threads; a server without these headers does too, on one.
    headers: (path) => (path === '/' ? { Location: '/index.html' } : ISOLATION),
    port: Number(values.port),
  }).catch((error) =>
    fail(error.code === 'EADDRINUSE' ? `port ${values.port} is taken; --port chooses another` : error.message),
  );
  console.log(`serving ${site.url}/ (Ctrl-C ends)`);
}
