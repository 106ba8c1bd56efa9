import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serve } from '../../scripts/lib/serve.mjs';
import { input } from '../../src/graph/leaves.js';
import { compileGraphToBytes } from '../../src/nn/compile.js';
import * as ops from '../../src/ops/index.js';
import { loadCompiled } from '../../src/runtime/compiled-file.js';
import { makePipe, noPipes } from '../support/special-files.js';

const x = input('x', [1, 4]);
const bytes = compileGraphToBytes({ inputs: { x }, outputs: { y: ops.relu(x) } });
let folder: string;
let server: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ghostkit-open-'));
  // Names with what has a meaning in addresses.
  for (const name of ['a model.bin', 'c:model.bin', 'data:model.bin']) writeFileSync(join(folder, name), bytes);
  server = await serve({ files: { '/model.bin': { body: bytes } } });
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server.close();
});

describe('a compiled model', () => {
  const inputsOf = async (source: string | URL) => {
    const net = await loadCompiled(source);
    net.close();
    return net.inputs;
  };

  it('is loaded from a path or a URL, as a string or not, however its scheme is written', async () => {
    const url = pathToFileURL(join(folder, 'a model.bin'));
    const http = `${server.url}/model.bin`;
    const sources = [
      url,
      url.href,
      url.href.replace('file:', 'FILE:'),
      new URL(http),
      http,
      http.replace('http', 'HTTP'),
    ];
    for (const source of [...sources, join(folder, 'a model.bin')])
      expect(await inputsOf(source)).toEqual({ x: [1, 4] });
  });

  it('may have a name that begins like an address', async () => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      for (const name of ['c:model.bin', 'data:model.bin']) expect(await inputsOf(name)).toEqual({ x: [1, 4] });
      await expect(inputsOf('C:\\model.bin')).rejects.toThrow(/there is no such file$/);
    } finally {
      process.chdir(before);
    }
  });

  it.skipIf(noPipes)('is no pipe, and not waited for in one', async () => {
    const path = makePipe(join(folder, 'pipe'));
    await expect(inputsOf(path)).rejects.toThrow(`${path}: it is a pipe, not a regular file`);
    await expect(inputsOf('/dev/zero')).rejects.toThrow('/dev/zero: it is a device, not a regular file');
  });

  it('is missed in one line', async () => {
    await expect(inputsOf('file:///none/model.bin')).rejects.toThrow(
      /^file:\/\/\/none\/model\.bin: there is no such file$/,
    );
    for (const bad of ['file://[', 'file://elsewhere/model.bin'])
      await expect(inputsOf(bad)).rejects.toThrow(/^file:.*: (Invalid URL|File URL host .*)$/);
  });
});
