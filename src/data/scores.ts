/** The complaint about logits that {@link haveProbabilities} refuses. */
export const NO_PROBABILITIES = 'the network gives no numbers for it (NaN or infinity); its weights may be damaged';

/** Whether a picture's logits are scores that probabilities follow from. Impossible classes may have minus infinity, as long as not all do. */
export function haveProbabilities(logits: Float32Array): boolean {
  // The maximum of anything and NaN is NaN.
  return Number.isFinite(logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
}
