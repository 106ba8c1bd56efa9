/**
 * Damaged and hostile ONNX files, each made from a seed and an index alone: bytes changed in what PyTorch's exporters wrote (the fixtures), and
 * graphs by hand whose operators, attributes, shapes and wires are changed before they are written.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mutate, NUMBERS, outcomeOf, Random } from './fuzz-cases.mjs';
import { ints, onnxFile, scalar, tensor } from './onnx-files.mjs';

const FIXTURES = new URL('../formats/onnx/fixtures/', import.meta.url);

/** External data that are asked for have no more bytes. */
const EXTERNAL_BYTES = 2 ** 25;

const values = (count, seed) => Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + seed));
const random = (seed, ...shape) =>
  tensor(
    shape,
    values(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  );
const node = (op, inputs, outputs, attributes = {}) => ({
  op,
  inputs: inputs === '' ? [] : inputs.split(' '),
  outputs: outputs.split(' '),
  attributes,
});

/** Between them all operators that are imported, and all that is folded. */
function graphs() {
  const positive = (...shape) => ({ ...random(3, ...shape), values: values(shape[0], 1).map((v) => 2 + v) });
  return [
    {
      nodes: [
        node('Conv', 'x w b', 'a', {
          strides: [2, 1],
          pads: [1, 1, 0, 1],
          dilations: [1, 1],
          group: 1,
          kernel_shape: [3, 3],
        }),
        node('BatchNormalization', 'a s t m v', 'n', { epsilon: { float: 1e-5 } }),
        node('Relu', 'n', 'r'),
        node('GlobalAveragePool', 'r', 'g'),
        node('HardSigmoid', 'g', 'h', { alpha: { float: 0.2 }, beta: { float: 0.5 } }),
        node('Mul', 'r h', 'gated'),
        node('Concat', 'gated r', 'c', { axis: 1 }),
        node('Slice', 'c from to axes', 'sliced'),
        node('MaxPool', 'sliced', 'p', { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }),
        node('Shape', 'p', 'shape'),
        node('Gather', 'shape zero', 'batch', { axis: 0 }),
        node('Unsqueeze', 'batch first', 'batch1'),
        node('Concat', 'batch1 rest', 'target', { axis: 0 }),
        node('Reshape', 'p target', 'flat'),
        node('Gemm', 'flat dense bias', 'y', { transB: 1, alpha: { float: 0.5 } }),
      ],
      initializers: {
        ...{
          w: random(1, 4, 3, 3, 3),
          b: random(2, 4),
          s: random(3, 4),
          t: random(4, 4),
          m: random(5, 4),
          v: positive(4),
        },
        ...{ from: ints(1), to: ints(7), axes: ints(1), zero: scalar(0, 'int64'), first: ints(0), rest: ints(-1) },
        ...{ dense: random(6, 5, 6 * 2 * 4), bias: random(7, 5) },
      },
      inputs: { x: ['N', 3, 8, 8] },
      outputs: { y: ['N', 5] },
    },
    {
      nodes: [
        node('Transpose', 'x', 'a', { perm: [0, 3, 1, 2] }),
        node('Pad', 'a pads', 'padded'),
        node('Conv', 'padded w', 'c', { strides: [2, 2], auto_pad: 'VALID' }),
        node('Transpose', 'c', 'd', { perm: [0, 2, 3, 1] }),
        node('Add', 'd three', 'e'),
        node('Clip', 'e low six', 'f'),
        node('Div', 'f six', 'g'),
        node('Mul', 'g d', 'h'),
        node('Split', 'h', 'i j', { axis: 3 }),
        node('Sub', 'i j', 'k'),
        node('ReduceMean', 'k', 'l', { axes: [1, 2], keepdims: 0 }),
        node('MatMul', 'l dense', 'm'),
        node('Softmax', 'm', 'y', { axis: -1 }),
      ],
      initializers: {
        ...{
          pads: ints(0, 0, 0, 0, 0, 0, 1, 1),
          w: random(1, 4, 3, 3, 3),
          three: scalar(3),
          low: scalar(0),
          six: scalar(6),
        },
        dense: random(2, 2, 3),
      },
      inputs: { x: [1, 8, 8, 3] },
      outputs: { y: [1, 3] },
    },
    {
      nodes: [
        node('DequantizeLinear', 'q scale point', 'w', { axis: 0 }),
        node('ConstantOfShape', 'shape', 'zeros', { value: tensor([1], [0.5]) }),
        node('Expand', 'zeros wide', 'bias0'),
        node('Cast', 'bias0', 'bias', { to: 1 }),
        node('Conv', 'x w bias', 'a'),
        node('PRelu', 'a slope', 'b'),
        node('LeakyRelu', 'b', 'c', { alpha: { float: 0.3 } }),
        node('AveragePool', 'c', 'd', { kernel_shape: [2, 2], strides: [1, 1], pads: [0, 0, 1, 1] }),
        node('Resize', 'd  scales', 'e', {
          mode: 'nearest',
          nearest_mode: 'floor',
          coordinate_transformation_mode: 'asymmetric',
        }),
        node('Squeeze', 'one axes', 'two'),
        node('Constant', '', 'k', { value: scalar(2) }),
        node('Where', 'yes k two', 'factor'),
        node('Mul', 'e factor', 'f'),
        node('Range', 'r0 r1 r2', 'places'),
        node('ReduceMax', 'f', 'h', { axes: [2, 3], keepdims: 1 }),
        node('Flatten', 'h', 'i'),
        node('Tanh', 'i', 'y'),
      ],
      initializers: {
        q: tensor(
          [4, 3, 1, 1],
          values(12, 1).map((v) => Math.round(v * 90)),
          'int8',
        ),
        ...{
          scale: positive(4),
          point: tensor([4], [0, 1, 2, 3], 'int8'),
          shape: ints(1),
          wide: ints(4),
          slope: random(5, 4, 1, 1),
        },
        ...{ scales: tensor([4], [1, 1, 2, 2]), one: random(6, 1, 1), axes: ints(0), yes: scalar(1, 'bool') },
        ...{ r0: scalar(0, 'int64'), r1: scalar(5, 'int64'), r2: scalar(1, 'int64') },
      },
      inputs: { x: [2, 3, 6, 6] },
      outputs: { y: [2, 4] },
    },
  ];
}

const GRAPHS = graphs();

/** A graph with some of it changed: operators, attributes, wires, shapes, numbers. */
function changed(random, graph) {
  const { nodes, initializers, inputs, outputs } = structuredClone(graph);
  const names = [...Object.keys(initializers), ...nodes.flatMap((n) => n.outputs), 'x', '', 'nobody'];
  const operators = GRAPHS.flatMap((g) => g.nodes.map(({ op }) => op));
  const number = () => random.pick([...NUMBERS, -1, -2, 3, 4, 5, 6, 9, 2 ** 24, -(2 ** 31), 1e18]);
  const times = 1 + random.below(4);
  for (let i = 0; i < times; i++) {
    const node = random.pick(nodes);
    const tensors = Object.entries(initializers);
    const [name, array] = random.pick(tensors);
    switch (random.below(12)) {
      case 0:
        node.op = random.pick([...operators, 'Einsum', 'Identity', 'Neg', 'Sqrt', 'Exp', 'Equal', 'Pow']);
        break;
      case 1:
        if (node.inputs.length) node.inputs[random.below(node.inputs.length)] = random.pick(names);
        break;
      case 2:
        node.outputs[random.below(node.outputs.length)] = random.pick(names);
        break;
      case 3: {
        const keys = Object.keys(node.attributes);
        if (keys.length) node.attributes[random.pick(keys)] = attributeOf(random, number);
        break;
      }
      case 4:
        node.attributes[random.pick(['axis', 'axes', 'pads', 'group', 'perm', 'auto_pad', 'keepdims', 'mode', 'to'])] =
          attributeOf(random, number);
        break;
      case 5:
        array.values = array.values.map((v) => (random.below(4) ? v : number()));
        break;
      case 6:
        array.shape = array.shape.map((d) => (random.below(3) ? d : number()));
        break;
      case 7:
        array.type = random.pick(['float', 'int64', 'int32', 'uint8', 'double', 'float16', 99]);
        break;
      case 8:
        inputs.x = inputs.x.map((d) => (random.below(3) ? d : random.pick([number(), 'N', 7, 9])));
        break;
      case 9:
        nodes.splice(random.below(nodes.length), 1);
        if (nodes.length === 0) nodes.push(node);
        break;
      case 10:
        initializers[name] = {
          ...array,
          external: { location: random.pick(['a.bin', '../a', '/etc/passwd', 'C:\\a', '']), offset: number() },
        };
        break;
      default:
        nodes.splice(random.below(nodes.length), 0, { ...node, outputs: node.outputs.map((o) => `${o}_again`) });
    }
  }
  return { nodes, initializers, inputs, outputs };
}

function attributeOf(random, number) {
  return random.pick([
    number(),
    [number(), number()],
    [number(), number(), number(), number()],
    [],
    'SAME_LOWER',
    { float: random.pick([0, -1, 1e38, Number.NaN, Number.POSITIVE_INFINITY]) },
    { floats: [number()] },
    tensor([2], [1, number()]),
  ]);
}

let fixtures;

/** Small fixtures, whose graphs are most of them. */
function bases() {
  fixtures ??= readdirSync(FIXTURES)
    .filter((name) => /^(vgg|mobilenetv3-small|resnet18)\..*\.onnx$/.test(name))
    .map((name) => readFileSync(new URL(name, FIXTURES)));
  return fixtures;
}

/** Case `index` of `seed`: the bytes of an ONNX file. */
export function onnxCase(seed, index) {
  const random = new Random(seed, index);
  if (random.below(8) === 0) return mutate(random, random.pick(bases()), bases());
  let file;
  try {
    file = onnxFile(changed(random, random.pick(GRAPHS)), {
      opset: random.below(12) ? 17 : random.pick([9, 11, 13, 18, 99]),
    });
  } catch {
    // What cannot be written is a sound file, damaged as bytes.
    file = onnxFile(random.pick(GRAPHS));
    return mutate(random, file, [file]);
  }
  return random.below(6) ? file : mutate(random, file, [file]);
}

/** Elements of all values, and multiply-accumulates, of a graph that is also run. */
const MOST = { elements: 2 ** 18, macs: 2 ** 22 };

let zeros;

/**
 * Reads one case with the modules under test and, where it is small, runs it.
 *
 * @returns What was wrong, or undefined; and whether it ended in a network.
 */
export function tryOnnx(modules, bytes) {
  const { readOnnx, trace, compileGraph, valuesOf, macsOf, GhostkitError } = modules;
  zeros ??= new Uint8Array(EXTERNAL_BYTES);
  // Every file is there.
  const there = () => ({ value: zeros, enumerable: true, configurable: true });
  const external = new Proxy({}, { getOwnPropertyDescriptor: there, get: () => zeros });
  return outcomeOf(GhostkitError, async () => {
    const model = await readOnnx(new Uint8Array(bytes), { external });
    const graph = trace(model, { input: model.input });
    const elements = valuesOf(graph).reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0);
    if (!(elements <= MOST.elements) || !(macsOf(graph) <= MOST.macs)) return;
    const net = await compileGraph(graph);
    const [, ...size] = model.input;
    net.run({ image: new Float32Array(model.input[0] * size.reduce((a, b) => a * b, 1)).fill(0.5) });
    net.close();
  });
}
