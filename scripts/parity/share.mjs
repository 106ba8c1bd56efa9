/**
 * Compares outputs of which a few values may be anything: of all the values given at least `share` must be within `bound`, and their mean
 * deviation within `meanBound`.
 */
export class Share {
  maxError = 0;
  problems = [];
  outputs = {};
  compared = 0;
  within = 0;
  total = 0;

  constructor({ bound, share, meanBound = Number.POSITIVE_INFINITY }) {
    this.bound = bound;
    this.share = share;
    this.meanBound = meanBound;
  }

  get meanError() {
    return this.total / this.compared;
  }

  /** Takes a result `{shape, data}` and the golden output it should be; `exact` allows no deviation at all, and does not count. */
  compare(where, expected, result, { exact = false } = {}) {
    const errors = errorsOf(where, expected, result);
    // A deviation that is not a number stays the worst.
    const worst = errors.reduce((a, b) => Math.max(a, b), 0);
    const within = errors.filter((e) => e <= this.bound).length;
    const total = errors.reduce((a, b) => a + b, 0);
    this.maxError = Math.max(this.maxError, worst);
    this.outputs[where] = { within: within / errors.length, meanError: total / errors.length };
    if (exact) {
      if (worst !== 0) this.problems.push(`${where} is off by ${worst}, it must be exact`);
      return;
    }
    this.compared += errors.length;
    this.within += within;
    this.total += total;
    for (const [name, measured] of Object.entries(momentsOf(result.data))) {
      const off = Math.abs(measured - (expected[name] ?? measured));
      if (!(off <= this.bound)) this.problems.push(`${where}: the ${name} is off by ${off}`);
    }
  }

  /** Notes a count that is not the expected one; without an expected one, nothing. */
  need(name, expected, got) {
    if (expected !== undefined && expected !== got) this.problems.push(`${name}: ${got}, expected ${expected}`);
  }

  verdict() {
    const { maxError, bound, meanError, outputs } = this;
    const within = this.within / this.compared;
    const problems = [...this.problems];
    if (this.compared === 0) problems.push('no output to compare');
    else if (!(within >= this.share))
      problems.push(`only ${(100 * within).toFixed(2)} % of the values are within ${bound}`);
    if (!(meanError <= this.meanBound)) problems.push(`the mean deviation is ${meanError}`);
    const ok = problems.length === 0;
    const error = ok ? {} : { error: problems.join('; ') };
    return { maxError: Number.isFinite(maxError) ? maxError : null, bound, ok, ...error, within, meanError, outputs };
  }
}

function errorsOf(where, expected, result) {
  if (!result) throw new Error(`${where}: there is no such output`);
  const { shape, values, indices } = expected;
  if (String(shape) !== String(result.shape)) {
    throw new Error(`${where}: shape [${result.shape}], expected [${shape}]`);
  }
  const count = indices ? indices.length : result.data.length;
  if (!Array.isArray(values) || values.length !== count || count === 0) {
    throw new Error(`${where}: ${values?.length ?? 0} values for ${count} elements`);
  }
  return values.map((v, i) => Math.abs(v - result.data[indices ? indices[i] : i]));
}

function momentsOf(data) {
  const mean = data.reduce((a, b) => a + b, 0) / data.length;
  const std = Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length);
  return { mean, std };
}
