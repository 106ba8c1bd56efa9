import { constantOp, parameterOp } from '../graph/leaves.js';
import { type Graph, isOp, type Value, valuesOf } from '../graph/value.js';
import { type Module, Parameter } from '../nn/module.js';
import { trace } from '../nn/trace.js';
import { type Shape, sizeOf } from '../tensor/tensor.js';

export interface ModelStats {
  /** Every learnable scalar; in a graph with folded layers, every scalar of the constants that its operators read. */
  parameters: number;
  /** Multiply-accumulates of convolutions and linear layers for one image. */
  macs: number;
}

function parametersIn(value: Value): number {
  if (isOp(value, constantOp)) return sizeOf(value.shape);
  if (!isOp(value, parameterOp)) return 0;
  const { parameter } = value.attrs;
  const isBuffer = parameter instanceof Parameter && !parameter.learnable;
  return isBuffer ? 0 : sizeOf(value.shape);
}

/** The size and cost of a graph in whatever form it is: as trained, or after passes that folded layers into each other. */
export function graphStats(graph: Graph): ModelStats {
  const batch = Object.values(graph.inputs)[0]?.shape[0] ?? 1;
  let parameters = 0;
  let macs = 0;
  for (const value of valuesOf(graph)) {
    parameters += parametersIn(value);
    macs += value.op.macs?.(value) ?? 0;
  }
  return { parameters, macs: macs / batch };
}

/** The size and cost of a model as it is trained, for an input `[N,C,H,W]`; what both Ghost papers report at 224x224. */
export function modelStats(model: Module, input: Shape): ModelStats {
  return graphStats(trace(model, { input }));
}
