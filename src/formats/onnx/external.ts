import { GhostkitError } from '../../tensor/error.js';
import { printable } from '../text.js';
import type { AttributeValue, ModelProto } from './decode.js';
import { byteLength, type ExternalData, type TensorProto } from './tensor.js';

/** A file beside a model, of which parts are read. */
export interface ExternalFile {
  readonly size: number;
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>;
  close?(): void;
}

/** The file of external data at a location below the model's folder. Throws a {@link GhostkitError} when there is none. */
export type OpenExternal = (location: string) => ExternalFile | Promise<ExternalFile>;

/** No more than this can be addressed where a network is run. Sparse files may claim any size. */
const MOST_BYTES = 2 ** 31;

/** Reads the external data of one model, which are no more than a network can have. */
export class ExternalReader {
  private left = MOST_BYTES;

  /** Throws a {@link GhostkitError} when it is too much with what was read before. */
  async read(file: ExternalFile, offset: number, length: number): Promise<Uint8Array> {
    this.left -= length;
    if (this.left < 0) {
      throw new GhostkitError(`with it the model has more than ${MOST_BYTES / 2 ** 30} GiB, which is too much`);
    }
    return file.read(offset, length);
  }
}

/** External data that are at hand, by their locations. */
export function externalIn(files: Readonly<Record<string, Uint8Array>>): OpenExternal {
  return (location) => {
    if (!Object.hasOwn(files, location)) throw new GhostkitError('it is needed beside the model and is not given');
    const bytes = files[location];
    return { size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) };
  };
}

/** The model with all external data read. Together the tensors take no more than their files have. */
export async function withExternalData(model: ModelProto, open: OpenExternal): Promise<ModelProto> {
  const { graph } = model;
  const files = new Map<string, { file: ExternalFile; left: number }>();
  const reader = new ExternalReader();
  const fileAt = async (location: string) => {
    let entry = files.get(location);
    if (!entry) {
      const file = await open(location);
      entry = { file, left: file.size };
      files.set(location, entry);
    }
    return entry;
  };
  const readTensor = async (tensor: TensorProto, { location, offset }: ExternalData): Promise<TensorProto> => {
    try {
      const entry = await fileAt(location);
      const length = byteLength(tensor);
      if (offset + length > entry.file.size || length > entry.left) {
        throw new GhostkitError(`it has ${entry.file.size} bytes, too few for ${printable(tensor.name)}`);
      }
      entry.left -= length;
      return { ...tensor, external: undefined, raw: await reader.read(entry.file, offset, length) };
    } catch (error) {
      if (!(error instanceof GhostkitError)) throw error;
      throw new GhostkitError(`external data ${printable(location, 300)}: ${error.message}`, { cause: error });
    }
  };
  const settled = async (tensor: TensorProto) => (tensor.external ? readTensor(tensor, tensor.external) : tensor);
  try {
    const initializers = new Map<string, TensorProto>();
    for (const [name, tensor] of graph.initializers) initializers.set(name, await settled(tensor));
    const nodes = [];
    for (const node of graph.nodes) {
      const attributes = new Map<string, AttributeValue>();
      for (const [name, value] of node.attributes) attributes.set(name, isTensor(value) ? await settled(value) : value);
      nodes.push({ ...node, attributes });
    }
    return { ...model, graph: { ...graph, initializers, nodes } };
  } finally {
    for (const { file } of files.values()) file.close?.();
  }
}

/** The locations of everything in a model that lies outside of its file. */
export function externalLocations({ graph }: ModelProto): Set<string> {
  const values = [...graph.initializers.values(), ...graph.nodes.flatMap(({ attributes }) => [...attributes.values()])];
  return new Set(values.flatMap((value) => (isTensor(value) && value.external ? [value.external.location] : [])));
}

function isTensor(value: AttributeValue): value is TensorProto {
  return typeof value === 'object' && 'dataType' in value;
}
