import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const folder = new URL('../peers/', import.meta.url);

/** Installs the runtimes that ghostkit is measured against, unless the pinned versions are there. */
export async function ensurePeers(log) {
  const { dependencies } = await readJson(new URL('package.json', folder));
  const there = await Promise.all(
    Object.entries(dependencies).map(async ([name, version]) => {
      const installed = await readJson(new URL(`node_modules/${name}/package.json`, folder)).catch(() => undefined);
      return installed?.version === version;
    }),
  );
  if (there.every(Boolean)) return;
  log('installing the other runtimes into bench/peers (once) ...');
  // No scripts: onnxruntime-node's would fetch CUDA libraries.
  await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
}

const readJson = async (url) => JSON.parse(await readFile(url, 'utf8'));

function npm(args) {
  return new Promise((resolve, reject) => {
    // On Windows npm is a script, which only a shell can start. All output goes to stderr: stdout is for the rows.
    const child = spawn('npm', args, {
      cwd: fileURLToPath(folder),
      stdio: ['ignore', 2, 2],
      shell: process.platform === 'win32',
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`npm ${args[0]} in bench/peers ended with ${code}`));
    });
  });
}
