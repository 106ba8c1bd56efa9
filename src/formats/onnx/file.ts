import { closeSync, realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { GhostkitError } from '../../tensor/error.js';
import { fileReason } from '../file-reason.js';
import { openRegular, readPart, readRegular } from '../files.js';
import { printable } from '../text.js';
import { decodeModel, type ModelProto } from './decode.js';
import {
  type ExternalFile,
  ExternalReader,
  externalLocations,
  type OpenExternal,
  withExternalData,
} from './external.js';

/**
 * Reads an ONNX file with its external data, which must lie in its folder or below.
 *
 * @throws GhostkitError, without the path, when it is damaged or cannot be read.
 */
export async function readModelFile(path: string): Promise<ModelProto> {
  return withExternalData(decodeModel(await readRegular(path, 'models')), inFolder(dirname(path)));
}

/** The files of external data that an ONNX file at `path` names, by their locations: for a runtime that cannot read them itself. */
export async function externalFiles(path: string, model: ModelProto): Promise<Record<string, Uint8Array>> {
  const open = inFolder(dirname(path));
  const reader = new ExternalReader();
  const files: Record<string, Uint8Array> = {};
  for (const location of externalLocations(model)) {
    let file: ExternalFile | undefined;
    try {
      file = await open(location);
      files[location] = await reader.read(file, 0, file.size);
    } catch (error) {
      if (!(error instanceof GhostkitError)) throw error;
      throw new GhostkitError(`external data ${printable(location, 300)}: ${error.message}`, { cause: error });
    } finally {
      file?.close?.();
    }
  }
  return files;
}

function inFolder(folder: string): OpenExternal {
  return (location) => {
    let root: string;
    let path: string;
    try {
      root = realpathSync(folder);
      path = realpathSync(join(root, location));
    } catch (error) {
      throw new GhostkitError(fileReason(error), { cause: error });
    }
    // The decoder lets no location leave the folder, but a link may.
    if (!path.startsWith(root.endsWith(sep) ? root : root + sep)) {
      throw new GhostkitError("it is not inside the model's folder");
    }
    const { descriptor, size } = openRegular(path);
    const read = (offset: number, length: number) => {
      const bytes = readPart(descriptor, offset, length);
      if (bytes.length < length) throw new GhostkitError('it became shorter while it was read');
      return bytes;
    };
    return { size, read, close: () => closeSync(descriptor) };
  };
}
