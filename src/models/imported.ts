import {
  decodeModel,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  titleOf,
  type ValueInfoProto,
} from '../formats/onnx/decode.js';
import { exportOnnx } from '../formats/onnx/export.js';
import { importGraph, type Leaf } from '../formats/onnx/import/graph.js';
import { Names } from '../formats/onnx/import/node.js';
import { Flow } from '../formats/onnx/import/tensors.js';
import { printable } from '../formats/text.js';
import { input } from '../graph/leaves.js';
import { isOp, type Value } from '../graph/value.js';
import { Parameter } from '../nn/module.js';
import { Classifier, trace } from '../nn/trace.js';
import { flatten } from '../ops/reshape.js';
import { softmaxOp } from '../ops/softmax.js';
import { GhostkitError } from '../tensor/error.js';
import { formatShape, type Shape, sameShape } from '../tensor/tensor.js';

/** The side of a picture where a file leaves it open. */
const USUAL_SIZE = 224;

/** Dimension `i` of an NHWC tensor is dimension `NHWC[i]` of the same in NCHW. */
const NHWC = [0, 2, 3, 1];

/**
 * A network that was read from an ONNX file: a module like any other, to compile, to bring into deploy form, to train further, to
 * save and to export again. Its parameters have the names that the file gives them.
 *
 * `logits` is the file's first output, for a classifier without the softmax or log-softmax at its end, if it has one there: what is
 * made of scores is whoever reads them's affair, and a training's. A softmax of every pixel stays.
 */
export class ImportedModel extends Classifier {
  readonly inChannels: number;
  override readonly inputSize?: readonly [height: number, width: number];
  /** The shape to compile for where the caller has no other, `[N,C,H,W]`. */
  readonly input: Shape;
  /** Whether the file's scores went through a softmax that `logits` leaves out. */
  readonly endsInSoftmax: boolean;
  /** What the file says of itself. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The shape of `logits` for `input`. */
  readonly output: Shape;
  private readonly file: ModelProto;
  /** The log-softmax at the end that `file` has as a softmax. */
  private readonly logarithm?: NodeProto;
  private readonly info: PictureInput;
  private readonly arrays = new Map<string, Parameter>();
  private readonly names: Names;

  /** @param batch Pictures in `input`, where the file leaves their number open. */
  constructor(file: ModelProto, { batch }: { readonly batch?: number } = {}) {
    super();
    this.logarithm = finalLogarithm(file.graph);
    this.file = this.logarithm ? withoutLogarithm(file, this.logarithm) : file;
    this.names = new Names(file.graph.initializers);
    this.info = pictureInput(file.graph);
    const { channels, size, batch: written } = this.info;
    this.inChannels = channels;
    this.inputSize = size;
    this.input = [batch ?? written ?? 1, channels, ...(size ?? [USUAL_SIZE, USUAL_SIZE])];
    const { logits, endsInSoftmax } = this.build(input('image', this.input));
    this.output = logits.shape;
    this.endsInSoftmax = endsInSoftmax;
    this.metadata = file.metadata;
  }

  /** The file's name for its graph. */
  get title(): string {
    return this.file.graph.name;
  }

  get numClasses(): number {
    if (this.output.length !== 2) {
      throw new GhostkitError(
        `this ONNX file is no classifier: its output is ${formatShape(this.output)}, not [N,classes]`,
      );
    }
    return this.output[1];
  }

  override *namedParameters(prefix = ''): Generator<[string, Parameter]> {
    for (const [name, parameter] of this.arrays) yield [prefix + name, parameter];
  }

  stages(x: Value): Record<string, Value> {
    return { logits: this.build(x).logits };
  }

  /** The file's structure without its weights, from which and from the state dict {@link ImportedModel.restore} makes the same network. */
  structure(): Uint8Array {
    const graph = trace(this, { input: this.input });
    const options = { name: this.title, weightsIn: 'weights' };
    try {
      return exportOnnx(graph, { ...options, dynamicBatch: true });
    } catch (error) {
      if (!(error instanceof GhostkitError)) throw error;
      // A network may be written for one batch.
      return exportOnnx(graph, options);
    }
  }

  /** The network of a {@link structure}; its weights are still to be loaded. */
  static restore(structure: Uint8Array): ImportedModel {
    return new ImportedModel(decodeModel(structure));
  }

  /** {@link structure} as text that fits into metadata: base64. */
  structureText(): string {
    const bytes = this.structure();
    let binary = '';
    // One call for all bytes would take more arguments than there may be, one for each leaves a string of a million parts.
    for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return btoa(binary);
  }

  /** Like {@link restore}, from {@link structureText}. */
  static restoreText(text: string): ImportedModel {
    let binary: string;
    try {
      binary = atob(text);
    } catch {
      throw new GhostkitError('the metadata with the structure of the network is not base64');
    }
    return ImportedModel.restore(Uint8Array.from(binary, (c) => c.charCodeAt(0)));
  }

  private build(image: Value): { logits: Value; endsInSoftmax: boolean } {
    const { name, channelsLast, batch: written } = this.info;
    const flow = new Flow(image, channelsLast ? NHWC : undefined);
    const [wanted] = image.shape;
    const batch = written !== undefined && written !== wanted ? { written, wanted } : undefined;
    const { outputs } = importGraph(this.file, { inputs: { [name]: flow }, leaf: this.leaf, batch });
    // By its name: JavaScript puts those that are whole numbers before all others.
    const output = this.file.graph.outputs[0]?.name;
    if (output === undefined || !Object.hasOwn(outputs, output))
      throw new GhostkitError('this ONNX file has no output');
    const scores = flat(outputs[output]);
    const soft = withoutReshapes(scores);
    if (isOp(soft, softmaxOp)) {
      const logits = flat(soft.inputs[0]);
      if (logits.shape.length === 2) return { logits, endsInSoftmax: true };
    }
    if (this.logarithm) throw new GhostkitError(`${titleOf(this.logarithm)}: it is only supported for [N,classes]`);
    return { logits: scores, endsInSoftmax: false };
  }

  /** One parameter for each stored array and shape, in whichever batch the network is traced. */
  private readonly leaf: Leaf = (name, shape, data, learnable) => {
    const known = this.arrays.get(name);
    if (known && !sameShape(known.shape, shape)) {
      return this.leaf(this.names.free(`${name}.${shape.join('x')}`), shape, data, learnable);
    }
    const parameter = known ?? new Parameter(shape, data, learnable);
    if (!known) this.arrays.set(name, parameter);
    parameter.name = name;
    return parameter.value;
  };
}

const NHWC_TO_NCHW = [0, 3, 1, 2];

/** The log-softmax that makes a file's first output. */
function finalLogarithm({ nodes, outputs }: GraphProto): NodeProto | undefined {
  return nodes.find((node) => node.opType === 'LogSoftmax' && node.outputs[0] === outputs[0]?.name);
}

/** A log-softmax at the end as a softmax: `logits` leaves either out. */
function withoutLogarithm(file: ModelProto, logarithm: NodeProto): ModelProto {
  const { graph } = file;
  const nodes = graph.nodes.map((node) => (node === logarithm ? { ...node, opType: 'Softmax' } : node));
  return { ...file, graph: { ...graph, nodes } };
}

/** `[N,C]` of `[N,C,1,1]`, anything else as it is. */
function flat(value: Value): Value {
  const [, , height, width] = value.shape;
  return value.shape.length === 4 && height * width === 1 ? flatten(value) : value;
}

/** The value of which a value is another shape. */
function withoutReshapes(value: Value): Value {
  return value.op.name === 'reshape' && value.inputs[0].shape[0] === value.shape[0] ? value.inputs[0] : value;
}

/** The pictures that an ONNX file takes. */
export interface PictureInput {
  readonly name: string;
  readonly channels: number;
  /** Absent where the file leaves it open. */
  readonly size?: readonly [height: number, width: number];
  /** Absent where the file leaves it open. */
  readonly batch?: number;
  /** Whether they stand as `[N,H,W,C]`. */
  readonly channelsLast: boolean;
}

/** What an ONNX file takes. Throws a {@link GhostkitError} unless it is one batch of pictures. */
export function pictureInput(graph: GraphProto): PictureInput {
  const { name, shape } = soleInput(graph);
  const channelsLast = isChannelsLast(shape);
  const known = shape.map((d) => (typeof d === 'number' && d > 0 ? d : undefined));
  const [batch, channels = 3, height, width] = channelsLast ? NHWC_TO_NCHW.map((i) => known[i]) : known;
  const size = height !== undefined && width !== undefined ? ([height, width] as const) : undefined;
  return { name, channels, size, batch, channelsLast };
}

function soleInput({ inputs, initializers }: GraphProto): ValueInfoProto & { shape: readonly (number | string)[] } {
  // Old files name their weights among the inputs.
  const given = inputs.filter(({ name }) => !initializers.has(name));
  const names = given.map(({ name }) => printable(name));
  if (given.length !== 1) {
    const listed = names.length > 8 ? `${names.slice(0, 8).join(', ')}, …` : names.join(', ');
    throw new GhostkitError(`only ONNX files with one input are supported, this one has ${listed || 'none'}`);
  }
  const [{ name, shape }] = given;
  if (shape?.length !== 4) {
    throw new GhostkitError(`the input ${names[0]} is no batch of pictures: its shape is ${shapeOf(shape)}`);
  }
  const bad = shape.find((d) => typeof d === 'number' && !(Number.isSafeInteger(d) && d >= 0 && d < 2 ** 24));
  if (bad !== undefined) throw new GhostkitError(`the input ${names[0]} has the impossible shape ${shapeOf(shape)}`);
  return { name, shape };
}

const shapeOf = (shape: readonly (number | string)[] | undefined) =>
  shape ? printable(`[${shape.join(',')}]`) : 'not given';

/** Pictures have one, three or four channels, which tells where they stand. */
function isChannelsLast(shape: readonly (number | string)[]): boolean {
  const few = (d: number | string) => d === 1 || d === 3 || d === 4;
  return !few(shape[1]) && few(shape[3]);
}
