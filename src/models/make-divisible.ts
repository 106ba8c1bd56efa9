/**
 * The multiple of `divisor` nearest to `channels`, at least `divisor`, and never more than 10 % below what was asked for: how
 * the MobileNet family rounds channel numbers under a width multiplier.
 */
export function makeDivisible(channels: number, divisor: number): number {
  const rounded = Math.max(divisor, Math.floor(Math.trunc(channels + divisor / 2) / divisor) * divisor);
  return rounded < 0.9 * channels ? rounded + divisor : rounded;
}
