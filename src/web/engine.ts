import { preprocessingIn } from '../data/preprocessing.js';
import { haveProbabilities, NO_PROBABILITIES } from '../data/scores.js';
import { type NamedClass, namedClasses } from '../data/top-classes.js';
import { IMAGENET, type Preprocessing } from '../data/transform.js';
import { labelsIn } from '../formats/metadata.js';
import { printable } from '../formats/text.js';
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

export type NamedInputs = Readonly<Record<string, Float32Array | FloatTensor>>;

/** What `run` takes: the tensor of the only input, or one for each input by name. */
export type ModelInput = FloatTensor | Float32Array | NamedInputs;

/** Other arrays are meant as one, too, and refused as one. */
const isTensor = (input: ModelInput): input is FloatTensor | Float32Array =>
  ArrayBuffer.isView(input) || Array.isArray(input) || ('dtype' in input && 'data' in input);

/**
 * The inputs by name of a model that has `inputs`. Throws a {@link GhostkitError} for what holds no float32, before anything is sent to
 * a worker; whether it fits is seen where it is run.
 */
export function inputsByName(input: ModelInput, inputs: ModelFacts['inputs']): NamedInputs {
  if (typeof input !== 'object' || input === null) {
    throw new GhostkitError('run: needs a Float32Array or a tensor, or one for each input by its name');
  }
  const named = isTensor(input) ? { [onlyInput(inputs)]: input } : input;
  for (const name of Object.keys(inputs)) {
    const value: Partial<FloatTensor> | Float32Array | null | undefined = named[name];
    // What is missing is told together with what is too many.
    if (value === undefined || value instanceof Float32Array || value?.data instanceof Float32Array) continue;
    throw new GhostkitError(`input ${printable(name)}: needs float32, in a Float32Array`);
  }
  return named;
}

function onlyInput(inputs: ModelFacts['inputs']): string {
  const [name, ...others] = Object.keys(inputs);
  if (others.length > 0)
    throw new GhostkitError(
      `give each input by its name: ${[name, ...others].map((each) => printable(each)).join(', ')}`,
    );
  return name;
}

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
    const name = this.squareInput(preprocessing.size);
    const before = performance.now();
    const image = await toTensor(source, preprocessing);
    const ready = performance.now();
    const { logits } = this.run({ [name]: image });
    if (!logits) throw new GhostkitError('this model is no classifier: it gives no logits; run gives what there is');
    const { data } = logits;
    if (!haveProbabilities(data)) throw new GhostkitError(NO_PROBABILITIES);
    const run = performance.now() - ready;
    return { top: namedClasses(data, topK, labels), timing: { prepare: ready - before, run } };
  }

  run(inputs: NamedInputs): Record<string, FloatTensor> {
    return this.model.run(inputs);
  }

  close(): void {
    this.model.close();
  }

  /** The input for a picture. Pictures are cut to squares: a network for others has to be given its input. */
  private squareInput(size: number): string {
    const { inputs } = this.facts;
    const name = onlyInput(inputs);
    const shape = inputs[name];
    if (shape.length === 4 && shape[0] === 1 && shape[1] === 3 && shape[2] === size && shape[3] === size) return name;
    throw new GhostkitError(
      `this model takes ${formatShape(shape)}, and pictures are prepared as [1,3,${size},${size}]: give run what you prepare yourself`,
    );
  }
}

function factsOf(model: CompiledModel): ModelFacts {
  const { inputs, outputs, metadata, variant, threads, macs } = model;
  const classes = outputs.logits?.at(-1);
  const size = Object.values(inputs)[0].at(-1) ?? IMAGENET.size;
  return {
    labels: classes === undefined ? undefined : labelsIn(metadata, classes),
    preprocessing: preprocessingIn(metadata) ?? { ...IMAGENET, size },
    ...{ inputs, outputs, metadata, variant, threads, macs },
  };
}
