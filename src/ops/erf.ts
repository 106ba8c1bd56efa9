/** The error function in double precision, to about 1e-12. */
export function erfOf(x: number): number {
  const size = Math.abs(x);
  if (!(size < 6)) return Number.isNaN(x) ? x : Math.sign(x);
  return Math.sign(x) * (size < 3 ? byPowers(size) : 1 - complement(size));
}

/** The integral's power series. */
function byPowers(x: number): number {
  let power = x;
  let sum = x;
  for (let n = 1; Math.abs(power) > 1e-18; n++) {
    power *= -(x * x) / n;
    sum += power / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** What is missing to one, by its continued fraction. */
function complement(x: number): number {
  let rest = x;
  for (let k = 60; k >= 1; k--) rest = x + k / 2 / rest;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * rest);
}
