import { describe, expect, it } from 'vitest';
import { decodeModel } from '../../../src/formats/onnx/decode.js';
import { exportOnnx } from '../../../src/formats/onnx/export.js';
import { deploy, optimize } from '../../../src/graph/passes/deploy.js';
import { assignNamedWeights } from '../../../src/models/named-weights.js';
import { createModel, findModel, listModels } from '../../../src/models/registry.js';
import { compile } from '../../../src/nn/compile.js';
import { trace } from '../../../src/nn/trace.js';
import { expectClose, expectSame, noise, runOnnx } from './run.js';

describe.each(['ghostnet_050', 'repghostnet_050', 'mobilenetv3_small_100'])('ONNX export of %s', (name) => {
  const graph = trace(assignNamedWeights(createModel(name, { classes: 10 })), { input: [1, 3, 64, 64] });

  it('as it is trained', () => expectSame(graph, { scale: 1 }));
  it('deployed and fused', () => expectSame(optimize(deploy(graph)), { scale: 1 }));
  it('for any batch', () => expectSame(graph, { scale: 1, dynamicBatch: true }));
});

/** Of the logits' largest. */
const TOLERANCE = 1e-4;

describe('the export of every registered network', () => {
  const names = listModels({ all: true }).map(({ name }) => name);

  it.each(names)(
    '%s has its logits, in both forms and for any batch, and the names of its state dict',
    async (name) => {
      // The CIFAR networks take no other size; the others' weights do not depend on it.
      const cifar = findModel(name).aliases.some((alias) => alias.includes('cifar')) || name.includes('cifar');
      const side = cifar ? 32 : 64;
      const model = assignNamedWeights(createModel(name, { classes: 10 }));
      const shape = [3, 3, side, side];
      const image = noise(shape, 11);
      const net = await compile(model, { input: shape });
      const wanted = net.run({ image }).logits;
      net.close();

      const training = trace(model, { input: [1, 3, side, side] });
      for (const graph of [training, optimize(deploy(training))]) {
        const file = exportOnnx(graph, { name, dynamicBatch: true });
        const { logits } = await runOnnx(file, { image: { shape, data: image } });
        expect(logits.shape).toEqual([3, 10]);
        expectClose(logits.data, wanted.data, TOLERANCE);
      }
      const { graph } = decodeModel(exportOnnx(training, { name }));
      expect(graph.name).toBe(name);
      for (const [key, parameterShape] of model.stateShapes()) {
        expect(graph.initializers.get(key)?.shape, key).toEqual(parameterShape);
      }
    },
  );
});
