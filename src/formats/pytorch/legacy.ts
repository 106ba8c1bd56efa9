import { GhostkitError } from '../../tensor/error.js';
import { printable } from '../text.js';
import { unpickle } from './pickle.js';
import { ByteStream } from './stream.js';
import { parseStorageId } from './tensors.js';
import { STORAGE_BYTES, type Storage } from './values.js';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;

/**
 * The format of `torch.save` before 1.6: pickles of a magic number, a version, the writer's sizes, the object and its
 * storages' keys, then each storage as a 64-bit count and its elements, little-endian whatever machine wrote them.
 */
export function readLegacy(bytes: Uint8Array): unknown {
  let position = 0;
  const next = (persistent?: (id: unknown) => unknown): unknown => {
    const { value, end } = unpickle(bytes, { position, persistent });
    position = end;
    return value;
  };
  if (next() !== MAGIC) throw new GhostkitError('the file has no magic number of PyTorch');
  const version = next();
  if (version !== PROTOCOL_VERSION) throw new GhostkitError('the file is of an unknown version of the legacy format');
  next();

  const storages = new Map<string, Storage>();
  const contents = new Map<string, Uint8Array>();
  const root = next((id) => {
    if (Array.isArray(id) && id[0] === 'module') return id[1];
    const { type, key, length } = parseStorageId(id);
    const known = storages.get(key);
    if (known) {
      if (known.type !== type) throw new GhostkitError(`the storage ${printable(key)} has two types`);
      return known;
    }
    if (length * STORAGE_BYTES[type] > bytes.length) {
      throw new GhostkitError(`a storage of ${length} elements is larger than the file; is it truncated?`);
    }
    const load = () => contents.get(key) ?? missing(key);
    const storage = { type, length, bigEndian: false, load };
    storages.set(key, storage);
    return storage;
  });

  const keys = next();
  if (!Array.isArray(keys)) throw new GhostkitError('the file does not list its storages');
  const stream = new ByteStream(bytes, position);
  for (const key of keys) {
    const storage = storages.get(key);
    if (!storage || contents.has(key)) throw new GhostkitError('the list of storages has one that is unknown or twice');
    const left = bytes.length - stream.position;
    const size = storage.length * STORAGE_BYTES[storage.type];
    if (left < 8 + size) throw new GhostkitError('the file ends in the middle of a storage; is it truncated?');
    const length = stream.uint64();
    if (length !== storage.length) {
      throw new GhostkitError(
        `the storage ${printable(key)} has ${length} elements, its tensors expect ${storage.length}`,
      );
    }
    contents.set(key, stream.take(size));
  }
  return root;
}

function missing(key: string): never {
  throw new GhostkitError(`the file lists no storage ${printable(key)}`);
}
