import { evaluate } from '../../src/graph/evaluate.js';
import { input, type ParameterData, parameter } from '../../src/graph/leaves.js';
import { gradients } from '../../src/graph/passes/gradients.js';
import type { Graph, Value } from '../../src/graph/value.js';
import { uniformStream } from '../../src/nn/random.js';
import { sumTo } from '../../src/ops/reduce.js';
import { inBatchLoops } from '../../src/runtime/batch-loops.js';
import { Executor, fillFrom } from '../../src/runtime/executor.js';
import { lowerGraph } from '../../src/runtime/lower.js';
import { assemble, imageBytes } from '../../src/runtime/program.js';
import { sizeOf } from '../../src/tensor/tensor.js';
import type { Case } from '../graph/differentiable.js';

export interface TrainingGraph {
  readonly graph: Graph;
  /** Read by the program where they lie, as in training. */
  readonly live: readonly ParameterData[];
  readonly inputs: Readonly<Record<string, Float32Array>>;
}

/** A case's result and the gradients of a random linear functional of it, with numbers to compute them from. */
export function gradientGraph({ operands, build }: Case, seed: number): TrainingGraph {
  const uniform = uniformStream(seed);
  const numbers = (count: number, of = (v: number, _: number) => v) =>
    Float32Array.from({ length: count }, (_, i) => of(2 * uniform() - 1, i));
  const live: ParameterData[] = [];
  const values: Record<string, Value> = {};
  const ports: Record<string, Value> = {};
  const inputs: Record<string, Float32Array> = {};
  for (const [name, operand] of Object.entries(operands)) {
    const { shape } = operand;
    const data = numbers(sizeOf(shape), operand.of);
    if (operand.parameter) {
      const p = { name, shape, data };
      live.push(p);
      values[name] = parameter(p);
    } else {
      ports[name] = input(name, shape);
      values[name] = ports[name];
      inputs[name] = data;
    }
  }
  const y = build(values);
  // The gradient of the result is given, as it is by what follows in a network.
  const given = input('given', y.shape);
  ports.given = given;
  inputs.given = numbers(sizeOf(y.shape));
  const loss = sumTo(
    [y, given],
    y.shape.map(() => 1),
  );
  const wanted = Object.keys(operands).filter((name) => !operands[name].fixed);
  const grads = gradients(
    loss,
    wanted.map((name) => values[name]),
  );
  const outputs = Object.fromEntries(wanted.map((name, i) => [`gradient of ${name}`, grads[i] as Value]));
  return { graph: { inputs: ports, outputs: { y, ...outputs } }, live, inputs };
}

/** Graphs side by side in one program. */
export function merged(graphs: readonly TrainingGraph[]): TrainingGraph {
  const inputs: Record<string, Value> = {};
  const outputs: Record<string, Value> = {};
  const data: Record<string, Float32Array> = {};
  for (const [i, each] of graphs.entries()) {
    for (const [name, value] of Object.entries(each.graph.inputs)) inputs[`${i}: ${name}`] = value;
    for (const [name, value] of Object.entries(each.graph.outputs)) outputs[`${i}: ${name}`] = value;
    for (const [name, values] of Object.entries(each.inputs)) data[`${i}: ${name}`] = values;
  }
  return { graph: { inputs, outputs }, live: graphs.flatMap(({ live }) => live), inputs: data };
}

export interface RunOptions {
  readonly threads?: number;
  readonly relaxed?: boolean;
  /** Images of a batch that is worked on in blocks, as training steps are. */
  readonly images?: number;
}

/**
 * Runs a graph in the executor. Memory that the program has to write before it reads it is full of NaN at first, so that what lies in unused
 * lanes shows when it leaks.
 */
export async function runTraining(
  { graph, live, inputs }: TrainingGraph,
  { threads = 1, relaxed = true, images }: RunOptions = {},
): Promise<Record<string, Float32Array>> {
  const lowered = lowerGraph(graph, { threads, live });
  const calls = images === undefined ? lowered : inBatchLoops(lowered, { images, threads });
  const { program, image } = assemble(calls, { threads, macs: 0 });
  const fill = (memory: WebAssembly.Memory) => {
    new Float32Array(memory.buffer, program.address + imageBytes(program)).fill(Number.NaN);
    fillFrom(program, image)(memory);
  };
  const executor = await Executor.create(program, fill, { threads, relaxed });
  try {
    const outputs = executor.run(inputs);
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));
  } finally {
    executor.close();
  }
}

/** The largest difference from the definitions in double precision, relative to the largest value of an output, and where it is. */
export async function trainingError(
  training: TrainingGraph,
  options?: RunOptions,
): Promise<{ error: number; of: string }> {
  const { graph, inputs } = training;
  const doubles = Object.entries(inputs).map(([name, data]) => [name, Float64Array.from(data)]);
  const expected = evaluate(graph, Object.fromEntries(doubles));
  const actual = await runTraining(training, options);
  const worst = { error: 0, of: 'nothing' };
  for (const [name, { data }] of Object.entries(expected)) {
    const scale = data.reduce((most, v) => Math.max(most, Math.abs(v)), 0.05);
    data.forEach((v, i) => {
      const error = Math.abs(v - actual[name][i]) / scale;
      // A NaN is the worst error of all.
      if (!(error <= worst.error)) Object.assign(worst, { error, of: `${name}[${i}]` });
    });
  }
  return worst;
}
