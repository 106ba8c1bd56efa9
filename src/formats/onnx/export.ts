import { dataOf, inputOp, nameOf, parameterOp } from '../../graph/leaves.js';
import type { OnnxAttribute, OnnxBuilder, OnnxData } from '../../graph/onnx-builder.js';
import type { Quantization } from '../../graph/quantization.js';
import { type Graph, isOp, type Value, valuesOf } from '../../graph/value.js';
import { GhostkitError } from '../../tensor/error.js';
import { batchedValues, batchName } from './batch.js';
import { encodeModel, type OnnxNode, type OnnxTensor, type OnnxValueInfo } from './encode.js';

/** HardSwish needs 14; 17 is what every onnxruntime since 1.12 reads. */
const OPSET = 17;
const IR_VERSION = 8;

export interface OnnxExportOptions {
  /** The graph's name in the file. */
  readonly name?: string;
  /** Key-value pairs for the model's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Leaves the first dimension of inputs and outputs open (`N`). Throws when the graph depends on its batch size. */
  readonly dynamicBatch?: boolean;
  /** Leaves the data of parameters out and says that they are in the file of this name: the structure without its weights. */
  readonly weightsIn?: string;
}

/**
 * The graph as the bytes of an .onnx file. Inputs and outputs have the graph's names, parameters those of the state dict, and a
 * layer's nodes are named after its parameters. Works in a browser.
 */
export function exportOnnx(
  graph: Graph,
  { name = 'ghostkit', metadata = {}, dynamicBatch = false, weightsIn }: OnnxExportOptions = {},
): Uint8Array {
  const batched = dynamicBatch ? batchedValues(graph) : undefined;
  const info = ([key, value]: [string, Value]): OnnxValueInfo => ({
    name: key,
    shape: batched?.has(value) ? [batchName(graph, value), ...value.shape.slice(1)] : value.shape,
  });
  const exporter = new Exporter(graph, weightsIn);
  for (const value of valuesOf(graph)) exporter.add(value);
  return encodeModel({
    name,
    irVersion: IR_VERSION,
    opset: OPSET,
    metadata,
    nodes: exporter.finish(graph),
    initializers: exporter.initializers,
    inputs: Object.entries(graph.inputs).map(info),
    outputs: Object.entries(graph.outputs).map(info),
  });
}

/** Up to this many elements, initializers are compared and stored once: the bounds of every ReLU6, the axes of every slice. */
const SHARED_ELEMENTS = 8;

class Exporter implements OnnxBuilder {
  readonly initializers: OnnxTensor[] = [];
  private readonly nodes: OnnxNode[] = [];
  private readonly results = new Map<Value, string>();
  private readonly names = new Names();
  private readonly small = new Map<string, string>();
  /** Names of parameters and constants that have not been needed yet. */
  private readonly reserved = new Set<string>();
  private readonly leaves = new Map<Value, string>();
  /** Names the nodes of the value that is being added. */
  private scope = '';

  constructor(
    graph: Graph,
    private readonly weightsIn?: string,
  ) {
    for (const key of [...Object.keys(graph.inputs), ...Object.keys(graph.outputs)]) {
      if (this.names.unique(key) !== key) {
        throw new GhostkitError(`ONNX: "${key}" is the name of an input and of an output; rename one of them`);
      }
    }
    for (const [key, value] of Object.entries(graph.inputs)) this.results.set(value, key);
  }

  add(value: Value): void {
    if (this.results.has(value)) return;
    if (dataOf(value)) {
      const name = this.names.unique(nameOf(value) ?? value.op.name);
      this.leaves.set(value, name);
      this.reserved.add(name);
    } else if (isOp(value, inputOp)) {
      throw new GhostkitError(`ONNX: the graph reads "${value.attrs.name}", which is not among its inputs`);
    } else if (value.op.onnx) {
      this.scope = scopeOf(value);
      const result = value.op.onnx(value, this);
      this.results.set(value, value.quantization ? this.quantized(result, value.quantization) : result);
    } else {
      throw new GhostkitError(`ONNX: the operator ${value.op.name} has no ONNX form`);
    }
  }

  name(value: Value): string {
    const known = this.results.get(value);
    if (known !== undefined) return known;
    // A parameter or a constant that something reads as it is: only then it is stored.
    const outside = this.weightsIn !== undefined && isOp(value, parameterOp);
    const data = outside ? new Float32Array(0) : (dataOf(value) as Float32Array);
    const name = this.take(this.nameFor(value));
    this.results.set(value, this.store(name, value.shape, data, outside ? this.weightsIn : undefined));
    return name;
  }

  nameFor(value: Value): string {
    return this.leaves.get(value) ?? value.op.name;
  }

  /** A leaf's own name the first time, then others. */
  private take(name: string): string {
    return this.reserved.delete(name) ? name : this.names.unique(name);
  }

  /** The nodes that round a result to its quantisation; what reads it sees floats again. */
  private quantized(result: string, { scale, zeroPoint, low }: Quantization): string {
    // What is above the range saturates with the type. So does what is below, where the range begins with the type or a ReLU at zero.
    const least = Float32Array.of(Math.fround(scale * (low - zeroPoint)));
    const x = low > -128 && zeroPoint > low ? this.node('Clip', [result, this.initializer([], least)]) : result;
    const by = [this.initializer([], Float32Array.of(scale)), this.initializer([], Int8Array.of(zeroPoint))];
    return this.node('DequantizeLinear', [this.node('QuantizeLinear', [x, ...by]), ...by]);
  }

  node(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>> = {}): string {
    const output = this.names.unique(this.scope + opType);
    this.nodes.push({ name: output, opType, inputs, output, attributes });
    return output;
  }

  initializer(shape: readonly number[], data: OnnxData, name?: string): string {
    if (name !== undefined) return this.store(this.take(name), shape, data);
    const store = () => this.store(this.names.unique('constant'), shape, data);
    if (data.length > SHARED_ELEMENTS) return store();
    const key = `${data.constructor.name} ${shape} ${data}`;
    const known = this.small.get(key) ?? store();
    this.small.set(key, known);
    return known;
  }

  /** The nodes with every output of the graph under its own name. */
  finish(graph: Graph): OnnxNode[] {
    const renamed = new Map<string, string>();
    const produced = new Set(this.nodes.map((node) => node.output));
    const copies: OnnxNode[] = [];
    for (const [key, value] of Object.entries(graph.outputs)) {
      const result = this.name(value);
      // A node's result takes the output's name; an input, a parameter or a result that has another output's name is copied.
      if (produced.has(result) && !renamed.has(result)) renamed.set(result, key);
      else copies.push({ name: key, opType: 'Identity', inputs: [result], output: key, attributes: {} });
    }
    const now = (name: string) => renamed.get(name) ?? name;
    return [...this.nodes, ...copies].map((node) => ({
      ...node,
      inputs: node.inputs.map(now),
      output: now(node.output),
    }));
  }

  private store(name: string, shape: readonly number[], data: OnnxTensor['data'], external?: string): string {
    this.initializers.push({ name, shape, data, external });
    return name;
  }
}

/** `blocks.3.conv/` for a value that reads `blocks.3.conv.weight`; empty for one without named parameters. */
function scopeOf(value: Value): string {
  for (const input of value.inputs) {
    const name = nameOf(input);
    const dot = name?.lastIndexOf('.') ?? -1;
    if (name && dot > 0) return `${name.slice(0, dot)}/`;
  }
  return '';
}

/** Gives out names once. */
class Names {
  private readonly used = new Map<string, number>();

  unique(base: string): string {
    let name = base;
    while (this.used.has(name)) {
      const count = (this.used.get(base) as number) + 1;
      this.used.set(base, count);
      name = `${base}_${count}`;
    }
    this.used.set(name, 0);
    return name;
  }
}
