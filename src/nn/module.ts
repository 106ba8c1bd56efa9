import { type ParameterData, parameter } from '../graph/leaves.js';
import type { Value } from '../graph/value.js';
import { GhostkitError } from '../tensor/error.js';
import { type FloatTensor, formatShape, type Shape, sizeOf, type Tensor, toFloat32 } from '../tensor/tensor.js';
import { constantInit, type Initializer } from './init.js';
import { fnv1a32, uniformStream } from './random.js';

/**
 * A learnable array, or a buffer that is stored but not learnt (a running statistic). The data are made at first use, so that a model
 * which is about to be loaded costs nothing; they depend on the parameter's name alone.
 */
export class Parameter implements ParameterData {
  name?: string;
  private values?: Float32Array;

  constructor(
    readonly shape: Shape,
    private readonly init: Initializer = constantInit(0),
    readonly learnable = true,
  ) {}

  get data(): Float32Array {
    this.values ??= this.init(this.shape, uniformStream(fnv1a32(this.name ?? '')));
    return this.values;
  }

  set data(values: Float32Array) {
    if (values.length !== sizeOf(this.shape)) {
      throw new GhostkitError(`${this.name ?? 'parameter'}: ${values.length} elements for ${formatShape(this.shape)}`);
    }
    this.values = values;
  }

  /** Draws the initial values anew from the stream of `seed` and this parameter's name. */
  initialize(seed: number): void {
    this.values = this.init(this.shape, uniformStream((fnv1a32(this.name ?? '') ^ seed) >>> 0));
  }

  /** The parameter as a value of the graph. */
  get value(): Value {
    return parameter(this);
  }
}

/**
 * Parameters and modules in properties, whose names are the names of the state dict, as in PyTorch; arrays are numbered. What is
 * computed with them, from how many values to how many, is a subclass's affair.
 */
export abstract class Network {
  /** Every parameter and buffer below with its state-dict key, in order of definition; one that is shared, with every key that it has. */
  *namedParameters(prefix = ''): Generator<[string, Parameter]> {
    for (const [key, part] of namedParts(this)) {
      if (part instanceof Parameter) yield [prefix + key, part];
      else yield* part.namedParameters(`${prefix}${key}.`);
    }
  }

  /** The modules directly below this one. */
  *namedChildren(): Generator<[string, Network]> {
    for (const [key, part] of namedParts(this)) if (part instanceof Network) yield [key, part];
  }

  /** Puts another network in the place of the child `key`, under its name; `key` is as {@link namedChildren} gives it. */
  replaceChild(key: string, child: Network): void {
    const [property, index] = key.split('.');
    const parts = this as unknown as Record<string, Network | Network[]>;
    if (index === undefined) parts[property] = child;
    else (parts[property] as Network[])[Number(index)] = child;
  }

  /** Every parameter and buffer below once, with its first state-dict key: what is counted and trained. */
  *distinctParameters(): Generator<[string, Parameter]> {
    const seen = new Set<Parameter>();
    for (const [key, p] of this.namedParameters()) {
      if (seen.has(p)) continue;
      seen.add(p);
      yield [key, p];
    }
  }

  /** Tells every parameter its (first) state-dict key; tracing does this first. */
  nameParameters(): void {
    for (const [key, p] of this.distinctParameters()) p.name = key;
  }

  /** The number of learnable scalars, as the papers count parameters. */
  parameterCount(): number {
    let count = 0;
    for (const [, p] of this.distinctParameters()) if (p.learnable) count += sizeOf(p.shape);
    return count;
  }

  /** The shapes of the state dict. */
  stateShapes(): Map<string, Shape> {
    return new Map([...this.namedParameters()].map(([key, p]) => [key, p.shape]));
  }

  /** The state dict: every parameter and running statistic by its key. The arrays are the module's own, not copies. */
  state(): Map<string, FloatTensor> {
    this.nameParameters();
    return new Map(
      [...this.namedParameters()].map(([key, p]) => [key, { dtype: 'float32', shape: p.shape, data: p.data }]),
    );
  }

  /** Initialises every parameter from a seed, whatever it held. */
  initialize(seed: number): this {
    this.nameParameters();
    for (const [, p] of this.distinctParameters()) p.initialize(seed);
    return this;
  }

  /** Takes over tensors whose keys and shapes are known to fit (see `loadState` for the check and its message). */
  assign(tensors: ReadonlyMap<string, Tensor>): void {
    this.nameParameters();
    for (const [key, p] of this.namedParameters()) {
      const tensor = tensors.get(key);
      if (tensor) p.data = toFloat32(tensor);
    }
  }
}

/** A network from one value to one, which others are built of: its `forward` builds the graph. */
export abstract class Module extends Network {
  abstract forward(x: Value): Value;
}

function* namedParts(network: Network): Generator<[string, Network | Parameter]> {
  for (const [key, part] of Object.entries(network)) {
    if (part instanceof Network || part instanceof Parameter) yield [key, part];
    else if (Array.isArray(part)) {
      for (const [i, item] of part.entries()) if (item instanceof Network) yield [`${key}.${i}`, item];
    }
  }
}
