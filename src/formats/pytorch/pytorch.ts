import { GhostkitError } from '../../tensor/error.js';
import type { Tensor } from '../../tensor/tensor.js';
import { printable } from '../text.js';
import { Archive } from './archive.js';
import { readLegacy } from './legacy.js';
import { unpickle } from './pickle.js';
import { parseStorageId, readTensor } from './tensors.js';
import { Budget, STORAGE_BYTES, type Storage, type TensorRef } from './values.js';

export { Placeholder, TensorRef } from './values.js';

export type PyTorchFormat = 'pytorch-zip' | 'pytorch-legacy' | 'pickle';

/** A PyTorch file as data: what `torch.load` would return, its tensors still in the file until `read` gets them. */
export interface PyTorchFile {
  readonly root: unknown;
  readonly read: (ref: TensorRef) => Tensor;
}

/**
 * Opens a file written by `torch.save`, or a bare pickle (which holds no tensors).
 *
 * @throws GhostkitError when the file is damaged, or when loading it in Python would call a function.
 */
export async function openPyTorch(bytes: Uint8Array, format: PyTorchFormat): Promise<PyTorchFile> {
  const budget = new Budget(bytes.length);
  const read = (ref: TensorRef) => readTensor(ref, budget);
  switch (format) {
    case 'pytorch-zip':
      return { root: readZip(await Archive.open(bytes, budget)), read };
    case 'pytorch-legacy':
      return { root: readLegacy(bytes), read };
    case 'pickle':
      return { root: unpickle(bytes).value, read };
  }
}

function readZip(archive: Archive): unknown {
  const pickles = [...archive.names()].filter((name) => /^([^/]+\/)?data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    throw new GhostkitError(`the zip archive is not a PyTorch checkpoint: it has ${pickles.length} entries data.pkl`);
  }
  const folder = pickles[0].slice(0, -'data.pkl'.length);
  if (archive.sizeOf(`${folder}constants.pkl`) !== undefined) {
    throw new GhostkitError('the file is a TorchScript program, not a checkpoint; save its state_dict() instead');
  }
  const byteOrder = `${folder}byteorder`;
  const bigEndian =
    archive.sizeOf(byteOrder) !== undefined && new TextDecoder().decode(archive.read(byteOrder)) === 'big';
  const storages = new Map<string, Storage>();
  const persistent = (id: unknown): Storage => {
    const { type, key, length } = parseStorageId(id);
    const known = storages.get(key);
    if (known) {
      if (known.type !== type) throw new GhostkitError(`the storage ${printable(key)} has two types`);
      return known;
    }
    const entry = `${folder}data/${key}`;
    const size = archive.sizeOf(entry);
    if (size === undefined) throw new GhostkitError(`the archive has no entry ${printable(entry)}`);
    if (size < length * STORAGE_BYTES[type]) {
      throw new GhostkitError(`${printable(entry)} has ${size} bytes, ${length} elements of ${type} do not fit`);
    }
    const storage = { type, length, bigEndian, load: () => archive.read(entry) };
    storages.set(key, storage);
    return storage;
  };
  return unpickle(archive.read(pickles[0]), { persistent }).value;
}
