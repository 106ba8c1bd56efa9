import { dataOf, inputOp, nameOf } from '../graph/leaves.js';
import { deploy } from '../graph/passes/deploy.js';
import { type Graph, isOp, rewrite, type Value, valuesOf } from '../graph/value.js';
import { Parameter } from '../nn/module.js';
import { Classifier, trace } from '../nn/trace.js';
import { type Shape, sizeOf } from '../tensor/tensor.js';

/** Any size that a network takes will do: its weights do not depend on it. */
const PROBE_SIZE = 64;

/**
 * The deploy form of a classifier as a model of its own: its parameters are the merged and folded weights, under the names
 * of the weights that they come from (`blocks.0.0.ghost1.cheap_operation.0.weight`, and a `.bias` beside each). So a
 * checkpoint of the deploy form is written and loaded like any other.
 */
export class DeployedClassifier extends Classifier {
  readonly numClasses: number;
  readonly inChannels: number;
  override readonly inputSize?: readonly [height: number, width: number];
  private readonly parameters = new Map<string, Parameter>();

  /** Takes the weights that `base` has now. */
  constructor(private readonly base: Classifier) {
    super();
    this.numClasses = base.numClasses;
    this.inChannels = base.inChannels;
    this.inputSize = base.inputSize;
    const [height, width] = base.inputSize ?? [PROBE_SIZE, PROBE_SIZE];
    for (const [leaf, name] of leavesOf(this.deployedGraph([1, base.inChannels, height, width]))) {
      const data = dataOf(leaf) as Float32Array;
      this.parameters.set(name, new Parameter(leaf.shape, () => data));
    }
  }

  override *namedParameters(prefix = ''): Generator<[string, Parameter]> {
    for (const [name, parameter] of this.parameters) yield [prefix + name, parameter];
  }

  stages(x: Value): Record<string, Value> {
    const graph = this.deployedGraph(x.shape);
    const names = leavesOf(graph);
    return rewrite(graph, (value) => {
      if (isOp(value, inputOp)) return x;
      const name = names.get(value);
      return name === undefined ? value : (this.parameters.get(name) as Parameter).value;
    }).outputs;
  }

  /** With the stages among the outputs, so that nothing is merged across them and the names do not depend on who asks. */
  private deployedGraph(input: Shape): Graph {
    return deploy(trace(this.base, { input, features: true }));
  }
}

/**
 * The named arrays of a graph. Two that come from one weight (a layer that stands in the network twice, merged with different branches)
 * are numbered in the graph's order, which does not depend on the input's size.
 */
function leavesOf(graph: Graph): Map<Value, string> {
  const names = new Map<Value, string>();
  const used = new Set<string>();
  for (const value of valuesOf(graph)) {
    const base = dataOf(value) && nameOf(value);
    if (base === undefined) continue;
    let name = base;
    for (let i = 2; used.has(name); i++) name = `${base}_${i}`;
    used.add(name);
    names.set(value, name);
  }
  return names;
}

/** The deploy form of `base` for weights that are yet to be loaded: the weights of `base` are not made, let alone used. */
export function emptyDeployed(base: Classifier): DeployedClassifier {
  for (const [, parameter] of base.namedParameters()) parameter.data = new Float32Array(sizeOf(parameter.shape));
  return new DeployedClassifier(base);
}
