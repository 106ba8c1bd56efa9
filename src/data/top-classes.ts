import { GhostkitError } from '../tensor/error.js';

/** A guess of a classifier. */
export interface Classification {
  /** The number of the class. */
  readonly index: number;
  /** Its name, where the model has names for its classes. */
  readonly label?: string;
  /** From 0 to 1; those of all classes sum to 1. */
  readonly probability: number;
}

/** The `count` most probable classes, the best first; of equal ones the first. The softmax is taken in double precision. */
export function topClasses(
  logits: Float32Array,
  count: number,
  labels: readonly string[] | undefined,
): Classification[] {
  const highest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(logits, (v) => Math.exp(v - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  const order = Array.from(powers.keys()).sort((a, b) => powers[b] - powers[a]);
  return order.slice(0, count).map((index) => ({
    index,
    ...(labels && { label: labels[index] }),
    probability: powers[index] / sum,
  }));
}

/** One of the classes a picture may be of. */
export interface NamedClass {
  /** The class's name, `class 7` where the model has no names. */
  readonly label: string;
  readonly index: number;
  /** From 0 to 1; those of all classes sum to 1. */
  readonly probability: number;
}

/** Like {@link topClasses}, with a name for every class. */
export const namedClasses = (...asked: Parameters<typeof topClasses>): NamedClass[] =>
  topClasses(...asked).map(({ label, ...guess }) => ({ label: label ?? `class ${guess.index}`, ...guess }));

/** Throws a {@link GhostkitError} for what is no number of classes to be told. */
export function checkTopK(topK: number): void {
  if (!Number.isInteger(topK) || topK < 1) throw new GhostkitError(`topK: a positive integer, got ${topK}`);
}
