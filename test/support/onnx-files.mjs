/**
 * ONNX files by hand, with everything that the exporter in src/ never writes: several outputs, tensors as attributes, other types, older
 * operators. JavaScript, so that the fuzzer makes its files with it too.
 */
import { PbfWriter } from 'pbf';

/** The numbers of types in the format. */
export const TYPE = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10, double: 11 };

const ARRAYS = {
  float: Float32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  int32: Int32Array,
  double: Float64Array,
  bool: Uint8Array,
  float16: Uint16Array,
};

/** A tensor: `{ shape, values, type }`; `external` is a list of entries in place of data. */
export function tensor(shape, values, type = 'float', extra = {}) {
  return { shape, values, type, ...extra };
}

/** A list of integers, as shapes and axes are. */
export const ints = (...values) => tensor([values.length], values, 'int64');
export const scalar = (value, type = 'float') => tensor([], [value], type);

function bytesOf({ values, type }) {
  const typed = type === 'int64' ? BigInt64Array.from(values, BigInt) : (ARRAYS[type] ?? Float32Array).from(values);
  return new Uint8Array(typed.buffer);
}

function writeTensor([name, value], pbf) {
  for (const d of value.shape) pbf.writeVarintField(1, d);
  pbf.writeVarintField(2, TYPE[value.type] ?? value.type);
  pbf.writeStringField(8, name);
  if (value.external) {
    for (const entry of Object.entries(value.external)) pbf.writeMessage(13, writeEntry, entry);
    pbf.writeVarintField(14, 1);
  } else if (value.listed) {
    // As numbers in lists of their own, packed.
    if (value.type === 'float') pbf.writePackedFloat(4, value.values);
    else if (value.type === 'int64') pbf.writePackedVarint(7, value.values);
    else if (value.type === 'double') pbf.writePackedDouble(10, value.values);
    else pbf.writePackedVarint(5, value.values);
  } else pbf.writeBytesField(9, bytesOf(value));
}

function writeEntry([key, value], pbf) {
  pbf.writeStringField(1, key);
  pbf.writeStringField(2, String(value));
}

function writeAttribute([name, value], pbf) {
  pbf.writeStringField(1, name);
  let type;
  if (typeof value === 'string') {
    type = 3;
    pbf.writeStringField(4, value);
  } else if (typeof value === 'number') {
    type = 2;
    pbf.writeVarintField(3, value);
  } else if ('float' in value) {
    type = 1;
    pbf.writeFloatField(2, value.float);
  } else if ('floats' in value) {
    type = 6;
    for (const v of value.floats) pbf.writeFloatField(7, v);
  } else if (Array.isArray(value)) {
    type = 7;
    for (const v of value) pbf.writeVarintField(8, v);
  } else {
    type = 4;
    pbf.writeMessage(5, writeTensor, ['', value]);
  }
  pbf.writeVarintField(20, type);
}

function writeNode({ op, inputs = [], outputs, name = '', domain, attributes = {} }, pbf) {
  for (const input of inputs) pbf.writeStringField(1, input);
  for (const output of outputs) pbf.writeStringField(2, output);
  if (name) pbf.writeStringField(3, name);
  pbf.writeStringField(4, op);
  for (const entry of Object.entries(attributes)) pbf.writeMessage(5, writeAttribute, entry);
  if (domain) pbf.writeStringField(7, domain);
}

function writeDimension(d, pbf) {
  if (typeof d === 'number') pbf.writeVarintField(1, d);
  else pbf.writeStringField(2, d);
}

function writeValueInfo([name, shape], pbf) {
  pbf.writeStringField(1, name);
  pbf.writeMessage(
    2,
    (_, type) =>
      type.writeMessage(
        1,
        (__, tensorType) => {
          tensorType.writeVarintField(1, 1);
          if (shape) {
            tensorType.writeMessage(
              2,
              (___, dims) => {
                for (const d of shape) dims.writeMessage(1, writeDimension, d);
              },
              null,
            );
          }
        },
        null,
      ),
    null,
  );
}

function writeGraph({ nodes, initializers = {}, inputs, outputs }, pbf) {
  for (const node of nodes) pbf.writeMessage(1, writeNode, node);
  pbf.writeStringField(2, 'handmade');
  for (const entry of Object.entries(initializers)) pbf.writeMessage(5, writeTensor, entry);
  for (const entry of Object.entries(inputs)) pbf.writeMessage(11, writeValueInfo, entry);
  const listed = Array.isArray(outputs) ? outputs : Object.entries(outputs);
  for (const entry of listed) pbf.writeMessage(12, writeValueInfo, entry);
}

/**
 * The bytes of an ONNX file: `nodes` are `{ op, inputs, outputs, attributes }`, `initializers` tensors by name, `inputs` and `outputs` shapes by
 * name (undefined where the file does not say). Outputs may be a list of `[name, shape]`, in which names that are whole numbers keep
 * their places.
 */
export function onnxFile(graph, { opset = 17, irVersion = 8, metadata = {} } = {}) {
  const pbf = new PbfWriter();
  pbf.writeVarintField(1, irVersion);
  pbf.writeMessage(7, writeGraph, graph);
  pbf.writeMessage(8, (version, set) => set.writeVarintField(2, version), opset);
  for (const entry of Object.entries(metadata)) pbf.writeMessage(14, writeEntry, entry);
  return pbf.finish().slice();
}
