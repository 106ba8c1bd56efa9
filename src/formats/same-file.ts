import { stat } from 'node:fs/promises';

async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    // What is not there is no other file either.
    return undefined;
  }
}

/**
 * Of some files the first that `path` is too, however it is written: with other folders in between, over links, or in capitals where the disk
 * does not tell them apart.
 */
export async function sameFile(path: string, others: readonly string[]): Promise<string | undefined> {
  const own = await identityOf(path);
  if (own === undefined) return undefined;
  for (const other of others) if ((await identityOf(other)) === own) return other;
  return undefined;
}
