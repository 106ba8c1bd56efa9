import { describe, it } from 'vitest';
import { deploy, optimize } from '../../../src/graph/passes/deploy.js';
import { assignNamedWeights } from '../../../src/models/named-weights.js';
import { createModel } from '../../../src/models/registry.js';
import { trace } from '../../../src/nn/trace.js';
import { expectSame } from './run.js';

describe.each(['ghostnet_050', 'repghostnet_050', 'mobilenetv3_small_100'])('ONNX export of %s', (name) => {
  const graph = trace(assignNamedWeights(createModel(name, { classes: 10 })), { input: [1, 3, 64, 64] });

  it('as it is trained', () => expectSame(graph, { scale: 1 }));
  it('deployed and fused', () => expectSame(optimize(deploy(graph)), { scale: 1 }));
  it('for any batch', () => expectSame(graph, { scale: 1, dynamicBatch: true }));
});
