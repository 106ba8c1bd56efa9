import { dataOf, inputOp, nameOf } from '../graph/leaves.js';
import { deploy } from '../graph/passes/deploy.js';
import { type Graph, isOp, rewrite, type Value, valuesOf } from '../graph/value.js';
import { Parameter } from '../nn/module.js';
import { Classifier, trace } from '../nn/trace.js';
import { type Shape, sizeOf } from '../tensor/tensor.js';

/** Any size will do: the weights of a network do not depend on it. */
const PROBE_SIZE = 64;

/**
 * The deploy form of a classifier as a model of its own: its parameters are the merged and folded weights, under the names
 * of the weights that they come from (`blocks.0.0.ghost1.cheap_operation.0.weight`, and a `.bias` beside each). So a
 * checkpoint of the deploy form is written and loaded like any other.
 */
export class DeployedClassifier extends Classifier {
  readonly numClasses: number;
  readonly inChannels: number;
  private readonly parameters = new Map<string, Parameter>();

  /** Takes the weights that `base` has now. */
  constructor(private readonly base: Classifier) {
    super();
    this.numClasses = base.numClasses;
    this.inChannels = base.inChannels;
    for (const leaf of valuesOf(this.deployedGraph([1, base.inChannels, PROBE_SIZE, PROBE_SIZE]))) {
      const data = dataOf(leaf);
      if (!data) continue;
      const name = nameOf(leaf);
      if (name === undefined || this.parameters.has(name))
        throw new Error(`the deploy form has no own name for ${name}`);
      this.parameters.set(name, new Parameter(leaf.shape, () => data));
    }
  }

  override *namedParameters(prefix = ''): Generator<[string, Parameter]> {
    for (const [name, parameter] of this.parameters) yield [prefix + name, parameter];
  }

  stages(x: Value): Record<string, Value> {
    return rewrite(this.deployedGraph(x.shape), (value) => {
      if (isOp(value, inputOp)) return x;
      const name = dataOf(value) && nameOf(value);
      return name ? (this.parameters.get(name) as Parameter).value : value;
    }).outputs;
  }

  /** With the stages among the outputs, so that nothing is merged across them and the names do not depend on who asks. */
  private deployedGraph(input: Shape): Graph {
    return deploy(trace(this.base, { input, features: true }));
  }
}

/** The deploy form of `base` for weights that are yet to be loaded: the weights of `base` are not made, let alone used. */
export function emptyDeployed(base: Classifier): DeployedClassifier {
  for (const [, parameter] of base.namedParameters()) parameter.data = new Float32Array(sizeOf(parameter.shape));
  return new DeployedClassifier(base);
}
