import { type Checkpoint, type CheckpointOptions, parseCheckpoint } from './checkpoint.js';
import { readBytes } from './files.js';
import { withPath } from './with-path.js';

/**
 * Reads the weights of a checkpoint file; see `parseCheckpoint`.
 *
 * @throws GhostkitError that begins with the path.
 */
export async function readCheckpoint(path: string, options: CheckpointOptions = {}): Promise<Checkpoint> {
  const bytes = await readBytes(path, 'models');
  return withPath(path, () => parseCheckpoint(bytes, options));
}
