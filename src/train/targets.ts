/** Fills `targets` `[count, classes]` with the labels' probabilities, of which smoothing takes a share for all classes alike. */
export function labelTargets(
  labels: ArrayLike<number>,
  count: number,
  classes: number,
  smoothing: number,
  targets: Float32Array,
): Float32Array {
  targets.fill(smoothing / classes, 0, count * classes);
  for (let row = 0; row < count; row++) targets[row * classes + labels[row]] += 1 - smoothing;
  return targets;
}
