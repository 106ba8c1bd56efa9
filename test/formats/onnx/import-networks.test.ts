import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeModel } from '../../../src/formats/onnx/decode.js';
import { exportOnnx } from '../../../src/formats/onnx/export.js';
import { deploy, optimize } from '../../../src/graph/passes/deploy.js';
import { countOps } from '../../../src/graph/value.js';
import { DeployedClassifier, emptyDeployed } from '../../../src/models/deployed.js';
import { identify, loadedFrom } from '../../../src/models/identify.js';
import { ImportedModel } from '../../../src/models/imported.js';
import { readOnnx } from '../../../src/models/read-onnx.js';
import { createModel } from '../../../src/models/registry.js';
import { compile } from '../../../src/nn/compile.js';
import { type Classifier, trace } from '../../../src/nn/trace.js';
import type { FloatTensor } from '../../../src/tensor/tensor.js';
import { refilled, runRefilled } from './refilled.js';
import { expectClose, noise, runOnnx } from './run.js';

const FIXTURES = readdirSync(new URL('fixtures', import.meta.url))
  .filter((file) => file.endsWith('.onnx'))
  .map((file) => file.replace(/\.onnx$/, ''))
  .sort();

/** Whatever the magnitude of the logits: how far the furthest is off, against the largest. */
const TOLERANCE = 1e-4;

const SHAPE = [2, 3, 224, 224];
const DATA = noise(SHAPE, 5);

async function logitsOf(model: Classifier, form: 'training' | 'deploy') {
  const net = await compile(model, { input: SHAPE, deploy: form === 'deploy' });
  const { logits } = net.run({ image: DATA });
  net.close();
  return logits;
}

function logSoftmax({ shape: [n, classes], data }: FloatTensor): Float64Array {
  const out = Float64Array.from(data);
  for (let i = 0; i < n; i++) {
    const row = out.subarray(i * classes, (i + 1) * classes);
    const most = row.reduce((a, b) => Math.max(a, b));
    const sum = row.reduce((total, v) => total + Math.exp(v - most), 0);
    for (let k = 0; k < classes; k++) row[k] -= most + Math.log(sum);
  }
  return out;
}

describe.each(FIXTURES)('%s', (name) => {
  it('has the logits of onnxruntime, as it is and in deploy form', async () => {
    const file = refilled(name);
    const model = await readOnnx(file.bytes, { external: file.external });
    const wanted = await runRefilled(file, { shape: SHAPE, data: DATA });
    for (const form of ['training', 'deploy'] as const) {
      const logits = await logitsOf(model, form);
      expect(logits.shape).toEqual(wanted.shape);
      expectClose(model.endsInSoftmax ? logSoftmax(logits) : logits.data, wanted.data, TOLERANCE);
    }
  });
});

describe('an imported network', () => {
  it.each(['repghostnet.torchscript-training', 'mobilenetv2.dynamo', 'vgg.torchscript'])(
    '%s is exported again, in both forms and for any batch',
    async (name) => {
      const file = refilled(name);
      const model = await readOnnx(file.bytes, { external: file.external });
      const wanted = await runRefilled(file, { shape: SHAPE, data: DATA });
      const graph = trace(model, { input: model.input });
      for (const again of [graph, optimize(deploy(graph))]) {
        const bytes = exportOnnx(again, { dynamicBatch: true });
        const { logits } = await runOnnx(bytes, { image: { shape: SHAPE, data: DATA } });
        expectClose(logits.data, wanted.data, TOLERANCE);
        // And what was exported can be read.
        expectClose((await logitsOf(await readOnnx(bytes), 'training')).data, wanted.data, TOLERANCE);
      }
    },
  );

  it.each(['repghostnet.torchscript-training', 'ghostnet.dynamo'])(
    '%s comes back from its structure and its weights, in both forms',
    async (name) => {
      const file = refilled(name);
      const model = await readOnnx(file.bytes, { external: file.external });
      const structure = model.structure();
      expect(structure.length).toBeLessThan(300_000);
      const deployed = new DeployedClassifier(model);
      const wanted = await logitsOf(model, 'training');
      const restored = ImportedModel.restore(structure);
      restored.assign(model.state());
      expectClose((await logitsOf(restored, 'training')).data, wanted.data, 1e-6);
      const empty = emptyDeployed(ImportedModel.restore(structure));
      expect([...empty.stateShapes().keys()]).toEqual([...deployed.stateShapes().keys()]);
      empty.assign(deployed.state());
      expectClose((await logitsOf(empty, 'training')).data, wanted.data, TOLERANCE);
    },
  );

  it('has its branches merged in deploy form', async () => {
    const file = refilled('repghostnet.torchscript-training');
    const model = await readOnnx(file.bytes, { external: file.external });
    const training = trace(model, { input: model.input });
    const own = trace(createModel('repghostnet_100'), { input: model.input });
    expect(countOps(training).batch_norm).toBe(countOps(own).batch_norm);
    expect(countOps(optimize(deploy(training)))).toEqual(countOps(optimize(deploy(own))));
  });

  it.each(['mobilenetv2', 'mobilenetv3-small', 'resnet50'])(
    'of TensorFlow, %s, has no transposition and no padding left, and in deploy form nothing by channel',
    async (name) => {
      const file = refilled(`${name}.tensorflow`);
      const model = await readOnnx(file.bytes, { external: file.external });
      const graph = trace(model, { input: model.input });
      const convolutions = decodeModel(file.bytes).graph.nodes.filter(({ opType }) => opType === 'Conv').length;
      expect(countOps(graph)).not.toHaveProperty('transpose');
      // ResNet's zeros around what its max pooling reads stay: a maximum takes them for numbers.
      expect(countOps(graph).conv2d).toBe(convolutions + (name === 'resnet50' ? 1 : 0));
      // MobileNetV3 scales its pictures itself.
      expect(countOps(optimize(deploy(graph))).binary ?? 0).toBe(name === 'mobilenetv3-small' ? 2 : 0);
    },
  );

  it.each([
    ['repghostnet.torchscript-training', 'repghostnet_100'],
    ['ghostnet.torchscript-training', 'ghostnet_100'],
    ['resnet50.torchscript-training', 'resnet50'],
  ])('%s has the state dict of %s', async (name, known) => {
    const file = refilled(name);
    const model = await readOnnx(file.bytes, { external: file.external });
    const wanted = createModel(known).stateShapes();
    expect([...model.stateShapes().keys()].sort()).toEqual([...wanted.keys()].sort());
    expect(model.numClasses).toBe(1000);
    expect(model.parameterCount()).toBe(createModel(known).parameterCount());
    // So its weights are those of the network of that name, with the same results.
    const checkpoint = { ...loadedFrom(name, model).checkpoint, metadata: {} };
    const found = identify(checkpoint);
    expect(found?.entry.name).toBe(known);
    const { data } = await logitsOf(model, 'deploy');
    expectClose((await logitsOf(found?.model as Classifier, 'deploy')).data, data, TOLERANCE);
  });
});
