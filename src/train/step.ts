import { constant, input, type ParameterData, parameter } from '../graph/leaves.js';
import { gradients } from '../graph/passes/gradients.js';
import { sumGradients } from '../graph/passes/sum-gradients.js';
import { trainingForm } from '../graph/passes/training-form.js';
import { apply, type Value } from '../graph/value.js';
import type { Module, Parameter } from '../nn/module.js';
import { trace } from '../nn/trace.js';
import { add, mul } from '../ops/binary.js';
import { crossEntropy } from '../ops/loss.js';
import { adamWOp, average, clipOp, sgdOp } from '../ops/update.js';
import { inBatchLoops } from '../runtime/batch-loops.js';
import {
  Executor,
  fillFrom,
  type KernelVariant,
  type ProfileRow,
  usableThreads,
  type WordRange,
} from '../runtime/executor.js';
import { lowerGraph } from '../runtime/lower.js';
import { assemble, type Program } from '../runtime/program.js';
import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, formatShape, type Shape, sameShape, sizeOf } from '../tensor/tensor.js';

export type OptimizerOptions =
  | {
      readonly name: 'sgd';
      readonly momentum?: number;
      readonly nesterov?: boolean;
      readonly weightDecay?: number;
    }
  | {
      readonly name: 'adamw';
      readonly betas?: readonly [number, number];
      readonly epsilon?: number;
      readonly weightDecay?: number;
    };

export interface TrainingStepOptions {
  /** The shape of a batch of images, `[N,C,H,W]`. */
  readonly input: Shape;
  readonly optimizer: OptimizerOptions;
  /** Which parameters weight decay applies to; by default all. The usual exclusion is that of vectors: `(_, shape) => shape.length > 1`. */
  readonly decays?: (name: string, shape: Shape) => boolean;
  /** Which parameters are trained; by default all that can be learnt. Running statistics are updated in any case. */
  readonly trains?: (name: string) => boolean;
  /**
   * What batch norms normalise with: the statistics of the batch, which update the running ones (the default), or the running ones as they are.
   * The latter leaves the features of layers that are not trained as they were.
   */
  readonly statistics?: 'batch' | 'running';
  /** Multiplies the learning rate of a parameter; by default 1. */
  readonly rateOf?: (name: string) => number;
  /** Batches whose gradients make one update together, as their mean; default 1. */
  readonly accumulate?: number;
  /** The largest norm of all gradients together; they are scaled down to it. */
  readonly clipNorm?: number;
  /** The decay of an exponential moving average of the weights and running statistics, kept beside them. */
  readonly averageDecay?: number;
  /** Threads that share the work (default 1). Results are the same for any number. */
  readonly threads?: number;
  readonly relaxed?: boolean;
  /** Also return the gradients, as outputs named `gradient.<parameter>`. */
  readonly withGradients?: boolean;
}

/** What one step needs: images of the compiled shape, target probabilities `[N, classes]`, the learning rate. */
export interface Batch {
  readonly images: Float32Array;
  readonly targets: Float32Array;
  readonly learningRate: number;
  /** Decides what dropout drops; an integer below 2^24. */
  readonly seed?: number;
}

/** An array that the step keeps beside a parameter: a moment of the optimizer, an average. */
class Slot implements ParameterData {
  readonly data: Float32Array;

  constructor(
    readonly name: string,
    readonly shape: Shape,
    values?: Float32Array,
  ) {
    this.data = values ? new Float32Array(values) : new Float32Array(sizeOf(shape));
  }
}

/**
 * A whole training step as one program: forward, loss, backward, the optimizer's update, batch-norm statistics and averaging. Parameters
 * live in the program's memory and are changed in place; {@link TrainingStep.state} copies them out.
 */
export class TrainingStep {
  private steps = 0;

  private constructor(
    private readonly model: Module,
    private readonly executor: Executor,
    private readonly options: TrainingStepOptions,
    private readonly live: readonly ParameterData[],
  ) {}

  static async create(model: Module, options: TrainingStepOptions): Promise<TrainingStep> {
    const { graph, live, updates } = buildStep(model, options);
    const threads = usableThreads(options.threads ?? 1);
    const lowered = lowerGraph(graph, { threads, live, updates });
    const loops = inBatchLoops(lowered, { images: options.input[0], threads });
    const { program, image } = assemble(loops, { threads, macs: 0 });
    const executor = await Executor.create(program, fillFrom(program, image), { threads, relaxed: options.relaxed });
    return new TrainingStep(model, executor, options, live);
  }

  /** The part of the program that updates the parameters, in words. */
  private get updateWords(): WordRange {
    const { labels, wordCount } = this.executor.program;
    const starts = this.executor.callStarts();
    // None is found behind the last, where the program ends.
    const start = (isPart: (label: string) => boolean) => starts[labels.findIndex(isPart)] ?? wordCount;
    return {
      from: start((label) => UPDATES.some((op) => label.startsWith(`${op.name} `))),
      to: start((label) => label.startsWith('output ')),
    };
  }

  get memory(): Program['memory'] {
    return this.executor.program.memory;
  }

  get threads(): number {
    return this.executor.threads;
  }

  /** Which build of the kernels runs. */
  get variant(): KernelVariant {
    return this.executor.variant;
  }

  /** Trains on one batch. Returns the mean loss and the logits before the update, `[N, classes]`. */
  run(batch: Batch): { loss: number; logits: FloatTensor; outputs: Record<string, FloatTensor> } {
    const outputs = this.countStep(batch, (inputs, skipped) => this.executor.run(inputs, skipped));
    return { loss: outputs.loss.data[0], logits: outputs.logits, outputs };
  }

  /** Like {@link run}, kernel by kernel, with the time of each. */
  profile(batch: Batch): ProfileRow[] {
    return this.countStep(batch, (inputs, skipped) => this.executor.profile(inputs, skipped));
  }

  /** Counts a step once it is done: a batch that is refused is none. */
  private countStep<T>(batch: Batch, execute: (inputs: Record<string, Float32Array>, skipped?: WordRange) => T): T {
    const step = this.steps + 1;
    const waits = step % (this.options.accumulate ?? 1) !== 0;
    const result = execute(this.inputsOf(batch, step), waits ? this.updateWords : undefined);
    this.steps = step;
    return result;
  }

  private inputsOf({ images, targets, learningRate, seed }: Batch, step: number): Record<string, Float32Array> {
    const inputs: Record<string, Float32Array> = {
      image: images,
      targets,
      learning_rate: Float32Array.of(learningRate),
    };
    const { optimizer } = this.options;
    if (optimizer.name === 'adamw') {
      const updates = Math.ceil(step / (this.options.accumulate ?? 1));
      inputs.corrections = Float32Array.from(optimizer.betas ?? ADAM_BETAS, (beta) => 1 / (1 - beta ** updates));
    }
    if (this.executor.program.inputs.some(({ name }) => name === 'seed')) inputs.seed = Float32Array.of(seed ?? step);
    return inputs;
  }

  /** Everything that a later run needs to go on exactly: parameters, statistics, moments, averages, by name; and the number of steps. */
  state(): { readonly tensors: Map<string, FloatTensor>; readonly steps: number } {
    const values = this.executor.readState();
    const tensors = new Map<string, FloatTensor>();
    for (const [i, { name, shape }] of this.live.entries()) {
      tensors.set(name as string, { dtype: 'float32', shape, data: values[i] });
    }
    return { tensors, steps: this.steps };
  }

  /** Goes on from a {@link state}. Throws when an array is missing or of another shape. */
  restore(tensors: ReadonlyMap<string, FloatTensor>, steps: number): void {
    const values = this.live.map(({ name, shape }) => {
      const tensor = tensors.get(name as string);
      if (!tensor) throw new GhostkitError(`${name}: not in the training state; is it of this model and optimizer?`);
      if (!sameShape(tensor.shape, shape)) {
        const [has, needs] = [tensor.shape, shape].map(formatShape);
        throw new GhostkitError(`${name}: the training state has ${has}, the model needs ${needs}`);
      }
      return tensor.data;
    });
    this.executor.writeState(values);
    this.steps = steps;
  }

  /** Puts the trained values into the model: the parameters as they are, or their averages. */
  writeTo(model: Module = this.model, which: 'weights' | 'average' = 'weights'): void {
    if (which === 'average' && this.options.averageDecay === undefined) {
      throw new GhostkitError('there are no averages: the training step was made without averageDecay');
    }
    const { tensors } = this.state();
    const prefix = which === 'average' ? AVERAGE : '';
    model.assign(
      new Map([...model.distinctParameters()].map(([key]) => [key, tensors.get(prefix + key) as FloatTensor])),
    );
  }

  close(): void {
    this.executor.close();
  }
}

const AVERAGE = 'average.';
const ADAM_BETAS = [0.9, 0.999] as const;
const UPDATES = [sgdOp, adamWOp];

function buildStep(model: Module, options: TrainingStepOptions) {
  const { graph, updates: statistics } = trainingForm(trace(model, options), options.statistics);
  const { logits } = graph.outputs;
  const targets = input('targets', logits.shape);
  const loss = crossEntropy(logits, targets);

  const all = [...model.distinctParameters()];
  const trained = all.filter(([name, p]) => p.learnable && (options.trains?.(name) ?? true));
  const { accumulate = 1, averageDecay = 0 } = options;
  if (!Number.isInteger(accumulate) || accumulate < 1)
    throw new GhostkitError(`accumulate: a whole number of at least 1, got ${accumulate}`);
  if (!(averageDecay >= 0 && averageDecay < 1))
    throw new GhostkitError(`averageDecay: at least 0 and less than 1, got ${averageDecay}`);
  const grads = gradients(
    accumulate === 1 ? loss : mul(loss, constant([1], [1 / accumulate])),
    trained.map(([, p]) => p.value),
  );
  const slots: Slot[] = [];
  const sums: { slot: Value; total: Value }[] = [];
  const learnt = trained.flatMap(([name, p], i) => {
    const grad = grads[i];
    if (!grad || accumulate === 1) return grad ? [{ name, p, grad }] : [];
    const sum = new Slot(`gradients.${name}`, p.shape);
    slots.push(sum);
    const slot = parameter(sum);
    const total = add(slot, grad);
    sums.push({ slot, total });
    return [{ name, p, grad: total }];
  });
  const inputs: Record<string, Value> = { ...graph.inputs, targets, learning_rate: input('learning_rate', [1]) };
  const build = updateBuilder(options, learnt, inputs);
  // What every batch changes, and behind it what is left out until the last batch of an update: see `updateWords`.
  const updates = [
    ...statistics,
    ...sums.map(({ slot, total }) => average(slot, total, 1)),
    ...learnt.flatMap((l) => build(l, slots)),
    ...sums.map(({ slot, total }) => average(slot, total, 1, 0)),
  ];
  if (options.averageDecay !== undefined) {
    for (const [name, p] of all) {
      const slot = new Slot(AVERAGE + name, p.shape, p.data);
      slots.push(slot);
      // Behind the updates, so that it is the new value that is averaged.
      updates.push(average(parameter(slot), p.value, 1 - options.averageDecay));
    }
  }
  const outputs: Record<string, Value> = { loss, logits };
  if (options.withGradients) for (const { name, grad } of learnt) outputs[`gradient.${name}`] = grad;
  const live: ParameterData[] = [...all.map(([, p]) => p), ...slots];
  // Passes see a graph by its outputs, so the updates are among them for the while.
  const names = updates.map((_, i) => `update ${i}`);
  const whole = { ...outputs, ...Object.fromEntries(names.map((name, i) => [name, updates[i]])) };
  const fused = sumGradients({ inputs, outputs: whole }).outputs;
  const own = Object.fromEntries(Object.keys(outputs).map((name) => [name, fused[name]]));
  return { graph: { inputs, outputs: own }, live, updates: names.map((name) => fused[name]) };
}

interface Learnt {
  readonly name: string;
  readonly p: Parameter;
  readonly grad: Value;
}

/** How a parameter is updated; makes the arrays that the optimizer keeps beside it. */
function updateBuilder(options: TrainingStepOptions, learnt: readonly Learnt[], inputs: Record<string, Value>) {
  const { optimizer, clipNorm, decays, rateOf } = options;
  const factor =
    clipNorm === undefined
      ? constant([1], [1])
      : apply(
          clipOp,
          learnt.map(({ grad }) => grad),
          { limit: clipNorm },
        );
  const rates = new Map<number, Value>();
  const rate = (name: string) => {
    const by = rateOf?.(name) ?? 1;
    const scaled = rates.get(by) ?? (by === 1 ? inputs.learning_rate : mul(inputs.learning_rate, constant([1], [by])));
    rates.set(by, scaled);
    return scaled;
  };
  if (optimizer.name === 'adamw') inputs.corrections = input('corrections', [2]);
  return ({ name, p, grad }: Learnt, slots: Slot[]): Value[] => {
    const slot = (kind: string) => {
      const made = new Slot(`${kind}.${name}`, p.shape);
      slots.push(made);
      return parameter(made);
    };
    const weightDecay = (decays?.(name, p.shape) ?? true) ? (optimizer.weightDecay ?? 0) : 0;
    if (optimizer.name === 'sgd') {
      const { momentum = 0, nesterov = false } = optimizer;
      const operands = [p.value, grad, slot('momentum'), rate(name), factor];
      return [apply(sgdOp, operands, { momentum, nesterov, weightDecay })];
    }
    const { betas = ADAM_BETAS, epsilon = 1e-8 } = optimizer;
    const operands = [
      p.value,
      grad,
      slot('first_moment'),
      slot('second_moment'),
      rate(name),
      inputs.corrections,
      factor,
    ];
    return [apply(adamWOp, operands, { betas, epsilon, weightDecay })];
  };
}
