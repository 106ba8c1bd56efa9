import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { packageVersion } from '../formats/package-version.js';
import { messageOf } from '../formats/text.js';
import { GhostkitError } from '../tensor/error.js';
import { writePicture } from './picture-file.js';
import type { StageSink, SwapResult } from './pipeline.js';
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

/** Writes the stages' pictures into a folder, which is made. They carry the provenance too: most show a part of the new head. */
export async function stageFolder(folder: string): Promise<StageSink> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new GhostkitError(`${folder}: this folder cannot be made (${messageOf(error)})`, { cause: error });
  }
  const provenance = swapProvenance();
  return (name, picture) => writePicture(join(folder, `${name}.png`), picture, provenance);
}
