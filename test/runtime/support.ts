import { evaluate } from '../../src/graph/evaluate.js';
import { constant } from '../../src/graph/leaves.js';
import type { Graph, Value } from '../../src/graph/value.js';
import { type CompileOptions, compileGraph } from '../../src/nn/compile.js';
import { fnv1a32, uniformAt } from '../../src/nn/random.js';
import { type Shape, sizeOf } from '../../src/tensor/tensor.js';

/** Reproducible values in [-1, 1). */
export function noise(name: string, shape: Shape): Float32Array {
  const seed = fnv1a32(name);
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => 2 * uniformAt(seed, i) - 1);
}

export const noiseConstant = (name: string, shape: Shape): Value => constant(shape, noise(name, shape));

type RunOptions = Omit<CompileOptions, 'input' | 'features'>;

/** Runs a graph in the executor, on noise where no input is given. */
export async function execute(
  graph: Graph,
  options: RunOptions = {},
  given: Record<string, Float32Array> = {},
): Promise<Record<string, Float32Array>> {
  const net = await compileGraph(graph, { deploy: false, ...options });
  try {
    const inputs = Object.entries(graph.inputs).map(([name, value]) => [name, given[name] ?? noise(name, value.shape)]);
    const outputs = net.run(Object.fromEntries(inputs));
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data]));
  } finally {
    net.close();
  }
}

/** The largest difference between the executor's results and the definition in double precision, relative to the largest value. */
export async function executorError(graph: Graph, options: RunOptions = {}): Promise<number> {
  const inputs = Object.entries(graph.inputs).map(([name, v]) => [name, Float64Array.from(noise(name, v.shape))]);
  const expected = evaluate(graph, Object.fromEntries(inputs));
  const actual = await execute(graph, options);
  let worst = 0;
  for (const [name, { data }] of Object.entries(expected)) {
    const scale = data.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-3);
    data.forEach((v, i) => {
      const error = Math.abs(v - actual[name][i]) / scale;
      // A NaN is the worst error of all.
      if (!(error <= worst)) worst = error;
    });
  }
  return worst;
}
