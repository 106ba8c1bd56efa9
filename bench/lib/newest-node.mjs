import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './peers.mjs';

const folder = new URL('../node/', import.meta.url);

/** The Node of bench/node, newer than the one that runs the bench; undefined where there is none for this machine, or it cannot be had. */
export async function newestNode(log) {
  const { dependencies } = JSON.parse(await readFile(new URL('package.json', folder), 'utf8'));
  const [[name, version]] = Object.entries(dependencies);
  if (Number.parseInt(process.versions.node, 10) >= Number.parseInt(version, 10)) return undefined;
  if (`node-${process.platform}-${process.arch}` !== name) {
    log(`Node ${version} is left out: it is installed on Linux and x64 only`);
    return undefined;
  }
  try {
    await ensureInstalled('node', `Node ${version}`, log);
  } catch (error) {
    log(`Node ${version} is left out: ${error.message}`);
    return undefined;
  }
  return fileURLToPath(new URL(`node_modules/${name}/bin/node`, folder));
}
