import { printable } from '../formats/text.js';
import { input } from '../graph/leaves.js';
import type { Graph, Value } from '../graph/value.js';
import { GhostkitError } from '../tensor/error.js';
import type { Shape } from '../tensor/tensor.js';
import { Module } from './module.js';

/**
 * A network from pictures to class scores. `forward` is the whole of it; `stages` gives every stage's output by its name in the
 * original (`blocks.3`), for heads that need more than the last, along with `logits`.
 */
export abstract class Classifier extends Module {
  abstract readonly numClasses: number;
  abstract readonly inChannels: number;
  /** Height and width of the pictures, for a network that was made for one size; absent when any will do. */
  readonly inputSize?: readonly [height: number, width: number];
  /** Every stage's output, in order, and `logits: [N, numClasses]`. */
  abstract stages(x: Value): Record<string, Value>;

  forward(x: Value): Value {
    return this.stages(x).logits;
  }
}

export interface TraceOptions {
  /** The input's shape, `[N,C,H,W]`. */
  readonly input: Shape;
  /** Whether the graph also has every stage's output (classifiers only). */
  readonly features?: boolean;
}

/**
 * The graph of a module for one input shape: input `image`, output `logits` (and the stages, with `features`).
 *
 * @throws GhostkitError for a shape that is none.
 */
export function trace(model: Module, { input: shape, features = false }: TraceOptions): Graph {
  const size = (length: unknown) => Number.isInteger(length) && (length as number) > 0;
  if (!Array.isArray(shape) || !shape.every(size))
    throw new GhostkitError(`input: the shape of the pictures, [N,C,H,W], got ${printable(String(shape), 60)}`);
  model.nameParameters();
  const image = input('image', shape);
  const outputs = features && model instanceof Classifier ? model.stages(image) : { logits: model.forward(image) };
  return { inputs: { image }, outputs };
}
