import { PbfWriter } from 'pbf';
import type { OnnxAttribute, OnnxData } from '../../graph/onnx-builder.js';
import * as proto from './schema.js';

export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: OnnxData;
  /** The file that has the data instead of this one: their order in it is its affair. */
  readonly external?: string;
}

/** A graph's input or output; a dimension is a size or the name of one that is not fixed. */
export interface OnnxValueInfo {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

/** What an ONNX file of ghostkit's holds, before it is bytes. All tensors at the graph's edge are float32. */
export interface OnnxModel {
  readonly name: string;
  readonly irVersion: number;
  readonly opset: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
}

/** The model as a serialised `ModelProto`: the content of an .onnx file. */
export function encodeModel(model: OnnxModel): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeVarintField(proto.ModelProto.ir_version, model.irVersion);
  pbf.writeStringField(proto.ModelProto.producer_name, 'ghostkit');
  pbf.writeMessage(proto.ModelProto.graph, writeGraph, model);
  pbf.writeMessage(proto.ModelProto.opset_import, writeOpset, model.opset);
  for (const entry of Object.entries(model.metadata)) {
    pbf.writeMessage(proto.ModelProto.metadata_props, writeEntry, entry);
  }
  return pbf.finish();
}

function writeOpset(version: number, pbf: PbfWriter): void {
  pbf.writeStringField(proto.OperatorSetIdProto.domain, '');
  pbf.writeVarintField(proto.OperatorSetIdProto.version, version);
}

function writeEntry([key, value]: [string, string], pbf: PbfWriter): void {
  pbf.writeStringField(proto.StringStringEntryProto.key, key);
  pbf.writeStringField(proto.StringStringEntryProto.value, value);
}

function writeGraph(model: OnnxModel, pbf: PbfWriter): void {
  for (const node of model.nodes) pbf.writeMessage(proto.GraphProto.node, writeNode, node);
  pbf.writeStringField(proto.GraphProto.name, model.name);
  for (const tensor of model.initializers) pbf.writeMessage(proto.GraphProto.initializer, writeTensor, tensor);
  for (const info of model.inputs) pbf.writeMessage(proto.GraphProto.input, writeValueInfo, info);
  for (const info of model.outputs) pbf.writeMessage(proto.GraphProto.output, writeValueInfo, info);
}

function writeNode(node: OnnxNode, pbf: PbfWriter): void {
  for (const name of node.inputs) pbf.writeStringField(proto.NodeProto.input, name);
  pbf.writeStringField(proto.NodeProto.output, node.output);
  pbf.writeStringField(proto.NodeProto.name, node.name);
  pbf.writeStringField(proto.NodeProto.op_type, node.opType);
  for (const entry of Object.entries(node.attributes)) {
    pbf.writeMessage(proto.NodeProto.attribute, writeAttribute, entry);
  }
}

// The schema is proto2, whose repeated numbers are written one by one, not packed.
function writeAttribute([name, value]: [string, OnnxAttribute], pbf: PbfWriter): void {
  pbf.writeStringField(proto.AttributeProto.name, name);
  const type = (code: number) => pbf.writeVarintField(proto.AttributeProto.type, code);
  if (typeof value === 'number') {
    pbf.writeVarintField(proto.AttributeProto.i, value);
    type(proto.AttributeType.INT);
  } else if (typeof value === 'string') {
    pbf.writeStringField(proto.AttributeProto.s, value);
    type(proto.AttributeType.STRING);
  } else if ('float' in value) {
    pbf.writeFloatField(proto.AttributeProto.f, value.float);
    type(proto.AttributeType.FLOAT);
  } else if ('floats' in value) {
    for (const v of value.floats) pbf.writeFloatField(proto.AttributeProto.floats, v);
    type(proto.AttributeType.FLOATS);
  } else {
    for (const v of value) pbf.writeVarintField(proto.AttributeProto.ints, v);
    type(proto.AttributeType.INTS);
  }
}

function typeOf(data: OnnxData): number {
  if (data instanceof Float32Array) return proto.DataType.FLOAT;
  if (data instanceof Int8Array) return proto.DataType.INT8;
  return data instanceof Int32Array ? proto.DataType.INT32 : proto.DataType.INT64;
}

function writeTensor({ name, shape, data, external }: OnnxTensor, pbf: PbfWriter): void {
  for (const d of shape) pbf.writeVarintField(proto.TensorProto.dims, d);
  pbf.writeVarintField(proto.TensorProto.data_type, typeOf(data));
  pbf.writeStringField(proto.TensorProto.name, name);
  if (external !== undefined) {
    pbf.writeMessage(proto.TensorProto.external_data, writeEntry, ['location', external]);
    pbf.writeVarintField(proto.TensorProto.data_location, proto.DataLocation.EXTERNAL);
    return;
  }
  // The format is little-endian, as is every machine with a JavaScript engine and SIMD.
  pbf.writeBytesField(proto.TensorProto.raw_data, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function writeValueInfo({ name, shape }: OnnxValueInfo, pbf: PbfWriter): void {
  pbf.writeStringField(proto.ValueInfoProto.name, name);
  pbf.writeMessage(proto.ValueInfoProto.type, writeType, shape);
}

type Dimensions = OnnxValueInfo['shape'];

function writeType(shape: Dimensions, pbf: PbfWriter): void {
  pbf.writeMessage(proto.TypeProto.tensor_type, writeTensorType, shape);
}

function writeTensorType(shape: Dimensions, pbf: PbfWriter): void {
  pbf.writeVarintField(proto.TensorTypeProto.elem_type, proto.DataType.FLOAT);
  pbf.writeMessage(proto.TensorTypeProto.shape, writeShape, shape);
}

function writeShape(shape: Dimensions, pbf: PbfWriter): void {
  for (const d of shape) pbf.writeMessage(proto.TensorShapeProto.dim, writeDimension, d);
}

function writeDimension(d: number | string, pbf: PbfWriter): void {
  if (typeof d === 'number') pbf.writeVarintField(proto.DimensionProto.dim_value, d);
  else pbf.writeStringField(proto.DimensionProto.dim_param, d);
}
