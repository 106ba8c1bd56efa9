import { activationOp } from '../../ops/activation.js';
import { binaryOp } from '../../ops/binary.js';
import { concatOp } from '../../ops/concat.js';
import { conv2dOp, conv2dOperands } from '../../ops/conv2d.js';
import { linearOp } from '../../ops/linear.js';
import { globalAveragePoolOp } from '../../ops/pool.js';
import { dequantize, quantize as quantizeValue } from '../../ops/quantize.js';
import { quantizedConv, scaleOf } from '../../ops/quantized-conv2d.js';
import {
  quantizedActivation,
  quantizedAdd,
  quantizedGate,
  quantizedGlobalAveragePool,
} from '../../ops/quantized-elementwise.js';
import { constant, dataOf, nameOf } from '../leaves.js';
import type { Quantization } from '../quantization.js';
import { apply, type Graph, isOp, type Value, valuesOf } from '../value.js';
import { type QuantizationPlan, quantizableElementwise, quantizableLayer } from './quantization-plan.js';
import { quantizedWeights } from './quantized-weights.js';
import { gateOf } from './separate.js';

export interface QuantizedGraph {
  readonly graph: Graph;
  /** What stands in the place of each value of the float graph. */
  readonly values: ReadonlyMap<Value, Value>;
}

/**
 * Replaces what the plan says by operators in 8 bits; everything else stays in float, and what passes from one to the other is converted. The graph
 * must be one that {@link separate} has taken apart.
 */
export function quantizeGraph(graph: Graph, plan: QuantizationPlan): QuantizedGraph {
  const builder = new Builder(plan);
  for (const value of valuesOf(graph)) builder.add(value);
  const outputs = Object.fromEntries(
    Object.entries(graph.outputs).map(([name, value]) => [name, builder.float(value)]),
  );
  return { graph: { inputs: graph.inputs, outputs }, values: builder.counterparts() };
}

class Builder {
  private readonly quantized = new Map<Value, Value>();
  private readonly floats = new Map<Value, Value>();

  constructor(private readonly plan: QuantizationPlan) {}

  add(value: Value): void {
    const output = this.plan.tensors.get(value);
    const layer = quantizableLayer(value) && !this.plan.floatLayers.has(value);
    if (layer) {
      const y = this.layer(value, output);
      if (y.quantization) this.quantized.set(value, y);
      else this.floats.set(value, y);
      return;
    }
    const y = output && quantizableElementwise(value) && this.elementwise(value, output);
    if (y) this.quantized.set(value, y);
    else this.floats.set(value, this.inFloat(value));
  }

  counterparts(): Map<Value, Value> {
    return new Map([...this.floats, ...this.quantized]);
  }

  /** The value as floats. */
  float(value: Value): Value {
    const known = this.floats.get(value);
    if (known) return known;
    const made = dequantize(this.quantized.get(value) as Value);
    this.floats.set(value, made);
    return made;
  }

  /** The value in 8 bits. */
  private bytes(value: Value): Value {
    const known = this.quantized.get(value);
    if (known) return known;
    const made = quantizeValue(this.float(value), this.plan.tensors.get(value) as Quantization);
    this.quantized.set(value, made);
    return made;
  }

  private inFloat(value: Value): Value {
    if (value.inputs.length === 0) return value;
    const inputs = value.inputs.map((v) => this.float(v));
    return inputs.every((v, i) => v === value.inputs[i]) ? value : apply(value.op, inputs, value.attrs);
  }

  private layer(value: Value, output: Quantization | undefined): Value {
    if (isOp(value, linearOp)) {
      const [input, weight, bias] = value.inputs;
      const x = this.bytes(input);
      const { data, scale, biases } = quantizedWeights(value, scaleOf(x), this.plan);
      return quantizedConv(
        { x, weight: constant(weight.shape, data, nameOf(weight)), bias: biasOf(weight, bias, biases) },
        {
          ...{ stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 },
          ...{ activation: value.attrs.activation, weightScale: scale, output },
        },
      );
    }
    if (!isOp(value, conv2dOp)) throw new Error(`${value.op.name} is no layer`);
    const { x: input, weight, bias, residual } = conv2dOperands(value);
    const x = this.bytes(input);
    const { data, scale, biases } = quantizedWeights(value, scaleOf(x), this.plan);
    const operands = {
      x,
      weight: constant(weight.shape, data, nameOf(weight)),
      bias: biasOf(weight, bias, biases),
      residual: residual && this.bytes(residual),
    };
    const { stride, padding, dilation, groups, activation } = value.attrs;
    return quantizedConv(operands, { stride, padding, dilation, groups, activation, weightScale: scale, output });
  }

  private elementwise(value: Value, output: Quantization): Value | undefined {
    const { inputs } = value;
    if (isOp(value, globalAveragePoolOp)) return quantizedGlobalAveragePool(this.bytes(inputs[0]), output);
    if (isOp(value, activationOp)) return quantizedActivation(this.bytes(inputs[0]), value.attrs.kind, output);
    const gate = gateOf(value);
    if (gate !== undefined) return quantizedGate(this.bytes(inputs[1 - gate]), this.float(inputs[gate]), output);
    if (isOp(value, binaryOp)) {
      return quantizedAdd(this.bytes(inputs[0]), this.bytes(inputs[1]), { activation: value.attrs.activation, output });
    }
    // Concatenations, slices and reshapes move bytes: their inputs are quantised as they are.
    const moved = inputs.map((v) => this.bytes(v));
    return isOp(value, concatOp) || moved.length === 1 ? apply(value.op, moved, value.attrs) : undefined;
  }
}

function biasOf(weight: Value, bias: Value | undefined, data: Float32Array): Value {
  return constant(
    [data.length],
    data,
    (bias && dataOf(bias) && nameOf(bias)) ?? nameOf(weight)?.replace(/weight$/, 'bias'),
  );
}
