import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../formats/atomic.js';
import { configFolder } from '../hub/folders.js';

/** What a person agrees to before the first swap. A new version is asked for again. */
export const CONSENT_VERSION = 1;

export const CONSENT_TEXT = `ghostkit swap puts one person's head on another person's body. Heads belong to people.

Before you go on, you agree that
  - everyone who can be recognised, in the source and in the target, has agreed to this picture;
  - you will not use it to deceive, to hurt, to harass or to sexualise anyone, or to pass it off as a photograph;
  - every result says in its metadata (IPTC, XMP) that a trained model made a part of it, and you leave that there.
`;

const RECORD = z.object({ headSwap: z.object({ version: z.number(), date: z.string() }) });

const recordPath = (folder: string) => join(folder, 'consent.json');

/** Whether the person who uses this account has agreed before. */
export async function hasConsented(folder: string = configFolder()): Promise<boolean> {
  try {
    const record = RECORD.parse(JSON.parse(await readFile(recordPath(folder), 'utf8')));
    return record.headSwap.version >= CONSENT_VERSION;
  } catch {
    // Not there, or not ours: then it is asked for.
    return false;
  }
}

/** Keeps that a person has agreed. */
export async function rememberConsent(folder: string = configFolder(), date: Date = new Date()): Promise<void> {
  await mkdir(folder, { recursive: true });
  const record = { headSwap: { version: CONSENT_VERSION, date: date.toISOString() } };
  await writeFileAtomic(recordPath(folder), `${JSON.stringify(record, null, 2)}\n`);
}
