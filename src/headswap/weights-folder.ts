import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { StateDict } from '../formats/checkpoint.js';
import { readCheckpoint } from '../formats/checkpoint-file.js';
import { withPath } from '../formats/with-path.js';
import { cacheFolder } from '../hub/folders.js';
import { findWeights, type WeightsEntry } from '../hub/manifest.js';
import { loadBlender } from '../models/ghost2/blender.js';
import { Embedder } from '../models/ghost2/embedder.js';
import { Generator } from '../models/ghost2/generator.js';
import { loadPart } from '../models/ghost2/load.js';
import { GhostkitError } from '../tensor/error.js';
import type { SwapWeights } from './weights.js';

/** Below a folder of weights, where the original's own layout has its files. */
const SUBFOLDERS = ['', 'aligner_checkpoints', 'blender_checkpoints', 'weights'];

/** What a checkpoint may be called other than the released one. */
const OTHER_NAMES: Readonly<Record<string, RegExp>> = {
  'ghost2-aligner': /^aligner.*\.(ckpt|pth|safetensors)$/,
  'ghost2-blender': /^blender.*\.(ckpt|pth|safetensors)$/,
};

const isFolder = (path: string) => existsSync(path) && statSync(path).isDirectory();

/** The path of a manifest's file in a folder of weights, flat or laid out as the original has it; undefined if it is not there. */
export function findInFolder(folder: string, entry: WeightsEntry): string | undefined {
  const folders = SUBFOLDERS.map((sub) => join(folder, sub)).filter(isFolder);
  const exact = folders.map((path) => join(path, entry.file)).find((path) => existsSync(path));
  const pattern = OTHER_NAMES[entry.name];
  if (exact || !pattern) return exact;
  for (const path of folders) {
    const name = readdirSync(path).find((each) => pattern.test(each));
    if (name) return join(path, name);
  }
  return undefined;
}

function requireInFolder(folder: string, name: string): string {
  const entry = findWeights(name);
  const path = findInFolder(folder, entry);
  if (path) return path;
  const place = join(folder, entry.file);
  if (SUBFOLDERS.some((sub) => existsSync(join(folder, sub, `${entry.file}.part`)))) {
    throw new GhostkitError(`${place}: its download is not finished; ghostkit weights pull ${name} goes on with it`);
  }
  const inCache = folder === join(cacheFolder(), 'weights');
  const get = `ghostkit weights pull ${name}${inCache ? '' : ' gets it into the cache, where it is found without --weights'}`;
  throw new GhostkitError(`${place}: there is no such file; ${get}`);
}

const stateOf = async (path: string): Promise<StateDict> => (await readCheckpoint(path)).state;

const IDENTITY = 'embedder.id_encoder.';

/** The aligner's state with ArcFace's weights from their own file, where it lacks them. */
async function withIdentity(folder: string, state: StateDict): Promise<StateDict> {
  if ([...state.keys()].some((key) => key.startsWith(IDENTITY))) return state;
  const arcface = await stateOf(requireInFolder(folder, 'ghost2-arcface'));
  return new Map([...state, ...[...arcface].map(([key, tensor]) => [IDENTITY + key, tensor] as const)]);
}

/**
 * The official weights in a folder: `aligner_*.ckpt` and `blender_*.ckpt`, side by side or in the folders that the original has for
 * them. Keys and shapes are checked when a network is made.
 *
 * @throws GhostkitError at once when it is no folder or a file is missing, with the command that gets it.
 */
export function folderWeights(folder: string): SwapWeights {
  if (existsSync(folder) && !isFolder(folder)) {
    throw new GhostkitError(`${folder}: not a folder; the weights are the folder that the files are in`);
  }
  const aligner = requireInFolder(folder, 'ghost2-aligner');
  const blender = requireInFolder(folder, 'ghost2-blender');
  // Kept from the embedder to the generator, which are in one file.
  let kept: StateDict | undefined;
  return {
    name: folder,
    trained: true,
    find: (entry) => findInFolder(folder, entry),
    async embedder() {
      const state = await withIdentity(folder, await stateOf(aligner));
      kept = state;
      const embedder = new Embedder();
      withPath(aligner, () => loadPart(embedder, state, 'embedder.'));
      return embedder;
    },
    async generator() {
      const state = kept ?? (await stateOf(aligner));
      kept = undefined;
      const generator = new Generator();
      withPath(aligner, () => loadPart(generator, state, 'gen.'));
      return generator;
    },
    async blender() {
      const state = await stateOf(blender);
      return withPath(blender, () => loadBlender(state));
    },
  };
}
