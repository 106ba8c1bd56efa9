/**
 * The part of onnx.proto that ghostkit writes and reads: field numbers by message, and the enumerations' values. Names are the
 * schema's own.
 */

export const ModelProto = {
  ir_version: 1,
  producer_name: 2,
  producer_version: 3,
  graph: 7,
  opset_import: 8,
  metadata_props: 14,
  functions: 25,
} as const;

export const OperatorSetIdProto = { domain: 1, version: 2 } as const;

export const StringStringEntryProto = { key: 1, value: 2 } as const;

export const GraphProto = { node: 1, name: 2, initializer: 5, input: 11, output: 12, sparse_initializer: 15 } as const;

export const NodeProto = { input: 1, output: 2, name: 3, op_type: 4, attribute: 5, domain: 7 } as const;

export const AttributeProto = { name: 1, f: 2, i: 3, s: 4, t: 5, floats: 7, ints: 8, type: 20 } as const;

export const AttributeType = { FLOAT: 1, INT: 2, STRING: 3, TENSOR: 4, FLOATS: 6, INTS: 7 } as const;

export const TensorProto = {
  dims: 1,
  data_type: 2,
  float_data: 4,
  int32_data: 5,
  int64_data: 7,
  name: 8,
  raw_data: 9,
  double_data: 10,
  uint64_data: 11,
  external_data: 13,
  data_location: 14,
} as const;

/** `TensorProto.DataLocation`. */
export const DataLocation = { DEFAULT: 0, EXTERNAL: 1 } as const;

export const DataType = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  UINT32: 12,
  UINT64: 13,
  BFLOAT16: 16,
} as const;

export const ValueInfoProto = { name: 1, type: 2 } as const;

export const TypeProto = { tensor_type: 1 } as const;

/** `TypeProto.Tensor`. */
export const TensorTypeProto = { elem_type: 1, shape: 2 } as const;

export const TensorShapeProto = { dim: 1 } as const;

/** `TensorShapeProto.Dimension`. */
export const DimensionProto = { dim_value: 1, dim_param: 2 } as const;
