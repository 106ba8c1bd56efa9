import { preprocessingIn } from '../data/preprocessing.js';
import { type NamedClass, namedClasses } from '../data/top-classes.js';
import { IMAGENET, type Preprocessing } from '../data/transform.js';
import { labelsIn } from '../formats/metadata.js';
import type { CompiledModel } from '../runtime/compiled-model.js';
import type { KernelVariant } from '../runtime/executor.js';
import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, formatShape, type Shape } from '../tensor/tensor.js';
import { type PictureSource, toTensor } from './picture.js';

/** What is known of a model that is loaded. */
export interface ModelFacts {
  readonly labels?: readonly string[];
  readonly preprocessing: Preprocessing;
  readonly inputs: Readonly<Record<string, Shape>>;
  readonly outputs: Readonly<Record<string, Shape>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly variant: KernelVariant;
  readonly threads: number;
  readonly macs: number;
}

/** A picture's best classes, and the milliseconds that preparing it and the network took. */
export interface Classified {
  readonly top: NamedClass[];
  readonly timing: { readonly prepare: number; readonly run: number };
}

/** What `run` takes: the tensor of the only input, or one for each input by name. */
export type ModelInput = FloatTensor | Float32Array | Readonly<Record<string, Float32Array | FloatTensor>>;

const isTensor = (input: ModelInput): input is FloatTensor | Float32Array =>
  input instanceof Float32Array || ('dtype' in input && 'data' in input);

/** A model in the thread that runs it. */
export class Engine {
  private constructor(
    private readonly model: CompiledModel,
    readonly facts: ModelFacts,
  ) {}

  /** Throws a {@link GhostkitError} when the model's file says something about it that cannot be. */
  static of(model: CompiledModel): Engine {
    try {
      return new Engine(model, factsOf(model));
    } catch (error) {
      model.close();
      throw error;
    }
  }

  async classify(source: PictureSource, topK: number): Promise<Classified> {
    const { preprocessing, labels } = this.facts;
    this.checkSquare(preprocessing.size);
    const before = performance.now();
    const image = await toTensor(source, preprocessing);
    const ready = performance.now();
    const { logits } = this.run(image);
    if (!logits) throw new GhostkitError('this model is no classifier: it gives no logits; run gives what there is');
    const { data } = logits;
    const run = performance.now() - ready;
    return { top: namedClasses(data, topK, labels), timing: { prepare: ready - before, run } };
  }

  run(input: ModelInput): Record<string, FloatTensor> {
    return this.model.run(isTensor(input) ? { [this.onlyInput()]: input } : input);
  }

  close(): void {
    this.model.close();
  }

  /** Pictures are cut to squares: a network for others has to be given its input. */
  private checkSquare(size: number): void {
    const { inputs } = this.facts;
    const shape = inputs[this.onlyInput()];
    if (shape.length === 4 && shape[0] === 1 && shape[1] === 3 && shape[2] === size && shape[3] === size) return;
    throw new GhostkitError(
      `this model takes ${formatShape(shape)}, and pictures are prepared as [1,3,${size},${size}]: give run what you prepare yourself`,
    );
  }

  private onlyInput(): string {
    const [name, ...others] = Object.keys(this.facts.inputs);
    if (others.length > 0) throw new GhostkitError(`give each input by its name: ${[name, ...others].join(', ')}`);
    return name;
  }
}

function factsOf(model: CompiledModel): ModelFacts {
  const { inputs, outputs, metadata, variant, threads, macs } = model;
  const classes = outputs.logits?.at(-1);
  const [size] = Object.values(inputs)[0].slice(-1);
  return {
    labels: classes === undefined ? undefined : labelsIn(metadata, classes),
    preprocessing: preprocessingIn(metadata) ?? { ...IMAGENET, size },
    ...{ inputs, outputs, metadata, variant, threads, macs },
  };
}
