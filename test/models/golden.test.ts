import { describe, expect, it } from 'vitest';
import { deploy } from '../../src/graph/passes/deploy.js';
import { assignNamedWeights, namedInput } from '../../src/models/named-weights.js';
import { createModel } from '../../src/models/registry.js';
import { graphStats, modelStats } from '../../src/models/stats.js';
import { compile } from '../../src/nn/compile.js';
import { trace } from '../../src/nn/trace.js';
import type { FloatTensor } from '../../src/tensor/tensor.js';
import { type GoldenOutput, hasShared, readGolden } from './shared.js';

/** The largest error, relative to the golden output's largest element (or to 1). */
function errorOf(result: FloatTensor, expected: GoldenOutput): number {
  expect(result.shape).toEqual(expected.shape);
  const at = expected.indices ?? [...expected.values.keys()];
  const errors = expected.values.map((v, i) => Math.abs(v - result.data[at[i]]));
  return Math.max(...errors) / Math.max(1, expected.absMax);
}

describe.skipIf(!hasShared)('the outputs of the original implementations', () => {
  it.each([
    'ghostnet-0.5',
    'ghostnet-1.0',
    'repghostnet_0_5x',
    'repghostnet_1_0x',
    'repghostnet_repid_0_5x',
    'repghostnet_norep_0_5x',
    'repghostnet_wo_0_5x',
  ])('%s: blocks, logits, parameters and multiply-accumulates, in both forms', async (name) => {
    const golden = readGolden(name);
    const { input } = golden;
    const model = assignNamedWeights(createModel(name, { classes: golden.config.numClasses }));
    expect(modelStats(model, input.shape)).toEqual({ parameters: golden.parameters, macs: golden.macs });
    expect(graphStats(deploy(trace(model, { input: input.shape }))).macs).toBe(golden.macs);
    const image = namedInput(input.name, input.shape).data;
    for (const deployed of [false, true]) {
      const net = await compile(model, { input: input.shape, deploy: deployed, features: true });
      const results = net.run({ image });
      net.close();
      for (const [output, expected] of Object.entries(golden.outputs)) {
        const error = errorOf(results[output === 'deployLogits' ? 'logits' : output], expected);
        expect(error, `${output}, ${deployed ? 'deploy' : 'training'} form`).toBeLessThan(1e-5);
      }
    }
  });

  it.each(['repghostnet_0_5x', 'repghostnet_1_0x', 'repghostnet_repid_0_5x'])(
    '%s: the converted original has the parameters of the merged network',
    (name) => {
      const merged = createModel(name, { reparam: 'merged' });
      expect(merged.parameterCount()).toBe(readGolden(name).deploy?.parameters);
    },
  );
});
