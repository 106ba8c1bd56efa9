import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CONSENT_TEXT, hasConsented, rememberConsent } from '../../src/headswap/consent.js';

it('remembers that a person has agreed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ghostkit-consent-'));
  try {
    const config = join(folder, 'not', 'there');
    expect(await hasConsented(config)).toBe(false);
    await rememberConsent(config, new Date(0));
    expect(await hasConsented(config)).toBe(true);
    expect(JSON.parse(await readFile(join(config, 'consent.json'), 'utf8'))).toEqual({
      headSwap: { version: 1, date: '1970-01-01T00:00:00.000Z' },
    });
    for (const other of ['', '{}', '{"headSwap":{"version":0,"date":""}}']) {
      await writeFile(join(config, 'consent.json'), other);
      expect(await hasConsented(config)).toBe(false);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('is asked for in plain words, in lines that fit a terminal', () => {
  expect(CONSENT_TEXT).toContain('has agreed to this picture');
  for (const line of CONSENT_TEXT.split('\n')) expect(line.length).toBeLessThan(125);
});
