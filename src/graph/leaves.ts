import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape, sizeOf } from '../tensor/tensor.js';
import { defineOperator } from './operator.js';
import { apply, isOp, type Value } from './value.js';

/** A learnable array or a running statistic: what a `parameter` value refers to. Row-major float32. */
export interface ParameterData {
  readonly shape: Shape;
  data: Float32Array;
  /** The key in the state dict; set when the module that owns it is traced. */
  name?: string;
}

export const inputOp = defineOperator<{ name: string; shape: Shape }>({
  name: 'input',
  shape: (_, { shape }) => shape,
});

export const parameterOp = defineOperator<{ parameter: ParameterData }>({
  name: 'parameter',
  shape: (_, { parameter }) => parameter.shape,
});

export const constantOp = defineOperator<{ shape: Shape; data: Float32Array; name?: string }>({
  name: 'constant',
  shape: (_, { shape, data }) => {
    if (data.length !== sizeOf(shape))
      throw new GhostkitError(`constant: ${data.length} elements for ${formatShape(shape)}`);
    return shape;
  },
});

/** A value that is given at run time. */
export function input(name: string, shape: Shape): Value {
  if (shape.some((d) => !Number.isInteger(d) || d < 1)) {
    throw new GhostkitError(`input ${name}: every dimension of ${formatShape(shape)} must be a positive integer`);
  }
  return apply(inputOp, [], { name, shape });
}

const parameterValues = new WeakMap<ParameterData, Value>();

/** The value of a parameter: one and the same wherever it is used, so that passes see the sharing. */
export function parameter(p: ParameterData): Value {
  let value = parameterValues.get(p);
  if (!value) {
    value = apply(parameterOp, [], { parameter: p });
    parameterValues.set(p, value);
  }
  return value;
}

export function constant(shape: Shape, data: Float32Array | readonly number[], name?: string): Value {
  return apply(constantOp, [], { shape, data: data instanceof Float32Array ? data : Float32Array.from(data), name });
}

/** The data of a parameter or constant, or undefined for a value that is only known at run time. */
export function dataOf(value: Value): Float32Array | undefined {
  if (isOp(value, constantOp)) return value.attrs.data;
  if (isOp(value, parameterOp)) return value.attrs.parameter.data;
  return undefined;
}

/** The state-dict name behind a parameter or a named constant. */
export function nameOf(value: Value): string | undefined {
  if (isOp(value, constantOp)) return value.attrs.name;
  if (isOp(value, parameterOp)) return value.attrs.parameter.name;
  return undefined;
}
