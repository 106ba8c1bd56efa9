import { dataOf, inputOp, nameOf, type ParameterData, parameter, parameterOp } from '../graph/leaves.js';
import type { Arg, Buffer, Lowering, Place, View, WeightData } from '../graph/lowering.js';
import { type Graph, isOp, topological, type Value } from '../graph/value.js';
import { Opcode } from '../kernels/opcodes.js';
import { concatOp } from '../ops/concat.js';
import { quantizedView } from '../ops/quantized-view.js';
import { rowsAndChannels } from '../ops/shapes.js';
import { GhostkitError } from '../tensor/error.js';
import { type Shape, sizeOf } from '../tensor/tensor.js';
import { storedOrder } from './layout.js';

/** One kernel call with its places still without addresses. */
export interface Call {
  readonly opcode: Opcode;
  readonly args: readonly Arg[];
  /** What the call computes, for profiles: the operator and its result's shape. */
  readonly label: string;
  /** Whether the threads need not meet behind the call. */
  alone?: boolean;
}

/** A graph input or output as the host sees it: row-major (NCHW) floats in one buffer. */
export interface Port {
  readonly name: string;
  readonly shape: Shape;
  readonly place: Place;
}

export interface LoweredGraph {
  readonly calls: readonly Call[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** How many of the calls compute; behind them come in-place changes of parameters and the outputs. */
  readonly computing: number;
  /** Parameters that the program changes, in the order of `options.live`; stored NHWC like any other value. */
  readonly state: readonly Port[];
}

export interface LowerOptions {
  readonly threads: number;
  /** Parameters that change between runs: they stay in memory as they are and are packed in every run. */
  readonly live?: readonly ParameterData[];
  /** In-place changes of live parameters, done when everything else has been computed. */
  readonly updates?: readonly Value[];
}

/** Zeros behind packed data: kernels read whole vectors. */
const VECTOR_SLACK = 4;

/** Turns a graph into kernel calls. */
export function lowerGraph(graph: Graph, options: LowerOptions): LoweredGraph {
  const lowerer = new GraphLowerer(graph, options);
  return lowerer.lower();
}

class GraphLowerer implements Lowering {
  private readonly views = new Map<Value, View>();
  private readonly calls: Call[] = [];
  private readonly order: Value[];
  private zeroBuffer: { floats: number; data?: Float32Array } = { floats: 0 };
  private readonly given = new Map<Value, Place>();
  private label = '';

  private readonly liveParameters: Set<ParameterData>;

  constructor(
    private readonly graph: Graph,
    private readonly options: LowerOptions,
  ) {
    const values = topological([...Object.values(graph.outputs), ...(options.updates ?? [])]);
    // Updates change parameters in place, so they come when everything else has been computed.
    this.order = [...values.filter(({ op }) => !op.update), ...values.filter(({ op }) => op.update)];
    this.liveParameters = new Set(options.live);
  }

  lower(): LoweredGraph {
    this.placeConcatInputs();
    const inputs = Object.entries(this.graph.inputs).map(([name, value]) => this.lowerInput(name, value));
    let computing: number | undefined;
    for (const value of this.order) {
      if (isOp(value, inputOp) || dataOf(value)) continue;
      if (value.op.update) computing ??= this.calls.length;
      this.label = `${value.op.name} ${value.shape.join('x')}`;
      if (!this.views.has(value) && value.op.alias?.(value, this)) continue;
      if (!value.op.lower) throw new GhostkitError(`${value.op.name} cannot be run: it has no kernel`);
      value.op.lower(value, this);
      // Updates are element-wise, and the threads' shares of equally many elements are the same: even an average of what was just updated
      // needs no other thread's share.
      if (value.op.update) this.calls[this.calls.length - 1].alone = true;
    }
    // But behind the last one they meet: outputs may lie where a slower thread still reads what it updates with.
    const last = this.calls.at(-1);
    if (last) last.alone = false;
    computing ??= this.calls.length;
    const outputs = Object.entries(this.graph.outputs).map(([name, value]) => this.lowerOutput(name, value));
    this.zeroBuffer.data = new Float32Array(this.zeroBuffer.floats);
    const state = (this.options.live ?? []).map((p) => this.statePort(p));
    return { calls: this.calls, computing, inputs, outputs, state };
  }

  /** Lets the producers of a concatenation's inputs write into the result. From the last one back, so that nested ones share too. */
  private placeConcatInputs(): void {
    for (const value of [...this.order].reverse()) {
      if (!isOp(value, concatOp)) continue;
      const whole = this.view(value);
      let channel = 0;
      for (const input of value.inputs) {
        const { rows, channels } = rowsAndChannels(input.shape);
        const computed = input.op.lower && !input.op.alias;
        if (computed && !this.views.has(input)) {
          this.place(input, { ...whole, offset: whole.offset + channel, rows, channels, shared: true });
        }
        channel += channels;
      }
    }
  }

  private lowerInput(name: string, value: Value): Port {
    const buffer: Buffer = { floats: sizeOf(value.shape) };
    this.given.set(value, { buffer, offset: 0 });
    const rowMajor = value.shape.length !== 4 || value.shape[1] === 1 || value.shape[2] * value.shape[3] === 1;
    if (rowMajor) {
      const { rows, channels } = rowsAndChannels(value.shape);
      this.place(value, { buffer, offset: 0, rows, channels, stride: channels });
    }
    return { name, shape: value.shape, place: { buffer, offset: 0 } };
  }

  private lowerOutput(name: string, value: Value): Port {
    const view = this.view(value);
    const buffer: Buffer = { floats: sizeOf(value.shape) };
    this.label = `output ${name}`;
    if (value.shape.length === 4) {
      const [n, c, h, w] = value.shape;
      this.emit(Opcode.ToChannelsFirst, [view, view.stride, { buffer, offset: 0 }, n, c, h * w]);
    } else {
      this.emit(Opcode.Copy, [view, view.stride, { buffer, offset: 0 }, view.channels, view.rows, view.channels]);
    }
    return { name, shape: value.shape, place: { buffer, offset: 0 } };
  }

  private statePort(p: ParameterData): Port {
    return { name: p.name ?? '', shape: p.shape, place: this.view(parameter(p)) };
  }

  live(value: Value): boolean {
    return isOp(value, parameterOp) && this.liveParameters.has(value.attrs.parameter);
  }

  view(value: Value): View {
    let view = this.views.get(value);
    if (!view && value.quantization) {
      view = quantizedView(value.shape);
      this.views.set(value, view);
    }
    if (!view) {
      const { rows, channels } = rowsAndChannels(value.shape);
      const data = dataOf(value);
      const buffer = data ? this.weights(storedOrder(value.shape, data)).buffer : { floats: rows * channels };
      view = { buffer, offset: 0, rows, channels, stride: channels };
      this.views.set(value, view);
      if (isOp(value, inputOp)) this.turnInput(value, view);
    }
    return view;
  }

  asGiven(value: Value): Place | undefined {
    return this.given.get(value);
  }

  /** Turns an image that the host gives as planes to channels last, once something wants it so. */
  private turnInput(value: Value<{ name: string }>, view: View): void {
    const [n, c, h, w] = value.shape;
    const { label } = this;
    this.label = `input ${value.attrs.name}`;
    this.emit(Opcode.ToChannelsLast, [this.given.get(value) as Place, view, view.stride, n, c, h * w]);
    this.label = label;
  }

  place(value: Value, view: View): void {
    this.views.set(value, view);
  }

  constant(value: Value): Float32Array {
    const data = dataOf(value);
    if (!data)
      throw new GhostkitError(`${this.label}: ${nameOf(value) ?? value.op.name} must be constant to be packed`);
    return data;
  }

  weights(data: WeightData): Place {
    return { buffer: { floats: Math.ceil(data.byteLength / 4) + VECTOR_SLACK, data }, offset: 0 };
  }

  zeros(floats: number): Place {
    this.zeroBuffer.floats = Math.max(this.zeroBuffer.floats, floats + VECTOR_SLACK);
    // Its data stand from the start, so that it counts as constant memory; they are made when the largest size is known.
    this.zeroBuffer.data ??= new Float32Array(0);
    return { buffer: this.zeroBuffer, offset: 0 };
  }

  temporary(floats: number): Buffer {
    return { floats };
  }

  scratch(floatsPerThread: number): Place {
    return { buffer: { floats: floatsPerThread * this.options.threads }, offset: 0 };
  }

  emit(opcode: Opcode, args: readonly Arg[]): void {
    this.calls.push({ opcode, args, label: this.label });
  }
}
