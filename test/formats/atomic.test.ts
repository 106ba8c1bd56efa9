import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { checkWritable, writeFileAtomic } from '../../src/formats/atomic.js';
import { sameFile } from '../../src/formats/same-file.js';

const folder = mkdtempSync(join(tmpdir(), 'ghostkit-atomic-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const isWindows = process.platform === 'win32';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** A folder of its own for a test. */
function made(name: string): (file: string) => string {
  mkdirSync(join(folder, name));
  return (file) => join(folder, name, file);
}

describe('writeFileAtomic', () => {
  const path = join(folder, 'out.bin');

  it('writes, replaces and follows a link', async () => {
    await writeFileAtomic(path, 'one');
    await writeFileAtomic(path, Uint8Array.of(0x74, 0x77, 0x6f));
    expect(readFileSync(path, 'utf8')).toBe('two');
    const link = join(folder, 'link.bin');
    symlinkSync(path, link);
    await writeFileAtomic(link, 'three');
    expect(readFileSync(path, 'utf8')).toBe('three');
  });

  it('says why it cannot, and leaves nothing behind', async () => {
    const files = readdirSync(folder);
    const lost = join(folder, 'no', 'out.bin');
    for (const write of [(at: string) => writeFileAtomic(at, 'x'), checkWritable]) {
      await expect(write(lost)).rejects.toThrow(`the folder ${join(folder, 'no')} does not exist`);
      await expect(write(join(path, 'x'))).rejects.toThrow('is not a folder');
      await expect(write(folder)).rejects.toThrow(`cannot write ${folder}: it is a folder`);
      await expect(write(join(folder, 'n'.repeat(300)))).rejects.toThrow('its name is too long');
    }
    expect(readdirSync(folder)).toEqual(files);
  });

  it.skipIf(isWindows)('makes the file that a link names and that is not there yet', async () => {
    const at = made('dangling');
    mkdirSync(at('elsewhere'));
    symlinkSync('elsewhere/second', at('first'));
    symlinkSync('../made.bin', at('elsewhere/second'));
    await checkWritable(at('first'));
    await writeFileAtomic(at('first'), 'made');
    expect(readFileSync(at('made.bin'), 'utf8')).toBe('made');
    for (const link of ['first', 'elsewhere/second']) expect(lstatSync(at(link)).isSymbolicLink()).toBe(true);
    expect(readdirSync(at('.')).sort()).toEqual(['elsewhere', 'first', 'made.bin']);
    symlinkSync('circle', at('circle'));
    await expect(writeFileAtomic(at('circle'), 'x')).rejects.toThrow('its links lead in a circle');
  });

  it.skipIf(isWindows)('takes the place of files only', async () => {
    const at = made('pipe');
    execFileSync('mkfifo', [at('pipe')]);
    symlinkSync('pipe', at('link'));
    for (const name of ['pipe', 'link']) {
      const message = `cannot write ${at(name)}: it is a device or a pipe, where only files are written`;
      await expect(writeFileAtomic(at(name), 'x')).rejects.toThrow(message);
      await expect(checkWritable(at(name))).rejects.toThrow(message);
    }
    expect(statSync(at('link')).isFIFO()).toBe(true);
    expect(readdirSync(at('.')).sort()).toEqual(['link', 'pipe']);
  });

  it.skipIf(isWindows)('keeps who may read and write a file that it replaces', async () => {
    const at = made('modes');
    const modeOf = (name: string) => statSync(at(name)).mode & 0o777;
    for (const mode of [0o600, 0o640, 0o664]) {
      writeFileSync(at('old'), 'old');
      chmodSync(at('old'), mode);
      await writeFileAtomic(at('old'), 'new');
      expect([readFileSync(at('old'), 'utf8'), modeOf('old')]).toEqual(['new', mode]);
    }
    writeFileSync(at('plain'), '');
    await writeFileAtomic(at('fresh'), '');
    expect(modeOf('fresh')).toBe(modeOf('plain'));
  });

  it.each([
    ['letters', 'n'.repeat(255)],
    ['characters of several bytes', '\u{1F47B}'.repeat(63)],
  ])('takes the longest names there are, in %s', async (_, name) => {
    const path = join(folder, name);
    await writeFileAtomic(path, 'long');
    expect(readFileSync(path, 'utf8')).toBe('long');
  });

  it('listens for signals only while it writes', async () => {
    const listening = () => [...SIGNALS, 'exit'].map((name) => process.listenerCount(name));
    const before = listening();
    let most = before;
    let writing = true;
    const writes = Promise.all([1, 2].map((n) => writeFileAtomic(join(folder, `${n}.bin`), new Uint8Array(1e6))));
    const written = writes.finally(() => {
      writing = false;
    });
    while (writing) {
      most = most.map((count, i) => Math.max(count, listening()[i]));
      await sleep(0);
    }
    await written;
    expect(most).toEqual(before.map((count) => count + 1));
    expect(listening()).toEqual(before);
    await expect(writeFileAtomic(folder, 'x')).rejects.toThrow();
    expect(listening()).toEqual(before);
  });
});

describe.skipIf(isWindows)('a process that is ended while it writes', () => {
  const hooks = fileURLToPath(new URL('../support/typescript-process.mjs', import.meta.url));
  const source = new URL('../../src/formats/atomic.ts', import.meta.url).href;

  /** Writes one large file after another until the process ends; gives how it did. */
  async function endedBy(signal: NodeJS.Signals, path: string, before = '') {
    const script = `
      ${before}
      const { writeFileAtomic } = await import(${JSON.stringify(source)});
      const bytes = new Uint8Array(5e7);
      for (;;) await writeFileAtomic(${JSON.stringify(path)}, bytes);`;
    const args = ['--no-deprecation', '--import', hooks, '--input-type=module', '-e', script];
    const child = spawn(process.execPath, args, { stdio: 'ignore', cwd: folder });
    const ended = once(child, 'close') as Promise<[number | null, string | null]>;
    while (!readdirSync(join(path, '..')).some((name) => name.endsWith('.tmp'))) await sleep(1);
    child.kill(signal);
    return ended;
  }

  it.each(SIGNALS)('by %s takes its half-written file with it', async (signal) => {
    const at = made(signal);
    expect(await endedBy(signal, at('large.bin'))).toEqual([null, signal]);
    expect(readdirSync(at('.')).filter((name) => name !== 'large.bin')).toEqual([]);
  });

  it('leaves it to others who listen what a signal means', async () => {
    const at = made('listener');
    const before = `process.on('SIGTERM', () => setTimeout(() => process.exit(7), 20));`;
    expect(await endedBy('SIGTERM', at('large.bin'), before)).toEqual([7, null]);
    expect(readdirSync(at('.')).filter((name) => name !== 'large.bin')).toEqual([]);
  });
});

describe('sameFile', () => {
  it('knows a file by another way to it', async () => {
    const at = made('same');
    for (const name of ['a', 'b']) writeFileSync(at(name), name);
    linkSync(at('a'), at('hard'));
    if (!isWindows) symlinkSync('a', at('soft'));
    for (const other of ['a', 'hard', ...(isWindows ? [] : ['soft']), '../same/./a']) {
      expect(await sameFile(at('a'), [at('b'), at(other)])).toBe(at(other));
    }
    expect(await sameFile(at('a'), [at('b'), at('none')])).toBeUndefined();
    expect(await sameFile(at('none'), [at('none')])).toBeUndefined();
  });
});
