// Builds dist/: the kernels by AssemblyScript, in ten variants, the TypeScript by tsc, and what pages load by esbuild. With --if-stale it only does what is
// out of date, so that every npm script can call it first.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleForPages } from './bundle-pages.mjs';
import { writeOut } from './lib/write-out.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const ifStale = process.argv.includes('--if-stale');

const kernels = join(root, 'src/kernels');
const kernelOutput = join(kernels, 'build');
/** The kernels as AssemblyScript compiles them; see lib/write-out.mjs. */
const writtenOut = join(root, 'build/kernels');
const dist = join(root, 'dist');

/**
 * The features of each. What only training needs is in builds of its own, which pages need not load; those called wide, for Node, have tiles for
 * vectors of 256 bits (src/kernels/tiles.ts) and everything else.
 */
const variants = {
  simd: [],
  'simd-threads': ['threads'],
  'simd-train': [],
  'simd-threads-train': ['threads'],
  relaxed: ['relaxed-simd'],
  'relaxed-threads': ['threads', 'relaxed-simd'],
  'relaxed-train': ['relaxed-simd'],
  'relaxed-threads-train': ['threads', 'relaxed-simd'],
  wide: ['relaxed-simd'],
  'wide-threads': ['threads', 'relaxed-simd'],
};

/** The newest modification below a folder, 0 if there is none. */
function newest(path, skip = () => false) {
  if (!existsSync(path) || skip(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name), skip)));
}

const binary = (packageName, bin) => join(dirname(require.resolve(`${packageName}/package.json`)), bin);

function run(packageName, bin, args) {
  const options = { cwd: root, stdio: ['ignore', 2, 2] };
  const { status, error } = spawnSync(process.execPath, [binary(packageName, bin), ...args], options);
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

async function buildKernel(name, features) {
  const threads = features.includes('threads');
  const args = [
    ...['build/kernels/index.ts', '--outFile', `src/kernels/build/${name}.wasm`, '-O3', '--runtime', 'stub'],
    ...['--importMemory', '--noExportMemory', '--disableWarning', '112'],
    ...['simd', 'bulk-memory', ...features].flatMap((feature) => ['--enable', feature]),
    ...['--use', `WIDE_SIMD=${name.startsWith('wide') ? 1 : 0}`],
    ...['--use', `TRAINING=${/^wide|-train$/.test(name) ? 1 : 0}`],
    ...(threads ? ['--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'] : []),
  ];
  const options = { cwd: root, stdio: ['ignore', 2, 2] };
  const child = spawn(process.execPath, [binary('assemblyscript', 'bin/asc.js'), ...args], options);
  const [status] = await once(child, 'exit');
  if (status !== 0) process.exit(status ?? 1);
}

function writeOutKernels() {
  const files = readdirSync(kernels).filter((name) => name.endsWith('.ts'));
  const texts = Object.fromEntries(
    files.map((name) => [basename(name, '.ts'), readFileSync(join(kernels, name), 'utf8')]),
  );
  rmSync(writtenOut, { recursive: true, force: true });
  mkdirSync(writtenOut, { recursive: true });
  for (const [name, text] of Object.entries(writeOut(texts))) writeFileSync(join(writtenOut, `${name}.ts`), text);
}

/** As many at a time as there are cores. */
async function buildKernels() {
  writeOutKernels();
  mkdirSync(kernelOutput, { recursive: true });
  const queue = Object.entries(variants);
  const next = async () => {
    for (let kernel = queue.shift(); kernel; kernel = queue.shift()) await buildKernel(...kernel);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, next));
}

/** The weights of the face detector, 550 kB of a package of 24 MB, with its licence. */
function copyFaceWeights() {
  const from = dirname(require.resolve('@vladmandic/face-api/package.json'));
  const to = join(dist, 'headswap/detect/weights');
  for (const name of ['tiny_face_detector_model', 'face_landmark_68_model']) {
    for (const end of ['.bin', '-weights_manifest.json']) cpSync(join(from, 'model', name + end), join(to, name + end));
  }
  cpSync(join(from, 'LICENSE'), join(to, 'LICENSE'));
}

const sources = Math.max(
  newest(kernels, (path) => path === kernelOutput),
  newest(join(root, 'scripts/lib/write-out.mjs')),
);
const oldest = Math.min(...Object.keys(variants).map((name) => newest(join(kernelOutput, `${name}.wasm`))));
if (!ifStale || sources > oldest) await buildKernels();

// Written when everything has been built: what is newer than it has to be built again.
const stamp = join(dist, '.built');
const inputs = ['src', 'tsconfig.json', 'scripts/build.mjs', 'scripts/bundle-pages.mjs'].map((path) =>
  newest(join(root, path)),
);
if (!ifStale || Math.max(...inputs) > newest(stamp)) {
  if (!ifStale || !existsSync(stamp)) {
    rmSync(dist, { recursive: true, force: true });
    rmSync(join(root, 'node_modules/.cache/tsc.tsbuildinfo'), { force: true });
  }
  rmSync(stamp, { force: true });
  cpSync(kernelOutput, join(dist, 'kernels/build'), { recursive: true });
  copyFaceWeights();
  run('typescript', 'bin/tsc', ['-p', '.']);
  bundleForPages(join(dist, 'runtime'));
  writeFileSync(stamp, '');
}
