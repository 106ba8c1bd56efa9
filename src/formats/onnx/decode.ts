import { GhostkitError } from '../../tensor/error.js';
import { printable } from '../text.js';
import * as proto from './schema.js';
import { decodeTensor, type TensorProto } from './tensor.js';
import {
  decodeEntry,
  eachField,
  integer,
  message,
  nameIn,
  pushFloats,
  pushIntegers,
  text,
  type WireValue,
} from './wire.js';

/** A node's attribute: `FLOAT`, `INT`, `STRING` (its bytes as text), `FLOATS`, `INTS` or `TENSOR`. */
export type AttributeValue = number | string | readonly number[] | TensorProto;

export interface NodeProto {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

/** A graph's input or output; a dimension is a size, the name of one that is not fixed, or `?`. */
export interface ValueInfoProto {
  readonly name: string;
  /** Absent where the file does not say, or for what is no tensor. */
  readonly shape?: readonly (number | string)[];
}

export interface GraphProto {
  readonly name: string;
  readonly nodes: readonly NodeProto[];
  readonly initializers: ReadonlyMap<string, TensorProto>;
  readonly inputs: readonly ValueInfoProto[];
  readonly outputs: readonly ValueInfoProto[];
}

/** An ONNX file as it stands, its tensors' data still bytes. */
export interface ModelProto {
  readonly producer: string;
  /** The version of the standard operators. */
  readonly opset: number;
  /** How many operators it defines of its own. */
  readonly functions: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly graph: GraphProto;
}

// No classifier has a tenth of these, and what is in a graph is gone over many times.
const MOST_NODES = 50_000;
/** Initializers, inputs, outputs and metadata, of each kind. */
const MOST_ENTRIES = 100_000;
/** Inputs, outputs and attributes of one node, of each kind. */
const MOST_OF_NODE = 4096;
/** Inputs and outputs of all nodes together. */
const MOST_NAMES = 1_000_000;

/** How messages call a node. */
export function titleOf({ name, opType, outputs }: Pick<NodeProto, 'name' | 'opType' | 'outputs'>): string {
  const called = name || outputs[0] || '';
  return called ? `node ${printable(called)} (${printable(opType)})` : `a node ${printable(opType)}`;
}

function checkCount(count: number, most: number, what: string): void {
  if (count > most) throw new GhostkitError(`this ONNX file has more than ${most} ${what}`);
}

/**
 * Decodes a serialised `ModelProto`. What is not needed to run a graph is skipped; arrays are not copied.
 *
 * @throws GhostkitError when it is damaged, cut off, no ONNX file at all, or uses a part of the format that is not supported.
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  let graph: GraphProto | undefined;
  let producer = '';
  let opset: number | undefined;
  let functions = 0;
  const metadata: [string, string][] = [];
  eachField(bytes, (field, value) => {
    if (field === proto.ModelProto.graph) {
      if (graph) throw new GhostkitError('this ONNX file has two graphs');
      graph = decodeGraph(message(value));
    } else if (field === proto.ModelProto.opset_import) {
      const { domain, version } = decodeOpset(message(value));
      if (domain === '' || domain === 'ai.onnx') opset = version;
    } else if (field === proto.ModelProto.metadata_props) {
      metadata.push(decodeEntry(message(value)));
      checkCount(metadata.length, MOST_ENTRIES, 'metadata');
    } else if (field === proto.ModelProto.producer_name) producer = text(value);
    else if (field === proto.ModelProto.functions) functions++;
  });
  if (!graph) throw new GhostkitError('this is no ONNX file: it has no graph');
  if (opset === undefined) throw new GhostkitError('this ONNX file does not say which operators it uses (no opset)');
  return { producer, opset, functions, metadata: Object.fromEntries(metadata), graph };
}

function decodeOpset(bytes: Uint8Array): { domain: string; version: number } {
  let domain = '';
  let version = 0;
  eachField(bytes, (field, value) => {
    if (field === proto.OperatorSetIdProto.domain) domain = text(value);
    if (field === proto.OperatorSetIdProto.version) version = integer(value);
  });
  return { domain, version };
}

function decodeGraph(bytes: Uint8Array): GraphProto {
  let name = '';
  let names = 0;
  const nodes: NodeProto[] = [];
  const initializers = new Map<string, TensorProto>();
  const inputs: ValueInfoProto[] = [];
  const outputs: ValueInfoProto[] = [];
  eachField(bytes, (field, value) => {
    if (field === proto.GraphProto.node) {
      const node = decodeNode(message(value));
      nodes.push(node);
      names += node.inputs.length + node.outputs.length;
      checkCount(nodes.length, MOST_NODES, 'nodes');
      checkCount(names, MOST_NAMES, 'inputs and outputs of nodes');
    } else if (field === proto.GraphProto.name) name = nameIn(value);
    else if (field === proto.GraphProto.initializer) {
      const tensor = decodeTensor(message(value));
      if (initializers.has(tensor.name)) {
        throw new GhostkitError(`this ONNX file has two initializers ${printable(tensor.name)}`);
      }
      initializers.set(tensor.name, tensor);
      checkCount(initializers.size, MOST_ENTRIES, 'initializers');
    } else if (field === proto.GraphProto.input) {
      inputs.push(decodeValueInfo(message(value)));
      checkCount(inputs.length, MOST_ENTRIES, 'inputs');
    } else if (field === proto.GraphProto.output) {
      outputs.push(decodeValueInfo(message(value)));
      checkCount(outputs.length, MOST_ENTRIES, 'outputs');
    } else if (field === proto.GraphProto.sparse_initializer) {
      throw new GhostkitError('this ONNX file has sparse weights, which are not supported');
    }
  });
  return { name, nodes, initializers, inputs, outputs };
}

function decodeNode(bytes: Uint8Array): NodeProto {
  let name = '';
  let opType = '';
  let domain = '';
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, AttributeValue>();
  const counts = { inputs: 0, outputs: 0, attributes: 0 };
  /** What is too much is only counted: what the node is called may stand behind it. */
  const keep = (kind: keyof typeof counts, add: () => void) => {
    if (++counts[kind] <= MOST_OF_NODE) add();
  };
  eachField(bytes, (field, value) => {
    if (field === proto.NodeProto.input) keep('inputs', () => inputs.push(nameIn(value)));
    else if (field === proto.NodeProto.output) keep('outputs', () => outputs.push(nameIn(value)));
    else if (field === proto.NodeProto.name) name = nameIn(value);
    else if (field === proto.NodeProto.op_type) opType = nameIn(value);
    else if (field === proto.NodeProto.domain) domain = nameIn(value);
    else if (field === proto.NodeProto.attribute) {
      keep('attributes', () => {
        const [key, content] = decodeAttribute(message(value));
        if (content !== undefined) attributes.set(key, content);
      });
    }
  });
  for (const [kind, count] of Object.entries(counts)) {
    if (count <= MOST_OF_NODE) continue;
    throw new GhostkitError(
      `${titleOf({ name, opType, outputs })}: it has ${count} ${kind}, more than ${MOST_OF_NODE}`,
    );
  }
  return { name, opType, domain: domain === 'ai.onnx' ? '' : domain, inputs, outputs, attributes };
}

/** An attribute of a kind that no supported operator has is undefined: whoever needs it will miss it. */
function decodeAttribute(bytes: Uint8Array): [string, AttributeValue | undefined] {
  let name = '';
  let type: number | undefined;
  let single: AttributeValue | undefined;
  const floats: number[] = [];
  const integers: number[] = [];
  eachField(bytes, (field, value) => {
    const { AttributeProto } = proto;
    if (field === AttributeProto.name) name = nameIn(value);
    else if (field === AttributeProto.type) type = integer(value);
    else if (field === AttributeProto.i) single = integer(value);
    else if (field === AttributeProto.s) single = text(value);
    else if (field === AttributeProto.t) single = decodeTensor(message(value));
    else if (field === AttributeProto.ints) pushIntegers(integers, value);
    else if (field === AttributeProto.floats) pushFloats(floats, value);
    else if (field === AttributeProto.f) {
      const [f] = floatsOf(value);
      single = f;
    }
  });
  const { AttributeType } = proto;
  if (type === AttributeType.INTS || (type === undefined && integers.length > 0)) return [name, integers];
  if (type === AttributeType.FLOATS || (type === undefined && floats.length > 0)) return [name, floats];
  // A number that is 0 may be left out by its writer.
  if (single === undefined && (type === AttributeType.INT || type === AttributeType.FLOAT)) return [name, 0];
  if (single === undefined && type === AttributeType.STRING) return [name, ''];
  return [name, single];
}

function floatsOf(value: WireValue): number[] {
  const floats: number[] = [];
  pushFloats(floats, value);
  if (floats.length !== 1) throw new GhostkitError('this ONNX file is damaged: a number is cut off');
  return floats;
}

function decodeValueInfo(bytes: Uint8Array): ValueInfoProto {
  let name = '';
  let shape: (number | string)[] | undefined;
  eachField(bytes, (field, value) => {
    if (field === proto.ValueInfoProto.name) name = nameIn(value);
    if (field === proto.ValueInfoProto.type) {
      eachField(message(value), (inner, type) => {
        if (inner === proto.TypeProto.tensor_type) shape = decodeTensorType(message(type));
      });
    }
  });
  return { name, shape };
}

function decodeTensorType(bytes: Uint8Array): (number | string)[] | undefined {
  let shape: (number | string)[] | undefined;
  eachField(bytes, (field, value) => {
    if (field !== proto.TensorTypeProto.shape) return;
    shape = [];
    eachField(message(value), (inner, dimension) => {
      if (inner === proto.TensorShapeProto.dim) shape?.push(decodeDimension(message(dimension)));
    });
  });
  return shape;
}

function decodeDimension(bytes: Uint8Array): number | string {
  let dimension: number | string = '?';
  eachField(bytes, (field, value) => {
    if (field === proto.DimensionProto.dim_value) dimension = integer(value);
    if (field === proto.DimensionProto.dim_param) dimension = nameIn(value) || '?';
  });
  return dimension;
}
