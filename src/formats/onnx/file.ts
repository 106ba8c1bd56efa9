import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { GhostkitError } from '../../tensor/error.js';
import { messageOf, printable } from '../text.js';
import { decodeModel, type ModelProto } from './decode.js';
import { type ExternalFile, externalLocations, type OpenExternal, withExternalData } from './external.js';

/**
 * Reads an ONNX file with its external data, which must lie in its folder or below.
 *
 * @throws GhostkitError, without the path, when it is damaged or cannot be read.
 */
export async function readModelFile(path: string): Promise<ModelProto> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new GhostkitError(reasonOf(error), { cause: error });
  }
  return withExternalData(decodeModel(bytes), inFolder(dirname(path)));
}

/** The files of external data that an ONNX file at `path` names, by their locations: for a runtime that cannot read them itself. */
export async function externalFiles(path: string, model: ModelProto): Promise<Record<string, Uint8Array>> {
  const open = inFolder(dirname(path));
  const files: Record<string, Uint8Array> = {};
  for (const location of externalLocations(model)) {
    let file: ExternalFile | undefined;
    try {
      file = await open(location);
      files[location] = await file.read(0, file.size);
    } catch (error) {
      if (!(error instanceof GhostkitError)) throw error;
      throw new GhostkitError(`external data ${printable(location, 300)}: ${error.message}`, { cause: error });
    } finally {
      file?.close?.();
    }
  }
  return files;
}

function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR' ? 'there is no such file' : messageOf(error);
}

function inFolder(folder: string): OpenExternal {
  return (location) => {
    let descriptor: number;
    try {
      const root = realpathSync(folder);
      const path = realpathSync(join(root, location));
      // The decoder lets no location leave the folder, but a link may.
      if (!path.startsWith(root.endsWith(sep) ? root : root + sep)) {
        throw new GhostkitError("it is not inside the model's folder");
      }
      descriptor = openSync(path, 'r');
    } catch (error) {
      if (error instanceof GhostkitError) throw error;
      throw new GhostkitError(reasonOf(error), { cause: error });
    }
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) {
      closeSync(descriptor);
      throw new GhostkitError('it is no file');
    }
    const read = (offset: number, length: number) => {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const count = readSync(descriptor, bytes, done, length - done, offset + done);
        if (count === 0) throw new GhostkitError('it became shorter while it was read');
        done += count;
      }
      return bytes;
    };
    return { size: stats.size, read, close: () => closeSync(descriptor) };
  };
}
