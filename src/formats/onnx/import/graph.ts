import { constant } from '../../../graph/leaves.js';
import { type Graph, type Value, valuesOf } from '../../../graph/value.js';
import { GhostkitError } from '../../../tensor/error.js';
import { formatShape, type Shape, sizeOf } from '../../../tensor/tensor.js';
import { printable } from '../../text.js';
import { type GraphProto, type ModelProto, type NodeProto, titleOf } from '../decode.js';
import { MOST_DIMENSIONS } from '../tensor.js';
import { foldNode } from './constants.js';
import { type ImportContext, type Leaf, Names, Node } from './node.js';
import { OPERATORS } from './operators.js';
import { simplify } from './simplify.js';
import { Flow, Known, type Tensor } from './tensors.js';

export type { Leaf };

/** Operators of a standard version that is older or newer than these differ from what is written here, or are not known. */
const OPSETS = { first: 7, last: 26 };

/** Elements that may be computed while importing a file without weights. */
const BASE_BUDGET = 2 ** 20;

/** How often a stored element may be computed with: weights that are standardised by their reader take about ten steps. */
const FOLDS_OF_WEIGHTS = 16;

/** One node may become many values; no classifier has a tenth of it. */
const MOST_VALUES = 100_000;

export interface ImportOptions {
  /** The value of each input, in the file's names and its order of dimensions unless `axes` says otherwise. */
  readonly inputs: Readonly<Record<string, Flow>>;
  /** How stored arrays become values; constants by default. */
  readonly leaf?: Leaf;
  readonly batch?: ImportContext['batch'];
}

const asConstant: Leaf = (name, shape, data) => constant(shape, data(), name);

/**
 * Builds the graph of a decoded ONNX file: transpositions that only change a layout are gone, arithmetic on shapes and weights is done,
 * and what exporters spell out (hard-swish, a bias) is one operator. Outputs have the file's names.
 *
 * @throws GhostkitError that names the node for an operator that is not supported, for a cycle, or for shapes that do not fit.
 */
export function importGraph(
  { graph, opset, functions }: ModelProto,
  { inputs, leaf = asConstant, batch }: ImportOptions,
): Graph {
  if (functions > 0) throw new GhostkitError('this ONNX file defines operators of its own; inline them first');
  if (opset < OPSETS.first || opset > OPSETS.last) {
    throw new GhostkitError(
      `operators of opset ${opset} are not supported, those of ${OPSETS.first} to ${OPSETS.last} are`,
    );
  }
  // A shape without its data costs a file nothing.
  const stored = [...graph.initializers.values()].reduce(
    (n, { shape, external }) => n + (external ? 0 : sizeOf(shape)),
    0,
  );
  const context: ImportContext = {
    leaf,
    names: new Names(graph.initializers),
    opset,
    batch,
    padded: new Map(),
    budget: BASE_BUDGET + FOLDS_OF_WEIGHTS * stored,
  };
  const tensors = new Map<string, Tensor>(Object.entries(inputs));
  for (const [name, tensor] of graph.initializers) {
    if (!tensors.has(name)) tensors.set(name, Known.stored(name, tensor));
  }
  const order = inOrder(graph);
  const last = lastReaders(order, graph.outputs);
  for (const proto of order) {
    importNode(proto, tensors, context);
    // What weights become on their way is kept no longer than it is needed.
    for (const name of proto.inputs) if (last.get(name) === proto) tensors.delete(name);
  }
  const outputs: Record<string, Value> = {};
  for (const { name } of graph.outputs) {
    const tensor = tensors.get(name);
    if (!tensor) throw new GhostkitError(`the output ${printable(name)} is made by no node`);
    outputs[name] =
      tensor instanceof Flow ? tensor.materialize() : leaf(tensor.name, tensor.shape, () => tensor.floats(), false);
  }
  const values = Object.fromEntries(Object.entries(inputs).map(([name, { value }]) => [name, value]));
  const made = { inputs: values, outputs };
  const count = valuesOf(made).length;
  if (count > MOST_VALUES) {
    throw new GhostkitError(`this ONNX file becomes a network of ${count} operations, more than ${MOST_VALUES}`);
  }
  return simplify(made);
}

function importNode(proto: NodeProto, tensors: Map<string, Tensor>, context: ImportContext): void {
  const node = new Node(
    proto,
    proto.inputs.map((name) => (name === '' ? undefined : tensors.get(name))),
    context,
  );
  const missing = proto.inputs.find((name) => name !== '' && !tensors.has(name));
  if (missing !== undefined) node.fail(`it reads ${printable(missing)}, which is no input and made by no node`);
  const results = resultsOf(node);
  for (const [i, name] of proto.outputs.entries()) {
    const result = results[i];
    if (result && result.shape.length > MOST_DIMENSIONS) {
      node.fail(`its result has ${result.shape.length} dimensions, more than ${MOST_DIMENSIONS}`);
    }
    if (result instanceof Flow && isTooLarge(result.shape)) {
      node.fail(`its result ${formatShape(result.shape)} is larger than any memory`);
    }
    // A result beyond those that are made is only missed by whoever reads it.
    if (name === '' || !result) continue;
    // What a constant is called last is what its reader calls it.
    tensors.set(name, result);
  }
}

/** The executor addresses 2 GiB, which no value that is computed can exceed. */
const MOST_ELEMENTS = 2 ** 29;
const LONGEST_DIMENSION = 2 ** 24;

const isTooLarge = (shape: Shape) => !(sizeOf(shape) <= MOST_ELEMENTS) || shape.some((d) => d > LONGEST_DIMENSION);

function resultsOf(node: Node): readonly Tensor[] {
  const { proto } = node;
  if (proto.domain !== '') return node.fail(`operators of ${printable(proto.domain)} are not supported`);
  const importer = Object.hasOwn(OPERATORS, proto.opType) ? OPERATORS[proto.opType] : undefined;
  try {
    const folded = foldNode(node);
    if (folded) return [folded];
    if (!importer) return node.fail('this operator is not supported');
    const made = importer(node);
    return made instanceof Flow || made instanceof Known ? [made] : made;
  } catch (error) {
    // Shape rules know nothing of nodes.
    if (!(error instanceof GhostkitError) || error.message.startsWith(titleOf(proto))) throw error;
    return node.fail(error.message);
  }
}

/** The node that reads a tensor last, of those that are no output. */
function lastReaders(
  order: readonly NodeProto[],
  outputs: readonly { readonly name: string }[],
): Map<string, NodeProto> {
  const last = new Map<string, NodeProto>();
  for (const proto of order) for (const name of proto.inputs) last.set(name, proto);
  for (const { name } of outputs) last.delete(name);
  return last;
}

/** The nodes that the outputs need, each behind those it reads. */
function inOrder({ nodes, outputs }: GraphProto): NodeProto[] {
  const makers = new Map<string, NodeProto>();
  for (const node of nodes) {
    for (const name of node.outputs) {
      if (name === '') continue;
      if (makers.has(name)) throw new GhostkitError(`${titleOf(node)}: ${printable(name)} is made twice`);
      makers.set(name, node);
    }
  }
  const order: NodeProto[] = [];
  const state = new Map<NodeProto, 'open' | 'done'>();
  for (const { name } of outputs) {
    const root = makers.get(name);
    const stack: [NodeProto, number][] = root && !state.has(root) ? [[root, 0]] : [];
    if (root && stack.length > 0) state.set(root, 'open');
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const [node, next] = top;
      if (next === node.inputs.length) {
        state.set(node, 'done');
        order.push(node);
        stack.pop();
        continue;
      }
      top[1]++;
      const maker = makers.get(node.inputs[next]);
      if (!maker || state.get(maker) === 'done') continue;
      if (state.get(maker) === 'open')
        throw new GhostkitError(`${titleOf(maker)}: it reads its own result, in a cycle`);
      state.set(maker, 'open');
      stack.push([maker, 0]);
    }
  }
  return order;
}
