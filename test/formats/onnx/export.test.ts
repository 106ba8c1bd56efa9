import { PbfReader } from 'pbf';
import { describe, expect, it } from 'vitest';
import { exportOnnx } from '../../../src/formats/onnx/export.js';
import * as proto from '../../../src/formats/onnx/schema.js';
import { constant, input, type ParameterData, parameter } from '../../../src/graph/leaves.js';
import { defineOperator } from '../../../src/graph/operator.js';
import { apply, type Graph, type Value } from '../../../src/graph/value.js';
import { batchNorm, conv2d, Lambda, sequential } from '../../../src/nn/layers.js';
import { trace } from '../../../src/nn/trace.js';
import * as ops from '../../../src/ops/index.js';
import { expectClose, expectSame, noise, runOnnx } from './run.js';

const graphOf = (inputs: Record<string, Value>, outputs: Record<string, Value>): Graph => ({ inputs, outputs });

/** The names and operators in a file, read independently of the writer. */
function contents(file: Uint8Array) {
  const found = {
    initializers: [] as string[],
    nodes: [] as string[],
    operators: [] as string[],
    metadata: [] as string[],
  };
  const text = (tag: number, into: string[]) => (field: number, _: unknown, pbf: PbfReader) => {
    if (field === tag) into.push(pbf.readString());
  };
  const node = (field: number, _: unknown, pbf: PbfReader) => {
    if (field === proto.NodeProto.name) found.nodes.push(pbf.readString());
    if (field === proto.NodeProto.op_type) found.operators.push(pbf.readString());
  };
  const graph = (field: number, _: unknown, pbf: PbfReader) => {
    if (field === proto.GraphProto.initializer) pbf.readMessage(text(proto.TensorProto.name, found.initializers), null);
    if (field === proto.GraphProto.node) pbf.readMessage(node, null);
  };
  new PbfReader(file).readFields((field, _: unknown, pbf) => {
    if (field === proto.ModelProto.graph) pbf.readMessage(graph, null);
    if (field === proto.ModelProto.metadata_props) {
      pbf.readMessage(text(proto.StringStringEntryProto.value, found.metadata), null);
    }
  }, null);
  return found;
}

const network = () =>
  sequential(
    conv2d(3, 4, 3, { padding: 1 }),
    batchNorm(4),
    new Lambda((x) => ops.relu6(ops.slice(ops.concat([x, ops.relu6(x)]), 2, 6))),
    new Lambda((x) => ops.flatten(ops.globalAveragePool(x))),
  );

describe('exportOnnx', () => {
  it('keeps the names of the state dict and names nodes after their layer', () => {
    const { initializers, nodes } = contents(exportOnnx(trace(network(), { input: [1, 3, 8, 8] })));
    expect(initializers).toEqual(expect.arrayContaining(['0.weight', '1.weight', '1.bias', '1.running_mean']));
    expect(nodes).toEqual(expect.arrayContaining(['0/Conv', '1/BatchNormalization', 'Clip', 'Clip_1']));
  });

  it('stores small constants once', () => {
    const { initializers } = contents(exportOnnx(trace(network(), { input: [1, 3, 8, 8] })));
    // The bounds of both ReLU6; start, end and axis of the slice; the shape of the reshape.
    expect(initializers.filter((name) => name.startsWith('constant'))).toHaveLength(2 + 3 + 1);
  });

  it('writes metadata', () => {
    const x = input('x', [1, 2]);
    const file = exportOnnx(graphOf({ x }, { y: ops.relu(x) }), {
      metadata: { model: 'repghostnet_100', Größe: '224' },
    });
    expect(contents(file).metadata).toEqual(['repghostnet_100', '224']);
  });

  it('gives every output its name: results, inputs, parameters, one value twice', async () => {
    const x = input('x', [2, 3]);
    const p: ParameterData = { shape: [3], data: noise([3], 1), name: 'head.bias' };
    const sum = ops.add(x, parameter(p));
    const graph = graphOf(
      { x },
      { sum, again: sum, same: x, p: parameter(p), later: ops.relu(sum), kept: ops.dropout(sum, 0.5) },
    );
    await expectSame(graph);
    expect(contents(exportOnnx(graph)).operators.filter((op) => op === 'Identity')).toHaveLength(4);
  });

  it('keeps apart what has one name', async () => {
    const x = input('x', [2, 3]);
    const like = (name: string, seed: number) => constant([3], noise([3], seed), name);
    const y = [like('x', 1), like('y', 2), like('y', 3), like('Add', 4), like('y_1', 5)].reduce(ops.add, x as Value);
    await expectSame(graphOf({ x }, { y }));
    expect(() => exportOnnx(graphOf({ x }, { x: y }))).toThrow(/"x" is the name of an input and of an output/);
  });

  it('has inputs that nothing reads', async () => {
    const x = input('x', [2, 3]);
    await expectSame(graphOf({ x, unused: input('unused', [1]) }, { y: ops.relu(x) }));
  });

  it('says what it cannot write', () => {
    const x = input('x', [2, 3]);
    expect(() => exportOnnx(graphOf({}, { y: ops.relu(x) }))).toThrow(
      'the graph reads "x", which is not among its inputs',
    );
    const strange = defineOperator<null>({ name: 'strange', shape: ([s]) => s });
    expect(() => exportOnnx(graphOf({ x }, { y: apply(strange, [x], null) }))).toThrow('strange has no ONNX form');
  });
});

describe('exportOnnx with dynamicBatch', () => {
  it('runs any number of images, each as it runs alone', async () => {
    const file = exportOnnx(trace(network(), { input: [1, 3, 8, 8] }), { dynamicBatch: true });
    const data = noise([3, 3, 8, 8], 5);
    const { logits: all } = await runOnnx(file, { image: { shape: [3, 3, 8, 8], data } });
    expect(all.shape).toEqual([3, 4]);
    for (let i = 0; i < 3; i++) {
      const { logits } = await runOnnx(file, {
        image: { shape: [1, 3, 8, 8], data: data.slice(i * 192, (i + 1) * 192) },
      });
      expectClose(logits.data, all.data.slice(i * 4, (i + 1) * 4));
    }
  });

  it('leaves outputs that depend on no input as they are', () => {
    const x = input('x', [2, 3]);
    const graph = graphOf({ x }, { y: ops.relu(x), p: constant([5], noise([5], 1)) });
    expect(exportOnnx(graph, { dynamicBatch: true }).length).toBeGreaterThan(0);
  });

  it.each<[string, (x: Value) => Value]>([
    ['a constant for each image', (x) => ops.add(x, constant([2, 3], noise([2, 3], 1)))],
    ['a reshape over the batch', (x) => ops.reshape(x, [3, 2])],
    ['a batch that is turned', (x) => ops.transpose(x, [1, 0])],
    ['a batch that is broadcast', (x) => ops.add(ops.slice(x, 0, 1), constant([1, 1, 1], [1]))],
  ])('refuses %s', (_, build) => {
    const x = input('x', [2, 3]);
    expect(() => exportOnnx(graphOf({ x }, { y: build(x) }), { dynamicBatch: true })).toThrow(
      /the batch cannot be left open: (binary|reshape|transpose) .*export without dynamicBatch/,
    );
  });
});
