import { constant } from '../../../graph/leaves.js';
import type { Value } from '../../../graph/value.js';
import { GhostkitError } from '../../../tensor/error.js';
import { formatShape, type Shape, sizeOf } from '../../../tensor/tensor.js';
import { printable } from '../../text.js';
import { type AttributeValue, type NodeProto, titleOf } from '../decode.js';
import { Flow, Known, type Tensor } from './tensors.js';

/** Makes a stored array a value of the graph. `data` is only called when the array is needed. */
export type Leaf = (name: string, shape: Shape, data: () => Float32Array, learnable: boolean) => Value;

/** Names beside those of what is stored in a file. */
export class Names {
  private readonly found = new Map<string, string>();

  constructor(private readonly stored: { has(name: string): boolean }) {}

  /** The name that is wanted or, where something stored has it, one like it; always the same. */
  free(wanted: string): string {
    let name = this.found.get(wanted) ?? wanted;
    while (this.stored.has(name)) name += '_';
    this.found.set(wanted, name);
    return name;
  }
}

/** What is shared by the nodes of one import. */
export interface ImportContext {
  readonly leaf: Leaf;
  /** Names for what is derived from stored arrays. */
  readonly names: Names;
  readonly opset: number;
  /** The batch that the file was written for and the one it is imported for, where they differ. */
  readonly batch?: { readonly written: number; readonly wanted: number };
  /** Values that are another one with zeros around it, `[top, left, bottom, right]`: a window operator takes them over. */
  readonly padded: Map<Value, { readonly x: Value; readonly padding: Padding }>;
  /** Elements that may still be computed while importing: what a small file can ask for is bounded. */
  budget: number;
}

export type Padding = readonly [number, number, number, number];

/** One node of an ONNX graph with its inputs: what an operator's importer reads, and what its messages begin with. */
export class Node {
  constructor(
    readonly proto: NodeProto,
    readonly inputs: readonly (Tensor | undefined)[],
    readonly context: ImportContext,
  ) {}

  get opType(): string {
    return this.proto.opType;
  }

  /** The name of the first result, under which what is computed from constants is known. */
  get result(): string {
    return this.proto.outputs[0] ?? '';
  }

  fail(what: string): never {
    // Attributes are a stranger's text.
    throw new GhostkitError(`${titleOf(this.proto)}: ${printable(what, 400)}`);
  }

  has(i: number): boolean {
    return this.inputs[i] !== undefined;
  }

  input(i: number): Tensor {
    return this.inputs[i] ?? this.fail(`input ${i} is missing`);
  }

  /** An input that is computed at run time; a constant becomes a value. */
  flow(i: number): Flow {
    const input = this.input(i);
    return input instanceof Flow ? input : new Flow(this.leaf(input));
  }

  /** An input whose dimensions are `[N,C,H,W]` in this order. */
  image(i: number): Value {
    const value = this.flow(i).materialize();
    if (value.shape.length !== 4) this.fail(`only images [N,C,H,W] are supported, got ${formatShape(value.shape)}`);
    return value;
  }

  known(i: number, what: string): Known {
    const input = this.input(i);
    return input instanceof Known ? input : this.fail(`its ${what} must be constant`);
  }

  /** An optional constant input. */
  optional(i: number, what: string): Known | undefined {
    return this.has(i) ? this.known(i, what) : undefined;
  }

  /** A constant that holds integers, as a list. */
  integers(i: number, what: string): number[] | undefined {
    const known = this.optional(i, what);
    if (!known) return undefined;
    if (known.shape.length > 1) this.fail(`its ${what} must be a list`);
    return this.whole([...known.numbers()], what);
  }

  /** A constant of one element. */
  scalar(i: number, what: string): number | undefined {
    const known = this.optional(i, what);
    if (!known) return undefined;
    if (known.size !== 1) this.fail(`its ${what} must be one number`);
    return known.numbers()[0];
  }

  attribute(name: string): AttributeValue | undefined {
    return this.proto.attributes.get(name);
  }

  number(name: string): number | undefined;
  number(name: string, otherwise: number): number;
  number(name: string, otherwise?: number): number | undefined {
    const value = this.attribute(name) ?? otherwise;
    if (value !== undefined && typeof value !== 'number') this.fail(`${name} must be a number`);
    return value as number | undefined;
  }

  text(name: string, otherwise: string): string {
    const value = this.attribute(name) ?? otherwise;
    return typeof value === 'string' ? value : this.fail(`${name} must be a string`);
  }

  list(name: string): number[] | undefined {
    const value = this.attribute(name);
    if (value === undefined) return undefined;
    return Array.isArray(value) ? this.whole(value as number[], name) : this.fail(`${name} must be a list`);
  }

  /** A pair of window sizes and the like, from an attribute of two positive integers; `flat` from one, for what has a single row. */
  pair(name: string, otherwise: readonly [number, number], flat = false): readonly [number, number] {
    const given = this.list(name);
    const list = given && flat ? [1, ...given] : (given ?? otherwise);
    const fits = list.length === 2 && list.every((v) => v >= 1 && v < 2 ** 20);
    return fits ? [list[0], list[1]] : this.fail(`${name} must be two sizes, got ${formatShape(list.slice(0, 8))}`);
  }

  /** What stands in an attribute, or in input `i` since a later version of the operator. */
  listOrInput(name: string, i: number): number[] | undefined {
    return this.list(name) ?? this.integers(i, name);
  }

  /** A dimension of `rank`; negative ones count from the last. */
  axis(axis: number, rank: number): number {
    const positive = axis < 0 ? axis + rank : axis;
    return Number.isInteger(positive) && positive >= 0 && positive < rank
      ? positive
      : this.fail(`there is no dimension ${axis} of ${rank}`);
  }

  /** A constant as a value, under its own name and shape. */
  leaf(known: Known, { learnable = false }: { learnable?: boolean } = {}): Value {
    // A number is no weight: it stands in the graph itself.
    if (known.size === 1) return constant(known.shape, known.floats());
    return this.context.leaf(known.name, known.shape, () => known.floats(), learnable);
  }

  /** A constant as a value in another form, `how` it is made of what is called `from`; arrays are shared by their names. */
  derived(from: string, how: string, shape: Shape, data: () => Float32Array, learnable: boolean): Value {
    if (sizeOf(shape) === 1 && !learnable) return constant(shape, data());
    return this.context.leaf(this.context.names.free(`${from}.${how}`), shape, data, learnable);
  }

  /** Takes `elements` off what may still be computed while importing. */
  spend(elements: number): void {
    this.context.budget -= elements;
    if (!(this.context.budget >= 0)) this.fail('the constants that it would make are too large');
  }

  private whole(list: number[], what: string): number[] {
    return list.every(Number.isInteger) ? list : this.fail(`its ${what} must be whole numbers`);
  }
}
