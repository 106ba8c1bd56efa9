import { closeSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRegular, readBytes, readPart, withRegular } from '../../src/formats/files.js';
import { GhostkitError } from '../../src/tensor/error.js';
import { makePipe, makeSparse, noPipes } from '../support/special-files.js';

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ghostkit-files-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function refusal(path: string, kind: Parameters<typeof readBytes>[1] = 'models'): Promise<string> {
  const error = await readBytes(path, kind).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(GhostkitError);
  return (error as Error).message;
}

describe('a file', () => {
  it('is read as it is, whole and in parts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(320), fc.nat(320), async (bytes, from, size) => {
        writeFileSync(at('a.bin'), bytes);
        expect([...(await readBytes(at('a.bin'), 'texts'))]).toEqual([...bytes]);
        const { part, whole } = withRegular(at('a.bin'), (file) => ({
          part: readPart(file.descriptor, from, size),
          whole: file.size,
        }));
        expect(whole).toBe(bytes.length);
        expect([...part]).toEqual([...bytes.subarray(from, from + size)]);
      }),
      { numRuns: 40 },
    );
  });

  it.each([
    ['texts', 16 * 2 ** 20, '16 MiB'],
    ['pictures', 512 * 2 ** 20, '512 MiB'],
    ['models', 2 ** 31 - 1, '2 GiB'],
    ['batches', 2 ** 31 - 1, '2 GiB'],
  ] as const)('may be of a size: %s', async (kind, limit, shown) => {
    const path = makeSparse(at(`large.${kind}`), limit + 1);
    expect(await refusal(path, kind)).toBe(`${path}: it is larger than ${shown}, the limit for ${kind}`);
    if (kind === 'texts') expect((await readBytes(makeSparse(path, limit), kind)).length).toBe(limit);
  });

  it('is missed in one line, and is no folder', async () => {
    expect(await refusal(at('none'))).toBe(`${at('none')}: there is no such file`);
    expect(await refusal(folder)).toBe(`${folder}: it is a folder`);
    expect(() => openRegular(at('none'))).toThrow(/^there is no such file$/);
    expect(() => openRegular(folder)).toThrow(/^it is a folder$/);
  });

  it('has a path that is fit for one line', async () => {
    expect(await refusal(at('no\nne'))).toBe(`${at('no')}\\u{a}ne: there is no such file`);
  });
});

describe.skipIf(noPipes)('what is no regular file', () => {
  it('is not waited for: a pipe', async () => {
    const path = makePipe(at('pipe'));
    expect(await refusal(path)).toBe(`${path}: it is a pipe, not a regular file`);
    expect(() => openRegular(path)).toThrow(/^it is a pipe, not a regular file$/);
  });

  it('is not read without an end: a device', async () => {
    expect(await refusal('/dev/zero')).toBe('/dev/zero: it is a device, not a regular file');
    expect(() => withRegular('/dev/zero', ({ descriptor }) => closeSync(descriptor))).toThrow(
      /^\/dev\/zero: it is a device, not a regular file$/,
    );
  });

  it('may be a socket', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(at('socket'), resolve));
    expect(await refusal(at('socket'))).toBe(`${at('socket')}: it is a socket, not a regular file`);
    await new Promise((resolve) => server.close(resolve));
  });
});
