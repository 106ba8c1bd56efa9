import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** Installs the runtimes that ghostkit is measured against, unless the pinned versions are there. */
export const ensurePeers = (log) => ensureInstalled('peers', 'the other runtimes', log);

/** Installs what a folder of bench/ names in its package.json, unless the pinned versions are there. */
export async function ensureInstalled(name, what, log) {
  const folder = new URL(`../${name}/`, import.meta.url);
  const { dependencies } = await readJson(new URL('package.json', folder));
  const there = await Promise.all(
    Object.entries(dependencies).map(async ([name, version]) => {
      const installed = await readJson(new URL(`node_modules/${name}/package.json`, folder)).catch(() => undefined);
      return installed?.version === version;
    }),
  );
  if (there.every(Boolean)) return;
  log(`installing ${what} into bench/${name} (once) ...`);
  // No scripts: onnxruntime-node's would fetch CUDA libraries.
  await npm(folder, ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
}

const readJson = async (url) => JSON.parse(await readFile(url, 'utf8'));

function npm(folder, args) {
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
      else reject(new Error(`npm ${args[0]} in ${fileURLToPath(folder)} ended with ${code}`));
    });
  });
}
