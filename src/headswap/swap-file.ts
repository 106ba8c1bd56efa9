import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { checkWritable } from '../formats/atomic.js';
import { packageVersion } from '../formats/package-version.js';
import { sameFile } from '../formats/same-file.js';
import { messageOf, printable } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { writePicture } from './picture-file.js';
import { STAGE_PICTURES, type StageSink, type SwapResult } from './pipeline.js';
import { COMPOSITE_SOURCE_TYPE, type Provenance } from './provenance.js';

/** What every swapped picture says of itself. */
export function swapProvenance(): Provenance {
  return {
    creatorTool: `ghostkit ${packageVersion()}`,
    digitalSourceType: COMPOSITE_SOURCE_TYPE,
    aiSystem: 'GHOST 2.0 head swap',
  };
}

/**
 * Writes a swapped picture as PNG, JPEG or WebP, whole or not at all, with its provenance.
 *
 * @throws GhostkitError for another ending, or when it cannot be written.
 */
export async function writeSwap(path: string, { image }: Pick<SwapResult, 'image'>): Promise<void> {
  await writePicture(path, image, swapProvenance());
}

/**
 * Writes the stages' pictures into a folder, which is made. They carry the provenance too: most show a part of the new head.
 *
 * @param sources Pictures that none of them may take the place of.
 * @throws GhostkitError before anything is written when one would, or cannot be written.
 */
export async function stageFolder(folder: string, sources: readonly string[] = []): Promise<StageSink> {
  const pathOf = (name: string) => join(folder, `${name}.png`);
  for (const name of STAGE_PICTURES) {
    if ((await sameFile(pathOf(name), sources)) === undefined) continue;
    throw new GhostkitError(
      `${printable(pathOf(name), 500)}: a stage's picture would take the place of one that the swap begins with; name another folder`,
    );
  }
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new GhostkitError(`${folder}: this folder cannot be made (${messageOf(error)})`, { cause: error });
  }
  for (const name of STAGE_PICTURES) await checkWritable(pathOf(name));
  const provenance = swapProvenance();
  return (name, picture) => writePicture(pathOf(name), picture, provenance);
}
